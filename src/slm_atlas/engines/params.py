"""What llama.cpp is told when it loads a model and makes a context."""

from __future__ import annotations

import llama_cpp.llama_cpp as lib

from slm_atlas.engines import process
from slm_atlas.engines.values import LoadSettings
from slm_atlas.errors import EngineRefused

# Numbers of `ggml_type` (ggml.h): the bindings name only some of them.
_KV_TYPES = {"f32": 0, "f16": 1, "bf16": 30, "q8_0": 8, "q5_1": 7, "q5_0": 6, "q4_1": 3, "q4_0": 2}


def model_params(settings: LoadSettings) -> lib.llama_model_params:
    """How the file is read, and how its weights are held."""
    params = lib.llama_model_default_params()
    params.load_mode = lib.LLAMA_LOAD_MODE_MMAP if settings.mmap and not settings.simulate else lib.LLAMA_LOAD_MODE_NONE
    params.use_extra_bufts = settings.repack
    params.no_alloc = settings.simulate
    params.n_gpu_layers = 0
    return params


def context_params(settings: LoadSettings) -> lib.llama_context_params:
    """The plain context: one sequence. Raises `EngineRefused` for an unknown type of the cache."""
    if settings.kv_type not in _KV_TYPES:
        raise EngineRefused(f"unknown KV cache type '{settings.kv_type}' (one of {', '.join(_KV_TYPES)})")
    params = lib.llama_context_default_params()
    params.n_ctx = settings.context
    params.n_batch = min(settings.batch, settings.context)
    params.n_ubatch = min(settings.micro_batch, params.n_batch)
    params.n_threads = params.n_threads_batch = settings.threads or process.usable_cores()
    params.type_k = params.type_v = _KV_TYPES[settings.kv_type]
    choices = {None: lib.LLAMA_FLASH_ATTN_TYPE_AUTO, True: lib.LLAMA_FLASH_ATTN_TYPE_ENABLED}
    params.flash_attn_type = choices.get(settings.flash_attention, lib.LLAMA_FLASH_ATTN_TYPE_DISABLED)
    # As llama.cpp's own programs do: a layer with a sliding window keeps the window, not the whole context.
    params.swa_full = False
    params.no_perf = True
    return params
