"""Random weights, made straight in the blocks of a quantized type: no float copy of a tensor ever exists.

A block is scales and small integers. The integers are uniform random bits; the scales are fixed so that the weights
have mean zero and the standard deviation of a fresh model, which keeps activations and logits finite. Block layouts:
llama.cpp's `ggml/src/ggml-common.h`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from slm_atlas.anatomy.quantization import TensorType

STANDARD_DEVIATION = 0.02
"""Of the weights (GPT-2's initialization, Radford et al. 2019)."""

Bytes = npt.NDArray[np.uint8]


class _Layout(NamedTuple):
    """Where a block's float16 scales stand, and what its random integers amount to at scale one."""

    scale: int
    """Byte offset of the scale."""
    minimum: int | None
    """Byte offset of the minimum, if any."""
    centre: float
    """The minimum, in scales, that makes the mean zero (its sign as the format adds or subtracts it)."""
    spread: float
    """Standard deviation of a weight at scale one, from the moments of the uniform integers."""


# K-quants: weight = d * s * q - dmin * m with s and m uniform on 0..63 (0..15 in Q2_K), so dmin = d * E[q] centres it.
_LAYOUTS = {
    TensorType.Q4_0: _Layout(0, None, 0.0, 4.61),
    TensorType.Q4_1: _Layout(0, 2, -7.5, 4.61),
    TensorType.Q5_0: _Layout(0, None, 0.0, 9.23),
    TensorType.Q5_1: _Layout(0, 2, -15.5, 9.23),
    TensorType.Q8_0: _Layout(0, None, 0.0, 73.9),
    TensorType.Q2_K: _Layout(80, 82, 1.5, 13.9),
    TensorType.Q3_K: _Layout(108, None, 0.0, 43.3),
    TensorType.Q4_K: _Layout(0, 2, 7.5, 258.3),
    TensorType.Q5_K: _Layout(0, 2, 15.5, 526.9),
    TensorType.Q6_K: _Layout(208, None, 0.0, 1365.0),
}

# Floats: a random sign and mantissa under one exponent, which gives magnitudes from 1/64 to 1/32.
_KEPT_BITS = {TensorType.F32: 0x807FFFFF, TensorType.F16: 0x83FF, TensorType.BF16: 0x807F}
_EXPONENT = {TensorType.F32: 121 << 23, TensorType.F16: 9 << 10, TensorType.BF16: 121 << 7}


def random_blocks(kind: TensorType, count: int, rng: np.random.Generator) -> Bytes:
    """Random blocks of a type.

    Returns:
        Shape (count, bytes of a block).
    """
    size = count * kind.block.bytes
    words = rng.integers(0, 2**64, size=-(-size // 8), dtype=np.uint64)
    blocks = words.view(np.uint8)[:size].reshape(count, kind.block.bytes)
    if kind in _LAYOUTS:
        _set_scales(blocks, _LAYOUTS[kind])
    else:
        _set_exponents(blocks, kind)
    return blocks


def _set_scales(blocks: Bytes, layout: _Layout) -> None:
    scale, high = STANDARD_DEVIATION / layout.spread, layout.scale + 1
    signs = blocks[:, high] & 0x80
    blocks[:, layout.scale : layout.scale + 2] = _float16(scale)
    if layout.minimum is None:
        # The integers of these types reach one further down than up: a scale of either sign centres them.
        blocks[:, high] |= signs
    else:
        blocks[:, layout.minimum : layout.minimum + 2] = _float16(scale * layout.centre)


def _set_exponents(blocks: Bytes, kind: TensorType) -> None:
    words = blocks.view(np.dtype(f"<u{kind.block.bytes}"))
    words &= _KEPT_BITS[kind]
    words |= _EXPONENT[kind]


def _float16(value: float) -> Bytes:
    return np.array([value], dtype="<f2").view(np.uint8)
