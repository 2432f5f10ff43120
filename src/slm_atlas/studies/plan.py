"""From a study to cells: the files it needs, and one cell for each run that must stand in the store.

A cell's key is the content of what determines its result, so a cell that was measured before (by any study) is known.
An arm is a model measured in one way. Runs of different arms are interleaved in random blocks, one run of each a block:
drift of the machine then falls on all of them alike.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from slm_atlas.anatomy.cache import KV_TYPE_BYTES
from slm_atlas.bench import BenchSettings, fitting_context, misfit
from slm_atlas.bench.protocol import EXTRA_PASSES, IGNORED, PROFILE_VERSION, PROFILED, PROTOCOL_VERSION
from slm_atlas.engines import EngineInfo
from slm_atlas.errors import UserError
from slm_atlas.evals import Compute
from slm_atlas.evals.compute import TORCH, settled
from slm_atlas.store import run_key
from slm_atlas.store.records import Host, RunKind
from slm_atlas.studies.evaluations import EvalTarget, in_precision, select, settings_of
from slm_atlas.studies.schema import Study
from slm_atlas.studies.subjects import Subject


class Cell(NamedTuple):
    """One run to make: of costs or of where the time goes (`target` is settings), or of one task."""

    key: str
    """The key it is stored under."""
    kind: RunKind
    """Cost, profile or capability."""
    subject: Subject
    """The file."""
    target: BenchSettings | EvalTarget
    """What to measure."""
    settings: dict[str, Any]
    """All that determines the result, as it is stored."""
    replicate: int
    """Which repetition."""
    block: int = 0
    """The block it is made in, of costs."""
    first: bool = False
    """It is of the first arm, which ratios are made to."""

    @property
    def label(self) -> str:
        """What runs, as people see it."""
        if isinstance(self.target, EvalTarget):
            return f"{self.subject.label}: {self.target.task}"
        what = "profile" if self.kind is RunKind.PROFILE else "run"
        return f"{self.subject.label}: {what} {self.replicate + 1}"


def check(study: Study, engine: str) -> None:
    """That a study can be run at all, before a file is made for it.

    An arm whose tokens do not fit its context is a recorded refusal where others do fit: a sweep of contexts and depths
    has such corners.

    Raises:
        UserError: what is varied is no setting, a type is unknown, or no arm fits its context.
    """
    for name in {arm.kv_type for arm in study.arms()} - KV_TYPE_BYTES.keys():
        raise UserError(f"There is no KV cache type '{name}'.", f"one of {', '.join(KV_TYPE_BYTES)}")
    problems = [None if "context" in IGNORED.get(engine, ()) else misfit(arm) for arm in study.arms()]
    if (study.runs or study.profile_runs) and all(problems):
        first = str(problems[0])
        raise UserError(
            f"{first[0].upper()}{first[1:]}.", f"--context {max(fitting_context(arm) for arm in study.arms())}"
        )


def plan(study: Study, subjects: Sequence[Subject], host: Host, engine: EngineInfo) -> list[Cell]:
    """All cells of a study, in the order in which they are run: costs in blocks, then profiles in blocks, then tasks.

    What is named twice, or is the same file under two names, is measured once.

    Raises:
        UserError: a setting means nothing to the engine.
    """
    _check_ignored(study, engine)
    made = (cells(study, subjects, host, engine) for cells in (_bench_cells, _profile_cells, _eval_cells))
    cells = [cell for each in made for cell in each]
    return list({cell.key: cell for cell in reversed(cells)}.values())[::-1]


def _check_ignored(study: Study, engine: EngineInfo) -> None:
    """A setting that would be ignored is refused: nobody shall believe that it was measured."""
    if study.profile_runs and engine.name == "endpoint":
        raise UserError("A server does not tell where the time goes.", f"slm bench {study.models[0].model}")
    if study.compute is not Compute.NATIVE and engine.name not in ("llamacpp", TORCH, "fake"):
        raise UserError(f"--compute means nothing to the engine {engine.name}.", "leave --compute out")
    if study.tokenizer is not None and engine.name != "completions":
        raise UserError(f"--tokenizer means nothing to the engine {engine.name}.", "leave --tokenizer out")
    default, arms = BenchSettings(), study.arms()
    for name in IGNORED.get(engine.name, ()):
        if any(getattr(arm, name) != getattr(default, name) for arm in arms):
            option = f"--{name.removesuffix('_bytes').removesuffix('_s').replace('_', '-')}"
            raise UserError(f"{option} means nothing to the engine {engine.name}.", f"leave {option} out")


def _bench_cells(study: Study, subjects: Sequence[Subject], host: Host, engine: EngineInfo) -> Iterator[Cell]:
    arms = [(subject, _threaded(settings, subject)) for settings in study.arms() for subject in subjects]
    # The first arm is measured twice a block: how far it differs from itself is the noise floor.
    twin = arms[:1] if study.noise_floor else []
    ignored = IGNORED.get(engine.name, ())
    for replicate in range(study.runs):
        block = [*((arm, replicate) for arm in arms), *((arm, study.runs + replicate) for arm in twin)]
        # Seeded, so that a resumed study keeps its order.
        random.Random(f"{study.name} {replicate}").shuffle(block)
        for (subject, settings), number in block:
            asked = {name: value for name, value in msgspec.to_builtins(settings).items() if name not in ignored}
            stored = {**asked, "protocol": PROTOCOL_VERSION}
            for extra in EXTRA_PASSES:
                if not getattr(settings, extra):
                    stored.pop(extra, None)
            if not settings.pin:
                # Runs of older versions, which knew no such setting, are of the same measurement.
                stored.pop("pin", None)
            key = _key(RunKind.BENCH, subject, host, engine, stored, number)
            first = (subject, settings) == arms[0]
            yield Cell(key, RunKind.BENCH, subject, settings, stored, number, replicate, first)


def _threaded(settings: BenchSettings, subject: Subject) -> BenchSettings:
    """The settings with the model's own number of threads, where that was looked for."""
    return settings if subject.knee is None else msgspec.structs.replace(settings, threads=subject.knee.threads)


