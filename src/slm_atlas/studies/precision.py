"""In which precision a file is evaluated, where the study leaves that to a probe."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from slm_atlas.bench import room
from slm_atlas.engines import EngineInfo, Worker
from slm_atlas.evals import Choice, Compute
from slm_atlas.evals.compute import COPIES, choose, copy_path, keep_choice, known_choice, settled, weights
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
    path = Path(subject.path)
    wanted = [compute for compute in COPIES if settled(compute, subject.artifact.quantization) is compute]
    crowded = _crowded(path, wanted)
    tried = [] if crowded else wanted
    made = [copy for compute in tried if not (copy := copy_path(path, compute)).exists()]
    files = {compute: weights(path, compute, engine=engine.name) for compute in (Compute.NATIVE, *tried)}
    left_out = dict.fromkeys(wanted, crowded) if crowded else {}
    choice = choose(partial(Worker, engine.name, deadline_s=PROBE_DEADLINE_S), files, left_out)
    for copy in made:
        if copy != files[choice.compute]:
            copy.unlink(missing_ok=True)
    keep_choice(choice, subject.artifact.sha256, host.id, engine.text)
    return choice


def _crowded(path: Path, wanted: list[Compute]) -> str | None:
    """Why the copies do not fit in memory beside the file, as they must to be timed in turn; None if they do."""
    needed = path.stat().st_size + sum(requantized_bytes(path, compute.label) for compute in wanted)
    free = room().bytes
    return None if needed < free else f"all take {format_bytes(needed)} of memory, and {format_bytes(free)} are free"
