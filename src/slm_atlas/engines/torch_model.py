"""Loads a model and its tokenizer with transformers: a folder as it saves one, or a GGUF file that it dequantizes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

# Before transformers is imported: it must not ask the hub for kernels, or for anything else.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers

from slm_atlas.errors import EngineRefused

Model: TypeAlias = Any
Tokenizer: TypeAlias = Any
"""Classes of transformers, which has no types here."""


def load(path: Path, dtype: str) -> tuple[Model, Tokenizer]:
    """The model, in this number type, and its tokenizer.

    Args:
        path: a folder or a file.
        dtype: `float32`, `bfloat16` or `float16`.

    Raises:
        EngineRefused: transformers does not take it; with its reason.
    """
    where, which = (path.parent, {"gguf_file": path.name}) if path.is_file() else (path, {})
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(where), **which)
        model = transformers.AutoModelForCausalLM.from_pretrained(str(where), dtype=getattr(torch, dtype), **which)
    except Exception as error:  # the libraries' own, of every kind
        first = (str(error).strip().splitlines() or [""])[0][:300]
        raise EngineRefused(f"transformers does not load it: {type(error).__name__}: {first}") from error
    return model.eval(), tokenizer


def window_of(config: Model) -> int | None:
    """Tokens that its sliding layers look back; None: it has none."""
    text = config.get_text_config()
    window = getattr(text, "sliding_window", None)
    used = getattr(text, "use_sliding_window", True)
    return int(window) if window and used else None


def end_tokens(model: Model, tokenizer: Tokenizer) -> frozenset[int]:
    """The tokens that end a text, as transformers' own generation has them."""
    told = getattr(model.generation_config, "eos_token_id", None)
    ends = told if isinstance(told, list) else [told]
    return frozenset(int(token) for token in [*ends, tokenizer.eos_token_id] if token is not None)
