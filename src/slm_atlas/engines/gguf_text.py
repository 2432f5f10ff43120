"""The tokenizer of a GGUF file, by llama.cpp: text becomes tokens, and tokens become text.

Import this module only in a worker process: native code may abort.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import llama_cpp.llama_cpp as lib

from slm_atlas.engines.generating import Vocabulary
from slm_atlas.errors import EngineRefused

Model: TypeAlias = Any
"""A pointer of llama.cpp's."""


class GgufText:
    """Text and tokens of a model that llama.cpp has loaded."""

    def __init__(self, model: Model, pool: ThreadPoolExecutor) -> None:
        """Take the vocabulary of a model.

        Args:
            model: it must stay loaded.
            pool: threads that may tokenize: llama.cpp's tokenizer keeps no state, and the bindings free the GIL.
        """
        self._vocab = lib.llama_model_get_vocab(model)
        self._pool = pool
        self.n_vocab = int(lib.llama_vocab_n_tokens(self._vocab))
        """Tokens it knows."""

    def need_words(self) -> None:
        """Raise `EngineRefused` where the model has no vocabulary (a forged one)."""
        if lib.llama_vocab_type(self._vocab) == lib.LLAMA_VOCAB_TYPE_NONE:
            raise EngineRefused("the model has no tokenizer (a forged model has random weights and no vocabulary)")

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids; raises `EngineRefused` where the model has no vocabulary."""
        self.need_words()
        raw = text.encode()
        room = (lib.llama_token * (len(raw) + 8))()
        count = lib.llama_tokenize(self._vocab, raw, len(raw), room, len(room), special, special)
        if count < 0:
            raise EngineRefused(f"llama.cpp could not tokenize {len(raw)} bytes")
        return list(room[:count])

    def tokenize_all(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        """Token ids of each text, on all cores."""
        return list(self._pool.map(lambda text: self.tokenize(text, special=special), texts))

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text; bytes that are not UTF-8 become the replacement character."""
        if not tokens:
            return ""
        given = (lib.llama_token * len(tokens))(*tokens)
        room = ctypes.create_string_buffer(64 * len(tokens) + 64)
        count = lib.llama_detokenize(self._vocab, given, len(tokens), room, len(room), False, True)
        if count < 0:
            raise EngineRefused(f"llama.cpp could not turn {len(tokens)} tokens into text")
        return room.raw[:count].decode("utf-8", errors="replace")

    def begin_of_text(self) -> int:
        """Or what ends a text or a turn, where there is none; raises `EngineRefused` where there is none of them."""
        found = [int(ask(self._vocab)) for ask in (lib.llama_vocab_bos, lib.llama_vocab_eos, lib.llama_vocab_eot)]
        known = [token for token in found if token >= 0]
        if not known:
            raise EngineRefused("the model has no token that begins or ends a text")
        return known[0]

    def vocabulary(self) -> Vocabulary:
        """What generation needs of it."""
        return Vocabulary(self._piece, lambda token: lib.llama_vocab_is_eog(self._vocab, token), self.detokenize)

    def _piece(self, token: int) -> bytes:
        room = ctypes.create_string_buffer(256)
        count = lib.llama_token_to_piece(self._vocab, token, room, len(room), 0, True)
        return room.raw[:count] if count >= 0 else self.detokenize([token]).encode()

    def close(self) -> None:
        """Nothing: whoever loaded the model frees it."""


class GgufFileText(GgufText):
    """The same for a file whose weights are not llama.cpp's to load."""

    def __init__(self, path: Path, pool: ThreadPoolExecutor) -> None:
        """Read the vocabulary alone; raises `EngineRefused` for a file that llama.cpp does not take."""
        params = lib.llama_model_default_params()
        params.vocab_only = True
        self._model = lib.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise EngineRefused("llama.cpp, whose tokenizer is used, does not load the file's vocabulary")
        super().__init__(self._model, pool)

    def close(self) -> None:
        """Free it."""
        if self._model:
            lib.llama_model_free(self._model)
        self._model = None
