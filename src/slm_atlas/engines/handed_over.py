"""Engines that are lm-eval's own models: transformers on this machine, and completions behind a server.

They are given lm-eval's requests whole, and lm-eval does the rest: tokens, batches, truncation. Importing lm-eval and
torch takes seconds and is done when a model is loaded.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from slm_atlas.engines.client import KEY_VARIABLE
from slm_atlas.engines.partial import Partial
from slm_atlas.engines.values import EngineInfo, LoadReport, LoadSettings, Reply, Request
from slm_atlas.errors import EngineRefused

DTYPE = "float32"
"""Number type of the weights: what a processor computes in anyway, and a dequantized file loses nothing in."""
BATCH_SIZE = 8
"""Requests that transformers computes at once."""
TIMEOUT_S = 300
"""Longest answer of a server."""
COUNTING = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10,"
"""A text that any trained model goes on with in no doubt."""
PROBE = "It's 1,024 x 3  and  42:\n\n\tdef f(x):  # naïve «ß» 你好 🙂"
"""A text that tokenizers cut in many ways."""
SURE = -3.0
"""Nats a token that its own most probable continuation of `COUNTING` has at least: one choice in twenty."""


class HandedOver(Partial):
    """A model of lm-eval's own; see `slm_atlas.engines.base.Engine` for what each method does."""

    def __init__(self) -> None:
        self._lm: Any = None

    def ask(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer requests of one kind.

        Raises:
            EngineRefused: no model is loaded, or lm-eval's gives up on them; with its reason.
        """
        if self._lm is None:
            raise EngineRefused("no model is loaded")
        from lm_eval.api.instance import Instance

        kind = requests[0].kind
        instances = [
            Instance(request_type=kind, doc={}, arguments=tuple(request.arguments), idx=number)
            for number, request in enumerate(requests)
        ]
        with _reasons():
            answers = getattr(self._lm, kind)(instances, disable_tqdm=True)
            return [self._reply(request, answer) for request, answer in zip(requests, answers, strict=True)]

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """As lm-eval's model does."""
        if self._lm is None or self._lm.tokenizer is None:
            raise EngineRefused("the model has no tokenizer here")
        with _reasons():
            return [int(token) for token in self._lm.tok_encode(text)]

    def _reply(self, request: Request, answer: Any) -> Reply:  # noqa: ANN401  (of each kind another)
        if request.kind == "generate_until":
            return Reply(tokens=self._count(answer), text=answer)
        if request.kind == "loglikelihood_rolling":
            return Reply(tokens=self._count(request.arguments[0]), logprob=float(answer))
        logprob, greedy = answer
        return Reply(tokens=self._count(request.arguments[1]), logprob=float(logprob), greedy=bool(greedy))

    def _count(self, text: str) -> int | None:
        """Tokens of a text alone."""
        if self._lm.tokenizer is None:
            return None
        return len(self._lm.tok_encode(text, add_special_tokens=False)) if text else 0


class HuggingFace(HandedOver):
    """lm-eval's `hf`: a folder as transformers saves one, or a GGUF file that transformers dequantizes."""

    name = "hf"

    def describe(self) -> EngineInfo:
        """lm-eval's model, what it stands on, and how it computes."""
        stack = ", ".join(f"{name} {_version(name)}" for name in ("transformers", "torch"))
        return EngineInfo(
            name=self.name,
            version=f"lm-eval {_version('lm-eval')} hf, {stack}",
            build=f"{DTYPE}, batch size {BATCH_SIZE}, processor",
        )

    def load(self, settings: LoadSettings) -> LoadReport:
        """Load a folder or a file.

        Raises:
            EngineRefused: transformers does not take it; with its reason.
        """
        path, began = Path(settings.path), time.perf_counter()
        whole = {"pretrained": str(path)}
        if path.is_file():
            whole = {"pretrained": str(path.parent), "gguf_file": path.name}
        with _reasons():
            from lm_eval.models.huggingface import HFLM

            self._lm = HFLM(**whole, device="cpu", dtype=DTYPE, batch_size=BATCH_SIZE, max_length=settings.context)
            model = self._lm.model
            params = sum(parameter.numel() for parameter in model.parameters())
        return LoadReport(
            load_s=time.perf_counter() - began,
            n_vocab=int(self._lm.vocab_size),
            context=int(self._lm.max_length),
            micro_batch=BATCH_SIZE,
            threads=os.cpu_count() or 1 if settings.threads == 0 else settings.threads,
            model_desc=type(model).__name__,
            model_params=params,
            model_size_bytes=4 * params,
            remarks=self._cut_otherwise(path) if path.is_file() else [],
        )

    def _cut_otherwise(self, path: Path) -> list[str]:
        """What to say where the tokenizer that transformers makes of a GGUF is not the file's (`torch_model`)."""
        from slm_atlas.engines.gguf_text import GgufFileText

        with ThreadPoolExecutor(1) as pool:
            try:
                text = GgufFileText(path, pool)
            except EngineRefused:  # nobody can say
                return []
            with contextlib.closing(text):
                same = text.tokenize(PROBE) == self._lm.tok_encode(PROBE, add_special_tokens=False)
        return [] if same else ["transformers' tokenizer of this file cuts some texts otherwise than the file says"]


class Completions(HandedOver):
    """lm-eval's `local-completions`: a model behind an OpenAI-compatible server."""

    name = "completions"

    def __init__(self) -> None:
        super().__init__()
        self._tried = False

    def describe(self) -> EngineInfo:
        """lm-eval's model; what stands behind the URL only its server knows."""
        return EngineInfo(
            name=self.name,
            version=f"lm-eval {_version('lm-eval')} local-completions",
            build="number type as the server has it, batch size 1",
        )

    def load(self, settings: LoadSettings) -> LoadReport:
        """Take `endpoint:NAME@URL` for the model; nothing is asked of the server yet.

        Raises:
            EngineRefused: a package of lm-eval's `api` extra is missing, or the tokenizer cannot be had.
        """
        self._tried = False
        name, _, url = settings.path.removeprefix("endpoint:").rpartition("@")
        with _reasons():
            from lm_eval.models.openai_completions import LocalCompletionsAPI

            self._lm = LocalCompletionsAPI(
                model=name,
                base_url=f"{url.partition('#')[0].rstrip('/')}/completions",
                tokenizer_backend="huggingface" if settings.tokenizer else None,
                tokenizer=settings.tokenizer,
                tokenized_requests=False,
                max_length=settings.context,
                max_retries=1,
                timeout=TIMEOUT_S,
                header=_headers(),
            )
        return LoadReport(
            load_s=0.0,
            n_vocab=0,
            context=settings.context,
            micro_batch=1,
            threads=0,
            model_desc=name,
            model_params=0,
            model_size_bytes=0,
            remarks=["a server does not tell what it runs: zeros are unknown"],
        )

    def ask(self, requests: Sequence[Request]) -> list[Reply]:
        """As of any; log probabilities need a tokenizer, which tells where in the answer a continuation begins."""
        if self._lm is not None and requests[0].kind != "generate_until":
            if self._lm.tokenizer is None:
                raise EngineRefused("log probabilities from a server need the model's tokenizer (--tokenizer DIR)")
            self._try_out()
        return super().ask(requests)

    def _try_out(self) -> None:
        """Have the server write a few words and give their log probability: once, before the first is believed.

        llama.cpp's server gives none for a prompt (its issue 27174), llama-cpp-python's those of each token after
        itself (its issue 1983); lm-eval makes scores of either.

        Raises:
            EngineRefused: what it gives is not the log probability of its own words.
        """
        if self._tried:
            return
        told = Request(kind="generate_until", arguments=[COUNTING, {"max_gen_toks": 8, "temperature": 0, "until": []}])
        [wrote] = super().ask([told])
        if wrote.text and wrote.tokens:
            [back] = super().ask([Request(kind="loglikelihood", arguments=[COUNTING, wrote.text])])
            fault = doubt(back.logprob or 0.0, wrote.tokens, greedy=bool(back.greedy))
            if fault is not None:
                raise EngineRefused(f"the server's log probabilities are wrong: {fault}")
        self._tried = True


def doubt(logprob: float, tokens: int, *, greedy: bool) -> str | None:
    """What is wrong with the log probability of words that a server wrote as the most probable ones; None: nothing.

    Args:
        logprob: what the server gives for them, in nats.
        tokens: how many they are.
        greedy: whether, by what it gives, each was the most probable one.

    >>> doubt(-92.4, 8, greedy=False)
    'words that it chose as the most probable ones have -11.6 nats a token by them'
    """
    if logprob == 0.0:
        return "it gives none for a prompt"
    if greedy or logprob / tokens >= SURE:
        return None
    return f"words that it chose as the most probable ones have {logprob / tokens:.1f} nats a token by them"


def _headers() -> dict[str, str]:
    """With the server's own key, where there is one; never empty, since lm-eval then sends the one for OpenAI."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    return {"Accept": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "?"


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    """Whatever the libraries raise becomes a refusal of one line: they check little themselves, and raise anything."""
    try:
        yield
    except EngineRefused:
        raise
    except Exception as error:  # the libraries' own, of every kind
        first = (str(error).strip().splitlines() or [""])[0][:300]
        raise EngineRefused(f"lm-eval's model gave up: {type(error).__name__}: {first}") from error
