"""In which precision an evaluation computes: as the weights are stored, or in 16 bits.

llama.cpp computes what a file holds, so that another precision is another file: a copy. PyTorch takes the weights in
any number type; in float32, which loses nothing of them, unless told otherwise.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from enum import StrEnum
from pathlib import Path

import msgspec

from slm_atlas import home
from slm_atlas.anatomy import Quantization
from slm_atlas.engines import Engine, LoadSettings
from slm_atlas.errors import EngineError
from slm_atlas.store import content_hash
from slm_atlas.units import format_seconds

TOKENS = 512
"""Tokens of the prefill that tells which precision is fastest: a full micro-batch."""
PASSES = 5
"""Prefills timed in each precision, in turn, after one that warms it up."""
GAIN = 1.1
"""How much faster a copy must be than the file as it is stored: less is within what two probes differ by."""


class Compute(StrEnum):
    """In which precision the weights are computed."""

    NATIVE = "native"
    """As they are stored."""
    BF16 = "bf16"
    """A copy of the file in bfloat16."""
    F16 = "f16"
    """A copy of the file in float16."""
    AUTO = "auto"
    """The fastest of these, if it is clearly faster than as stored."""

    @property
    def label(self) -> Quantization:
        """The format of the copy."""
        return Quantization(self.upper())


COPIES = (Compute.BF16, Compute.F16)
DTYPES = {Compute.NATIVE: "float32", Compute.BF16: "bfloat16", Compute.F16: "float16"}
"""PyTorch's number types."""
TORCH = "torch"
"""The engine that takes weights in any number type."""


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `auto` chose for a file, and why."""

    compute: Compute
    """The precision."""
    prefill_s: dict[Compute, list[float]]
    """Seconds of each prefill of `TOKENS` tokens, in the order in which they were made."""
    failed: dict[Compute, str] = {}
    """Why a precision could not be timed."""

    @property
    def words(self) -> str:
        """The choice and its reason, in a line.

        >>> Choice(compute=Compute.F16, prefill_s={Compute.NATIVE: [0.5, 0.6], Compute.F16: [0.25, 0.3]}).words
        'computed in f16 (512 tokens take 550 ms native, 275 ms in f16)'
        """
        times = [
            format_seconds(seconds) + (" native" if compute is Compute.NATIVE else f" in {compute}")
            for compute, seconds in medians(self.prefill_s).items()
        ]
        reasons = [f"{compute} left out: {cause}" for compute, cause in self.failed.items()]
        how = "as stored" if self.compute is Compute.NATIVE else f"in {self.compute}"
        told = "; ".join([f"{TOKENS} tokens take {', '.join(times)}", *reasons])
        return f"computed {how} ({told})"


def medians(prefill_s: Mapping[Compute, list[float]]) -> dict[Compute, float]:
    """The median of each precision's times."""
    return {compute: statistics.median(seconds) for compute, seconds in prefill_s.items() if seconds}


def fastest(prefill_s: Mapping[Compute, list[float]]) -> Compute:
    """The copy with the least median, if the file as stored takes `GAIN` times as long or more; else `NATIVE`.

    >>> fastest({Compute.NATIVE: [1.0], Compute.F16: [0.95]}), fastest({Compute.NATIVE: [1.0], Compute.F16: [0.9]})
    (<Compute.NATIVE: 'native'>, <Compute.F16: 'f16'>)
    """
    seconds = medians(prefill_s)
    best = min(seconds, key=lambda compute: seconds[compute])
    return best if seconds[Compute.NATIVE] >= GAIN * seconds[best] else Compute.NATIVE


def settled(compute: Compute, quantization: str, engine: str = "llamacpp") -> Compute:
    """The precision of a file with this label: one that is stored so is computed natively, but for PyTorch.

    >>> settled(Compute.F16, "F16"), settled(Compute.F16, "Q4_1"), settled(Compute.F16, "F16", "torch")
    (<Compute.NATIVE: 'native'>, <Compute.F16: 'f16'>, <Compute.F16: 'f16'>)
    """
    return Compute.NATIVE if engine != TORCH and quantization.lower() == compute else compute


