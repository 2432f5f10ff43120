"""Random blocks are weights of mean zero and the promised spread, in every type, as the format itself reads them."""

from __future__ import annotations

import gguf
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slm_atlas.anatomy.quantization import TensorType
from slm_atlas.models.blocks import STANDARD_DEVIATION, Bytes, random_blocks

MEASURED = 200_000
"""Weights looked at: the standard error of their mean is then 0.2 % of a standard deviation."""


def weights(kind: TensorType, blocks: Bytes) -> npt.NDArray[np.float64]:
    decoded = gguf.quants.dequantize(blocks.ravel(), gguf.GGMLQuantizationType[kind.value])
    return np.asarray(decoded, dtype=np.float64).ravel()


@pytest.mark.parametrize("kind", TensorType)
def test_weights_are_finite_centred_and_of_the_promised_spread(kind: TensorType) -> None:
    found = weights(kind, random_blocks(kind, MEASURED // kind.block.values, np.random.default_rng(7)))
    assert found.size > 0.99 * MEASURED
    assert np.isfinite(found).all()
    # Within a block weights share their scale: the means of blocks, not the weights, are independent.
    assert abs(found.mean()) < 0.05 * STANDARD_DEVIATION
    # The floats lie between 1/64 and 1/32 with either sign, a spread of 0.0239.
    expected = 0.0239 if kind in (TensorType.F32, TensorType.F16, TensorType.BF16) else STANDARD_DEVIATION
    assert found.std() == pytest.approx(expected, rel=0.02)
    assert abs(found).max() < 10 * STANDARD_DEVIATION


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(TensorType), st.integers(0, 65), st.integers(0, 2**63))
def test_any_count_and_seed_gives_that_many_blocks_of_finite_weights(kind: TensorType, count: int, seed: int) -> None:
    blocks = random_blocks(kind, count, np.random.default_rng(seed))
    assert blocks.shape == (count, kind.block.bytes)
    assert blocks.dtype == np.uint8
    if count:
        found = weights(kind, blocks)
        assert found.size == count * kind.block.values
        assert np.isfinite(found).all()
        assert abs(found).max() < 10 * STANDARD_DEVIATION


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(TensorType), st.integers(0, 2**32))
def test_a_seed_gives_the_same_blocks_and_another_seed_others(kind: TensorType, seed: int) -> None:
    first, again, other = (random_blocks(kind, 8, np.random.default_rng(s)) for s in (seed, seed, seed + 1))
    assert (first == again).all()
    assert (first != other).any()
