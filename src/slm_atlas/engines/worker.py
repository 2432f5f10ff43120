"""A worker: an engine in a fresh child process, so that its death is a result and not ours.

`Worker` is the parent's side: it is itself an `Engine` whose every call travels over a pipe. The parent blocks in a
read; a deadline is kept by a timer that kills the child. `main` is the child's side. The child
talks over its original standard input and output; what native code prints goes to its log.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from typing import IO, Self, TypeVar

import msgspec

from slm_atlas.engines import messages as msg
from slm_atlas.engines import process
from slm_atlas.engines.base import Engine
from slm_atlas.engines.cores import affinity, pin
from slm_atlas.engines.values import (
    Conversion,
    EngineInfo,
    FirstToken,
    Generations,
    LoadReport,
    LoadSettings,
    MemoryReport,
    Pair,
    Product,
    ProductReport,
    Profile,
    Prompt,
    Reply,
    Request,
    Response,
    Scores,
    ServerReport,
)
from slm_atlas.errors import EngineCrashed, EngineError, EngineRefused, EngineTimeout, MissingExtra, UserError

ENGINES = ("llamacpp", "transformers", "endpoint", "torch", "hf", "completions", "fake")
"""Names of the engines a worker can run."""
LOG_TAIL_LINES = 20
"""Lines of the engine's log kept with a failure."""
_PATIENT = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "10000"}
"""Threads spin for some 0.1 ms (GCC's OpenMP; others not at all), then sleep: without spinning, Linux tends to wake a
thread on the core of the one that woke it, and both share that."""
_TORCH = {"torch": "transformers", "transformers": "transformers"}
_NEEDED = {
    "transformers": _TORCH,
    "torch": _TORCH,
    "hf": {"lm_eval": "eval", **_TORCH},
    "completions": {"lm_eval": "eval", "tenacity": "endpoint"},
}
"""The modules that an engine needs, and the extras that bring them."""
_T = TypeVar("_T")


