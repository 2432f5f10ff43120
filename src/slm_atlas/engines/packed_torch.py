"""PyTorch for evaluations: real weights through transformers, many texts computed at once as in our llama.cpp engine.

Import this module only in a worker process. The attention of the model is replaced by one that knows which tokens
belong to which text (`torch_sequences.py`); where a model does not compute the same numbers so (`torch_check.py`), its
texts are read whole, one after another.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from slm_atlas.engines import process, torch_model  # before torch: `torch_model` sets what transformers reads
from slm_atlas.engines.generating import Generator, Vocabulary
from slm_atlas.engines.gguf_text import GgufFileText, GgufText
from slm_atlas.engines.packing import Run, checked
from slm_atlas.engines.partial import Partial
from slm_atlas.engines.scoring import Scorer
from slm_atlas.engines.softmax import LogSoftmax
from slm_atlas.engines.torch_check import fault
from slm_atlas.engines.torch_model import SavedText
from slm_atlas.engines.torch_network import Network
from slm_atlas.engines.torch_own import Own
from slm_atlas.engines.torch_sequences import Apart, Shared
from slm_atlas.engines.values import EngineInfo, Generations, LoadReport, LoadSettings, Pair, Prompt, Scores
from slm_atlas.errors import EngineRefused

import torch  # isort: skip
import transformers  # isort: skip

SIZE = 4096
"""Most tokens of a call: products of many rows are faster, up to about so many (`benchmarks/README.md`)."""
LOGITS_BYTES = 2 << 30
"""Most bytes that the logits of a call may take: where more would, as with a large vocabulary, a call has less."""
SCORED = 512
"""Sequences of a call in scoring."""
WORTH = 0.125
"""Texts that have a smaller part in common are read each from its beginning: else the few cells they share would lie
far from their others, and attention would have to copy those (all of MMLU begins with the same few words)."""
COMPILERS = (os.environ.get("CXX", ""), "g++", "clang++")
"""What PyTorch compiles kernels with, if it is there."""


class PackedTorch(Partial):
    """The engine; see `slm_atlas.engines.base.Engine` for what each method does."""

    name = "torch"

    def __init__(self) -> None:
        self._network: Network | None = None
        self._text: GgufText | SavedText | None = None
        self._pool = ThreadPoolExecutor(process.usable_cores())
        self._forget()

    def _forget(self) -> None:
        self._scorer: Scorer | None = None
        self._generator: Generator | None = None
        self._granted = (0, 0)  # sequences and tokens of the generator

    def describe(self) -> EngineInfo:
        """Versions, and the instruction sets that PyTorch's kernels use here."""
        capability = torch.backends.cpu.get_cpu_capability()
        kernels = "layers compiled in 16 bits" if _compiles() else "nothing compiled"
        return EngineInfo(
            name=self.name,
            version=f"transformers {transformers.__version__}, torch {torch.__version__}",
            build=f"{capability}, oneDNN {'on' if torch.backends.mkldnn.is_available() else 'off'}, texts together, "
            f"{kernels}",
        )

    def load(self, settings: LoadSettings) -> LoadReport:
        """Load a folder or a file, and check that texts together give what each gives alone.

        Raises:
            EngineRefused: transformers does not take it; with its reason.
        """
        self.close()
        began = time.perf_counter()
        torch.set_num_threads(settings.threads or process.usable_cores())
        path = Path(settings.path)
        model = torch_model.load(path, settings.dtype)
        self._text = GgufFileText(path, self._pool) if path.is_file() else SavedText(path)
        self._settings, self._network = settings, Network(model)
        self._ends = torch_model.end_tokens(model)
        vocabulary = model.get_input_embeddings().weight.shape[0]
        self._size = _size(vocabulary)
        remarks = self._checked(vocabulary, torch_model.window_of(model.config) or 0)
        weights = list(model.parameters())
        return LoadReport(
            load_s=time.perf_counter() - began,
            n_vocab=vocabulary,
            context=settings.context,
            micro_batch=self._size if self._together else settings.context,
            threads=torch.get_num_threads(),
            model_desc=f"{type(model).__name__}, {settings.dtype}",
            model_params=sum(weight.numel() for weight in weights),
            model_size_bytes=sum(weight.numel() * weight.element_size() for weight in weights),
            remarks=remarks,
        )

    def _checked(self, vocabulary: int, window: int) -> list[str]:
        """Find out what the model can do: be compiled, read texts together; what it cannot, in words."""
        network, settings, remarks = self._loaded(), self._settings, []
        window = window if window < settings.context else 0  # one as long as the context is none
        if settings.compiled and _compiles():
            network.compile()
            if (cause := fault(network, vocabulary, window, settings.dtype)) is None:
                self._together = True
                return []
            network.compile(on=False)
            remarks.append(f"layers are not compiled: {cause}")
        cause = fault(network, vocabulary, window, settings.dtype)
        self._together = cause is None
        return remarks if cause is None else [*remarks, f"texts are read one after another: {cause}"]

    # ---- text -------------------------------------------------------------------------------------------------

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """As `tokenize_all`."""
        return self.tokenize_all([text], special=special)[0]

    def tokenize_all(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        """As the model's own tokenizer does."""
        return self._loaded_text().tokenize_all(texts, special=special)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """As the model's own tokenizer does."""
        return self._loaded_text().detokenize(tokens)

    def begin_of_text(self) -> int:
        """The tokenizer's."""
        return self._loaded_text().begin_of_text()

    # ---- time -------------------------------------------------------------------------------------------------

    def prefill(self, tokens: Sequence[int], *, depth: int = 0) -> float:
        """Read tokens as scoring does, with nothing before them.

        Raises:
            EngineRefused: something is to stay in the cache.
        """
        if depth:
            raise EngineRefused("the engine 'torch' does not prefill after a depth")
        network = self._loaded()
        before = network.compute_s
        cache = Shared(network, 1) if self._together else Own(network)
        cache.run(tokens, range(len(tokens)), [Run(len(tokens), (0,))], [])
        return network.compute_s - before

    # ---- many texts -------------------------------------------------------------------------------------------

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """See `Engine.score`."""
        if self._scorer is None:
            self._scorer = self._new_scorer(self._loaded())
        return self._scorer.score(pairs)

    def _new_scorer(self, network: Network) -> Scorer:
        softmax, context = LogSoftmax(self._pool), self._settings.context
        if self._together:
            cache = Shared(network, SCORED)
            return Scorer(
                cache, softmax, context=context, size=self._size, sequences=SCORED, divisible=True, worth=WORTH
            )
        return Scorer(Own(network), softmax, context=context, size=context, sequences=1, divisible=False)

    def generate(self, prompts: Sequence[Prompt]) -> Generations:
        """See `Engine.generate`."""
        network, context = self._loaded(), self._settings.context
        longest = max((len(prompt.tokens) for prompt in checked(prompts)), default=1)
        if longest > context:
            raise EngineRefused(f"a prompt of {longest} tokens exceeds the context of {context}")
        tokens = min(context, max((len(prompt.tokens) + prompt.max_tokens for prompt in prompts), default=1))
        sequences = self._sequences(network, tokens, len(prompts))
        if self._generator is None or self._granted[0] < sequences or self._granted[1] < tokens:
            self._generator = self._new_generator(network, sequences, tokens)
            self._granted = (sequences, tokens)
        return self._generator.generate(prompts)

    def _sequences(self, network: Network, tokens: int, n_prompts: int) -> int:
        """How many at once: as many as are wanted and there is memory for; one more holds what prompts share."""
        if not self._together:
            return 2
        affordable = int(self._settings.sequences_bytes / (tokens * network.cached_bytes)) - 1
        return max(1, min(affordable, self._settings.sequences, n_prompts)) + 1

    def _new_generator(self, network: Network, sequences: int, tokens: int) -> Generator:
        # What was there is let go first: its cache may be large.
        self._generator = None
        together = self._together
        return Generator(
            Apart(network, sequences, tokens) if together else Own(network),
            self._vocabulary(),
            sequences=sequences,
            context=self._settings.context,
            size=self._size if together else self._settings.context,
            shares=together,
        )

    def _vocabulary(self) -> Vocabulary:
        own = self._loaded_text().vocabulary()
        return own._replace(ends=lambda token: token in self._ends or own.ends(token))

    def close(self) -> None:
        """Let go of the model."""
        if self._text:
            self._text.close()
        self._network = self._text = None
        self._forget()

    def _loaded(self) -> Network:
        if self._network is None:
            raise EngineRefused("no model is loaded")
        return self._network

    def _loaded_text(self) -> GgufText | SavedText:
        if self._text is None:
            raise EngineRefused("no model is loaded")
        return self._text


def _compiles() -> bool:
    return any(shutil.which(name) for name in COMPILERS if name)


def _size(vocabulary: int) -> int:
    """Tokens of a call, such that the logits of all of them, in 16 and in 32 bits, are no more than they may be.

    >>> _size(49_152), _size(151_936), _size(262_144)
    (4096, 2048, 1024)
    """
    size = SIZE
    while size > 512 and 6 * vocabulary * size > LOGITS_BYTES:
        size //= 2
    return size
