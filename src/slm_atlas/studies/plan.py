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

from slm_atlas.bench import BenchSettings
from slm_atlas.bench.protocol import IGNORED, PROTOCOL_VERSION
from slm_atlas.engines import EngineInfo
from slm_atlas.errors import UserError
from slm_atlas.evals import ShotsOrder, task_fingerprint
from slm_atlas.evals import suite as find_suite
from slm_atlas.store import run_key
from slm_atlas.store.records import Host, RunKind
from slm_atlas.studies.schema import Study
from slm_atlas.studies.subjects import Subject


class EvalTarget(NamedTuple):
    """What an evaluation cell evaluates."""

    suite: str
    """The suite's name."""
    task: str
    """The task's name."""
    context: int
    """Tokens of context."""
    limit: int | None
    """Only so many items; None: all."""
    shots_order: str
    """How worked examples are chosen: `lm-eval` or `fixed`."""


class Cell(NamedTuple):
    """One run to make: of costs (`target` is settings) or of one task."""

    key: str
    """The key it is stored under."""
    kind: RunKind
    """Cost or capability."""
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
        return f"{self.subject.label}: run {self.replicate + 1}"


def plan(study: Study, subjects: Sequence[Subject], host: Host, engine: EngineInfo) -> list[Cell]:
    """All cells of a study, in the order in which they are run: costs in blocks, then tasks.

    What is named twice, or is the same file under two names, is measured once.

    Raises:
        UserError: a setting means nothing to the engine.
    """
    _check_ignored(study, engine)
    cells = [*_bench_cells(study, subjects, host, engine), *_eval_cells(study, subjects, host, engine)]
    return list({cell.key: cell for cell in reversed(cells)}.values())[::-1]


def _check_ignored(study: Study, engine: EngineInfo) -> None:
    """A setting that would be ignored is refused: nobody shall believe that it was measured."""
    default, arms = BenchSettings(), study.arms()
    for name in IGNORED.get(engine.name, ()):
        if any(getattr(arm, name) != getattr(default, name) for arm in arms):
            option = f"--{name.removesuffix('_bytes').replace('_', '-')}"
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
            if not settings.energy:
                # The pass comes after all others: with it or without, a run is the same.
                stored.pop("energy", None)
            if not settings.pin:
                # Runs of older versions, which knew no such setting, are of the same measurement.
                stored.pop("pin", None)
            key = _key(RunKind.BENCH, subject, host, engine, stored, number)
            first = (subject, settings) == arms[0]
            yield Cell(key, RunKind.BENCH, subject, settings, stored, number, replicate, first)


def _threaded(settings: BenchSettings, subject: Subject) -> BenchSettings:
    """The settings with the model's own number of threads, where that was looked for."""
    return settings if subject.knee is None else msgspec.structs.replace(settings, threads=subject.knee.threads)


def _eval_cells(study: Study, subjects: Sequence[Subject], host: Host, engine: EngineInfo) -> Iterator[Cell]:
    for subject in subjects:
        for suite in map(find_suite, subject.suites):
            for task in suite.tasks:
                target = EvalTarget(suite.name, task.name, study.eval_context, study.limit, str(study.shots_order))
                fingerprint = task_fingerprint(suite, task.name)
                settings = {
                    **target._asdict(),
                    "task_version": fingerprint.version,
                    "data_hash": fingerprint.data_hash,
                    "chance": task.chance,
                }
                if target.shots_order == ShotsOrder.LM_EVAL:
                    # As it was before there was a choice: runs stored then still count.
                    settings.pop("shots_order")
                key = _key(RunKind.EVAL, subject, host, engine, settings, 0)
                yield Cell(key, RunKind.EVAL, subject, target, settings, 0)


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