class Worker:
    """An engine in a child process of its own.

    Args:
        engine: one of `ENGINES`.
        deadline_s: seconds a single call may take; the child is killed when it takes longer.
        memory_limit_bytes: most bytes the child may map (mapped files count); None: no limit.
        spin: threads wait for each other in a busy loop, as llama.cpp's do by default. That is fastest on an idle
            machine, and slower by orders of magnitude where another program wants a core: for measuring time alone.
        cores: logical cores to pin the engine's threads to, one each; None: the system places them.

    Raises:
        UserError: there is no such engine.
        MissingExtra: it needs a package that is not installed.

    All methods raise `EngineRefused`, `EngineCrashed` or `EngineTimeout`, each with its cause and the log's tail.
    """

    def __init__(
        self,
        engine: str = "llamacpp",
        *,
        deadline_s: float = 600.0,
        memory_limit_bytes: int | None = None,
        spin: bool = False,
        cores: Sequence[int] | None = None,
    ) -> None:
        if engine not in ENGINES:
            raise UserError(f"There is no engine '{engine}'.", f"one of: {', '.join(ENGINES)}")
        for module, extra in _NEEDED.get(engine, {}).items():
            if find_spec(module) is None:
                raise MissingExtra(f"The engine {engine}", extra)
        self._deadline_s = deadline_s
        self._timed_out = False
        # The log is a file, not a pipe: nobody would empty a pipe while the parent waits.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the worker)
        self._child = _spawn(self._log, spin=spin)
        try:
            pinned = None if cores is None else list(cores)
            start = msg.Start(engine=engine, memory_limit_bytes=memory_limit_bytes, cores=pinned)
            self._info = self._call(start, EngineInfo)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._child.pid

    def describe(self) -> EngineInfo:
        """Which engine this is."""
        return self._info

    def load(self, settings: LoadSettings) -> LoadReport:
        """Load a model file."""
        return self._call(msg.Load(settings=settings), LoadReport)

    def memory(self) -> MemoryReport:
        """What is allocated now."""
        return self._call(msg.Memory(), MemoryReport)

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids of a text."""
        return self._call(msg.Tokenize(text=text, special=special), list[int])

    def tokenize_all(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        """Token ids of each text."""
        return self._call(msg.TokenizeAll(texts=list(texts), special=special), list[list[int]])

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Text of token ids."""
        return self._call(msg.Detokenize(tokens=list(tokens)), str)

    def begin_of_text(self) -> int:
        """The token that stands before an empty text."""
        return self._call(msg.BeginOfText(), int)

    def prefill(self, tokens: Sequence[int], *, depth: int = 0) -> float:
        """See `Engine.prefill`."""
        return self._call(msg.Prefill(tokens=list(tokens), depth=depth), float)

    def decode(self, tokens: Sequence[int]) -> list[float]:
        """Seconds of each token, measured in the child."""
        return self._call(msg.Decode(tokens=list(tokens)), list[float])

    def first_token(self, text: str) -> FirstToken:
        """See `Engine.first_token`."""
        return self._call(msg.Answer(text=text), FirstToken)

    def profile(
        self, prompt: Sequence[int], answer: Sequence[int], *, before: Sequence[int] = (), events: bool = False
    ) -> Profile:
        """Where the time goes, node by node."""
        request = msg.ProfileNodes(prompt=list(prompt), answer=list(answer), before=list(before), events=events)
        return self._call(request, Profile)

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """Log probabilities of continuations."""
        return self._call(msg.ScoreAll(pairs=list(pairs)), Scores)

    def generate(self, prompts: Sequence[Prompt]) -> Generations:
        """Continue prompts greedily."""
        return self._call(msg.Generate(prompts=list(prompts)), Generations)

    def ask(self, requests: Sequence[Request]) -> list[Reply]:
        """Requests of lm-eval's, answered by a model of its own."""
        return self._call(msg.Ask(requests=list(requests)), list[Reply])

    def multiply(self, product: Product) -> ProductReport:
        """Seconds of a matrix product, measured in the child."""
        return self._call(msg.Multiply(product=product), ProductReport)

    def quantize(self, conversion: Conversion) -> None:
        """Write a model file again in other types."""
        self._call(msg.Quantize(conversion=conversion), type(None))

    def connect(self, name: str, url: str) -> ServerReport:
        """Find out how a server is asked."""
        return self._call(msg.Connect(name=name, url=url), ServerReport)

    def respond(self, prompt: str, *, max_tokens: int) -> Response:
        """Have a server continue a prompt."""
        return self._call(msg.Respond(prompt=prompt, max_tokens=max_tokens), Response)

    def close(self) -> None:
        """End the child: it sees the end of its input and leaves; one that does not is killed."""
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        try:
            self._child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._log.close()

    def log_tail(self) -> str:
        """The last lines the engine logged."""
        with contextlib.suppress(ValueError):  # closed
            size = self._log.seek(0, os.SEEK_END)
            self._log.seek(max(0, size - 64 * 1024))
            lines = self._log.read().decode(errors="replace").splitlines()
            return "\n".join(lines[-LOG_TAIL_LINES:])
        return ""

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()

    def _call(self, request: msg.Request, result: type[_T]) -> _T:
        reply = self._exchange(request)
        if isinstance(reply, msg.Refused):
            raise EngineRefused(reply.cause, self.log_tail())
        return msgspec.msgpack.decode(reply.result, type=result)

    def _exchange(self, request: msg.Request) -> msg.Reply:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        timer = threading.Timer(self._deadline_s, self._expire)
        timer.start()
        try:
            msg.write_frame(self._child.stdin, request)
            body = msg.read_frame(self._child.stdout)
        except BrokenPipeError:
            body = None
        except BaseException:
            # Ctrl-C in the middle of a call: the child would go on with it for minutes before it saw the pipe close.
            self._child.kill()
            raise
        finally:
            timer.cancel()
        if body is None:
            raise self._death(type(request).__name__.lower())
        reply: msg.Reply = msgspec.msgpack.decode(body, type=msg.Reply)
        return reply

    def _expire(self) -> None:
        self._timed_out = True
        self._child.kill()

    def _death(self, doing: str) -> EngineError:
        status = self._child.wait()
        if self._timed_out:
            return EngineTimeout(f"no answer within {self._deadline_s:g} s during {doing}", self.log_tail())
        return EngineCrashed(f"{_describe_exit(status)} during {doing}", self.log_tail())


def _spawn(log: IO[bytes], *, spin: bool) -> subprocess.Popen[bytes]:
    # Read by the OpenMP runtime that llama.cpp is built with; what the user set stands.
    environment = dict(os.environ) if spin else {**_PATIENT, **os.environ}
    # Without it an abort starts a debugger, whose trace pushes the reason out of the log's end.
    environment.setdefault("GGML_NO_BACKTRACE", "1")
    # Not `-m`: the package imports this module itself, and Python warns of a module that is run after its import.
    command = [sys.executable, "-c", "from slm_atlas.engines.worker import main; main()"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment)


