"""Loads a model with transformers: a folder as it saves one, or a GGUF file that it dequantizes.

The tokenizer of a GGUF file is llama.cpp's: the one that transformers makes of it leaves out what the file says of
cutting texts before merging (it gives SmolLM2 two tokens for two spaces before a digit, where the model learned one).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from slm_atlas import home

# Before transformers is imported: it must not ask the hub for kernels, or for anything else.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(home.kernels_dir()))

import torch
import transformers

from slm_atlas.engines.generating import Vocabulary
from slm_atlas.errors import EngineRefused

Model: TypeAlias = Any
"""Models, tokenizers and their classes: transformers has no types here."""


class SavedText:
    """Text and tokens by the tokenizer of a folder."""

    def __init__(self, folder: Path) -> None:
        """Raises `EngineRefused` where transformers does not load it."""
        self._tokenizer = _loaded(transformers.AutoTokenizer, folder)

    def tokenize_all(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        """Token ids of each text; it takes many at once."""
        if not texts:
            return []
        found = self._tokenizer(list(texts), add_special_tokens=special, split_special_tokens=not special)
        return [list(tokens) for tokens in found["input_ids"]]

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text, without the tokens that control."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def begin_of_text(self) -> int:
        """Or what ends one, where there is none; raises `EngineRefused` where there is neither."""
        known = [own for own in (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id) if own is not None]
        if not known:
            raise EngineRefused("the tokenizer has no token that begins or ends a text")
        return int(known[0])

    def vocabulary(self) -> Vocabulary:
        """What generation needs of it; the bytes of a token are not told."""
        return Vocabulary(piece=None, ends=lambda token: token == self._tokenizer.eos_token_id, text=self.detokenize)

    def close(self) -> None:
        """Nothing to free."""


def load(path: Path, dtype: str) -> Model:
    """The model, in this number type (`float32`, `bfloat16` or `float16`), of a folder or a file.

    Raises:
        EngineRefused: transformers does not take it; with its reason.
    """
    return _loaded(transformers.AutoModelForCausalLM, path, dtype=getattr(torch, dtype)).eval()


def _loaded(kind: Model, path: Path, **how: object) -> Model:
    where, which = (path.parent, {"gguf_file": path.name}) if path.is_file() else (path, {})
    try:
        return kind.from_pretrained(str(where), **which, **how)
    except Exception as error:  # the libraries' own, of every kind
        first = (str(error).strip().splitlines() or [""])[0][:300]
        raise EngineRefused(f"transformers does not load it: {type(error).__name__}: {first}") from error


def window_of(config: Model) -> int | None:
    """Tokens that its sliding layers look back; None: it has none."""
    text = config.get_text_config()
    window = getattr(text, "sliding_window", None)
    used = getattr(text, "use_sliding_window", True)
    return int(window) if window and used else None


def end_tokens(model: Model) -> frozenset[int]:
    """The tokens that end a text beside the tokenizer's own, as transformers' generation has them."""
    told = getattr(model.generation_config, "eos_token_id", None)
    ends = told if isinstance(told, list) else [told]
    return frozenset(int(token) for token in ends if token is not None)
