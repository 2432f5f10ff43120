"""Writes a GGUF again in other tensor types, with llama.cpp's own quantizer.

Call this in a worker process only: native code may abort.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import llama_cpp.llama_cpp as lib

from slm_atlas.engines import process
from slm_atlas.engines.values import Conversion
from slm_atlas.units import MIB

BUFFER_BYTES = 256 * MIB
"""Most bytes of a tensor's rows in memory at once; llama.cpp's own limit is 8 GiB."""
_TEXT_BYTES = 127
"""Longest text of `llama_model_kv_override`."""


def quantize(conversion: Conversion) -> bool:
    """Write the file; whether llama.cpp says that it did. Why it did not is in its log."""
    params = lib.llama_model_quantize_default_params()
    params.nthread = conversion.threads or process.usable_cores()
    params.ftype = conversion.file_type
    params.allow_requantize = True
    params.max_buf_size = BUFFER_BYTES
    params.kv_overrides = _overrides(conversion.metadata)
    status = lib.llama_model_quantize(conversion.source.encode(), conversion.target.encode(), ctypes.byref(params))
    return bool(status == 0)


def _overrides(metadata: Mapping[str, str]) -> Any:  # noqa: ANN401
    """The texts as llama.cpp takes them: an array that ends with an empty key."""
    array = (lib.llama_model_kv_override * (len(metadata) + 1))()
    for override, (key, text) in zip(array, metadata.items(), strict=False):
        override.tag = lib.LLAMA_KV_OVERRIDE_TYPE_STR
        override.key = key.encode()
        # Not within a character.
        override.value.val_str = text.encode()[:_TEXT_BYTES].decode(errors="ignore").encode()
    return ctypes.cast(array, ctypes.POINTER(lib.llama_model_kv_override))