def _describe_exit(status: int) -> str:
    """What an exit status says of a death.

    >>> _describe_exit(-6), _describe_exit(3)
    ('the engine aborted (SIGABRT)', 'the engine exited with status 3')
    """
    if status >= 0:
        return f"the engine exited with status {status}"
    name = signal.Signals(-status).name
    known = {"SIGABRT": "aborted (SIGABRT)", "SIGKILL": "was killed (SIGKILL; the system may be out of memory)"}
    return f"the engine {known.get(name, f'died of {name}')}"


# ---- the child's side -------------------------------------------------------------------------------------------


def serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    """Answer requests until there are no more."""
    engine: Engine | None = None
    granted: list[int] | None = None
    while (body := msg.read_frame(requests)) is not None:
        request = msgspec.msgpack.decode(body, type=msg.Request)
        try:
            if isinstance(request, msg.Start):
                if request.cores is not None:
                    pin(request.cores)
                # Now: once its threads are bound, the engine's first thread speaks for itself alone.
                granted = affinity()
                engine = _make(request)
                result: object = engine.describe()
            else:
                assert engine is not None
                result = _answer(engine, request)
                if isinstance(result, LoadReport):
                    result = msgspec.structs.replace(result, cores=granted)
            reply: msg.Reply = msg.Done(result=msgspec.Raw(msgspec.msgpack.encode(result)))
        except EngineRefused as refusal:
            reply = msg.Refused(cause=refusal.cause)
        except MemoryError:
            reply = msg.Refused(cause="out of memory")
        msg.write_frame(replies, reply)
    if engine is not None:
        engine.close()


def _make(start: msg.Start) -> Engine:
    engine = _engine(start.engine)
    if start.memory_limit_bytes is not None:
        # After the import: the limit is for the model, and libraries map far more than they use.
        process.limit_memory(start.memory_limit_bytes)
    return engine


def _engine(name: str) -> Engine:
    match name:
        case "fake":
            from slm_atlas.engines.fake import Fake

            return Fake()
        case "endpoint":
            from slm_atlas.engines.endpoint import Endpoint

            return Endpoint()
        case "transformers":
            from slm_atlas.engines.transformers import Transformers

            return Transformers()
        case "torch":
            from slm_atlas.engines.packed_torch import PackedTorch

            return PackedTorch()
        case "hf":
            from slm_atlas.engines.handed_over import HuggingFace

            return HuggingFace()
        case "completions":
            from slm_atlas.engines.handed_over import Completions

            return Completions()
        case _:
            from slm_atlas.engines.llamacpp import LlamaCpp

            return LlamaCpp()


def _answer(engine: Engine, request: msg.Request) -> msg.Result:
    match request:
        case msg.Load(settings=settings):
            return engine.load(settings)
        case msg.Memory():
            return engine.memory()
        case msg.Tokenize(text=text, special=special):
            return engine.tokenize(text, special=special)
        case msg.TokenizeAll(texts=texts, special=special):
            return engine.tokenize_all(texts, special=special)
        case msg.Detokenize(tokens=tokens):
            return engine.detokenize(tokens)
        case msg.BeginOfText():
            return engine.begin_of_text()
        case msg.Prefill(tokens=tokens, depth=depth):
            return engine.prefill(tokens, depth=depth)
        case msg.Decode(tokens=tokens):
            return engine.decode(tokens)
        case msg.Answer(text=text):
            return engine.first_token(text)
        case msg.ProfileNodes(prompt=prompt, answer=answer, before=before, events=events):
            return engine.profile(prompt, answer, before=before, events=events)
        case msg.ScoreAll(pairs=pairs):
            return engine.score(pairs)
        case msg.Generate(prompts=prompts):
            return engine.generate(prompts)
        case msg.Multiply(product=product):
            return engine.multiply(product)
        case msg.Quantize(conversion=conversion):
            engine.quantize(conversion)
            return None
        case msg.Ask(requests=requests):
            return engine.ask(requests)
        case msg.Connect(name=name, url=url):
            return engine.connect(name, url)
        case msg.Respond(prompt=prompt, max_tokens=max_tokens):
            return engine.respond(prompt, max_tokens=max_tokens)
        case msg.Start():
            raise EngineRefused("the worker has started already")


def main() -> None:
    """Serve the parent; native code that prints to standard output prints to the log instead."""
    process.die_with_parent()
    process.die_first()
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # Ctrl-C is the parent's to handle: it closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(sys.stdin.buffer, replies)