def _profile_cells(study: Study, subjects: Sequence[Subject], host: Host, engine: EngineInfo) -> Iterator[Cell]:
    arms = [(subject, _threaded(settings, subject)) for settings in study.arms() for subject in subjects]
    names = [name for name in PROFILED if name not in IGNORED.get(engine.name, ())]
    for replicate in range(study.profile_runs):
        block = list(arms)
        random.Random(f"{study.name} profile {replicate}").shuffle(block)
        for subject, settings in block:
            stored = {name: getattr(settings, name) for name in names} | {"protocol": PROFILE_VERSION}
            key = _key(RunKind.PROFILE, subject, host, engine, stored, replicate)
            yield Cell(key, RunKind.PROFILE, subject, settings, stored, replicate)


def _eval_cells(study: Study, subjects: Sequence[Subject], host: Host, engine: EngineInfo) -> Iterator[Cell]:
    known: dict[EvalTarget, dict[str, Any]] = {}
    for subject in subjects:
        for target in select(study, subject.model).targets:
            # Its rows are read and hashed once, however many models there are.
            stored = known[target] if target in known else known.setdefault(target, settings_of(target))
            precise, settings = in_precision(target, stored, _precision(study, subject, engine.name))
            key = _key(RunKind.EVAL, subject, host, engine, settings, 0)
            yield Cell(key, RunKind.EVAL, subject, precise, settings, 0)


def _precision(study: Study, subject: Subject, engine: str) -> Compute:
    """In which precision a file is evaluated; natively where that is yet to be probed."""
    if study.compute is Compute.AUTO:
        return Compute.NATIVE if subject.choice is None else subject.choice.compute
    return settled(study.compute, subject.artifact.quantization, engine)


def _key(
    kind: RunKind, subject: Subject, host: Host, engine: EngineInfo, settings: dict[str, Any], replicate: int
) -> str:
    return run_key(
        kind=kind,
        artifact=subject.artifact.sha256,
        host=host.id,
        engine=engine_text(engine),
        settings=settings,
        replicate=replicate,
    )


def engine_text(engine: EngineInfo) -> str:
    """An engine in one line, as it is stored: name, version and build."""
    return engine.text
