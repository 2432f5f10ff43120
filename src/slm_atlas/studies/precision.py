"""In which precision a file is evaluated, where the study leaves that to a probe."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from slm_atlas.bench import room
from slm_atlas.engines import EngineInfo, Worker
from slm_atlas.evals import Choice, Compute
from slm_atlas.evals.compute import (
    COPIES,
    TOKENS,
    TORCH,
    choose,
    copy_path,
    keep_choice,
    known_choice,
    loading,
    settled,
)
from slm_atlas.models.requantize import requantized_bytes
from slm_atlas.store.records import Host
from slm_atlas.studies.schema import Study
from slm_atlas.studies.subjects import Subject
from slm_atlas.units import format_bytes

PROBE_DEADLINE_S = 300.0
"""Longest single call of a probe."""


def with_known_choice(subject: Subject, study: Study, host: Host, engine: EngineInfo) -> Subject:
    """The file with what was chosen for it before, where a study leaves the precision to a probe."""
    if study.compute is not Compute.AUTO or subject.problem is not None:
        return subject
    return subject._replace(choice=known_choice(subject.artifact.sha256, host.id, engine.text))


def probed_choice(subject: Subject, host: Host, engine: EngineInfo) -> Choice:
    """The precision of a file that is there, found now and kept.

    Copies that were made for it are removed again, but for the one that is chosen.

    Raises:
        UserError: a copy cannot be made.
        EngineError: the file itself cannot be run.
    """
    path, label = Path(subject.path), subject.artifact.quantization
    wanted = [compute for compute in COPIES if settled(compute, label, engine.name) is compute]
    crowded = _crowded(subject, wanted, engine.name)
    tried = [] if crowded else wanted
    copied = [] if engine.name == TORCH else tried
    made = [copy for compute in copied if not (copy := copy_path(path, compute)).exists()]
    files = {
        compute: loading(path, compute, context=TOKENS, engine=engine.name) for compute in (Compute.NATIVE, *tried)
    }
    left_out = dict.fromkeys(wanted, crowded) if crowded else {}
    choice = choose(partial(Worker, engine.name, deadline_s=PROBE_DEADLINE_S), files, left_out)
    for copy in made:
        if str(copy) != files[choice.compute].path:
            copy.unlink(missing_ok=True)
    keep_choice(choice, subject.artifact.sha256, host.id, engine.text)
    return choice


def _crowded(subject: Subject, wanted: list[Compute], engine: str) -> str | None:
    """Why the copies do not fit in memory beside the file, as they must to be timed in turn; None if they do."""
    path = Path(subject.path)
    if engine == TORCH:
        # At four bytes a parameter natively, at two in each other type; of a folder that tells none, two a byte.
        needed = (subject.artifact.params or (subject.artifact.size_bytes or 0) // 2) * (4 + 2 * len(wanted))
    else:
        needed = path.stat().st_size + sum(requantized_bytes(path, compute.label) for compute in wanted)
    free = room().bytes
    return None if needed < free else f"all take {format_bytes(needed)} of memory, and {format_bytes(free)} are free"