def weights(path: Path, compute: Compute, *, engine: str = "llamacpp") -> Path:
    """The file that is computed: the model's own, or its copy in a precision, made if it is not there.

    Raises:
        UserError: the copy cannot be made.
    """
    if compute not in COPIES:
        return path
    from slm_atlas.models.requantize import requantized  # numpy: a tenth of a second

    return requantized(path, compute.label, engine=engine)


def loading(path: Path | str, compute: Compute, *, context: int, engine: str = "llamacpp") -> LoadSettings:
    """How a model is loaded to be computed in a precision; its copy is made if it is needed and not there.

    Raises:
        UserError: the copy cannot be made.
    """
    if engine == TORCH:
        # In 16 bits, which is asked for to be fast; float32 stays what lm-eval's `hf` computes.
        return LoadSettings(path=str(path), context=context, dtype=DTYPES[compute], compiled=compute in COPIES)
    if compute in COPIES:
        path = weights(Path(path), compute, engine=engine)
    return LoadSettings(path=str(path), context=context)


def copy_path(path: Path, compute: Compute) -> Path:
    """Where the copy of a file in a precision is kept."""
    from slm_atlas.models.requantize import requantized_path

    return requantized_path(path, compute.label)


def choose(
    start: Callable[[], AbstractContextManager[Engine]],
    files: Mapping[Compute, LoadSettings],
    left_out: Mapping[Compute, str] | None = None,
) -> Choice:
    """Time a prefill of each file in turn, each in an engine of its own, and choose.

    A copy whose engine declines or dies is left out.

    Args:
        start: starts an engine.
        files: how each precision is loaded; `NATIVE` is among them.
        left_out: why other precisions are not tried.

    Raises:
        EngineError: the file itself cannot be run.
    """
    prefill_s: dict[Compute, list[float]] = {}
    failed = dict(left_out or {})
    with ExitStack() as stack:
        timed: dict[Compute, Callable[[], float]] = {}
        for compute, settings in files.items():
            try:
                timed[compute] = _prefill(stack.enter_context(start()), settings)
                prefill_s[compute] = []
            except EngineError as error:
                if compute is Compute.NATIVE:
                    raise
                failed[compute] = error.cause
        for number in range(PASSES):
            # To and fro, so that a drift of the machine falls on all alike.
            for compute in timed if number % 2 == 0 else reversed(timed):
                prefill_s[compute].append(timed[compute]())
    return Choice(compute=fastest(prefill_s), prefill_s=prefill_s, failed=failed)


def _prefill(engine: Engine, settings: LoadSettings) -> Callable[[], float]:
    """Load a file and warm it up; what reads the tokens once more, and says how long it took."""
    loaded = engine.load(msgspec.structs.replace(settings, compiled=False))  # half a minute each, for a few prefills
    generator = random.Random(0)
    tokens = [generator.randrange(loaded.n_vocab) for _ in range(TOKENS)]
    engine.prefill(tokens)
    return lambda: engine.prefill(tokens)


def known_choice(artifact: str, host: str, engine: str) -> Choice | None:
    """What was chosen for a file (its sha256) on a machine by an engine before; None: nothing was.

    An evaluation that was interrupted so goes on in the precision that it began in.
    """
    try:
        return msgspec.json.decode(_kept(artifact, host, engine).read_bytes(), type=Choice)
    except (OSError, msgspec.MsgspecError):
        return None


def keep_choice(choice: Choice, artifact: str, host: str, engine: str) -> None:
    """Keep it for `known_choice`."""
    home.replace_file(_kept(artifact, host, engine), msgspec.json.encode(choice))


def _kept(artifact: str, host: str, engine: str) -> Path:
    return home.models_dir() / "requantized" / f"{artifact[:16]}-{content_hash([artifact, host, engine])[:12]}.json"
