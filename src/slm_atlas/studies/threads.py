"""How many threads a model is measured with: no more than there are cores, and the knee where that is asked for."""

from __future__ import annotations

from contextlib import AbstractContextManager

import msgspec

from slm_atlas.bench import BenchSettings, Knee, disturbances, find_knee, host_state
from slm_atlas.bench.protocol import IGNORED
from slm_atlas.engines import Worker
from slm_atlas.engines.cores import choose_cores
from slm_atlas.engines.process import usable_cores
from slm_atlas.errors import UserError
from slm_atlas.store import RunKind, Store
from slm_atlas.store.records import Host
from slm_atlas.studies.schema import Study
from slm_atlas.studies.subjects import Subject

PROBE_DEADLINE_S = 300.0
"""Longest single call of a probe."""


def check_threads(study: Study) -> None:
    """Refuse what cannot be a measurement, before anything is made or run.

    Raises:
        UserError: more threads than cores, or a number of threads where the knee is asked for.
    """
    cores = usable_cores()
    most = max(arm.threads for arm in study.arms())
    if study.knee and most:
        raise UserError("The knee is a number of threads.", "leave --sweep threads out, or --threads knee")
    if not study.oversubscribe:
        check_fit(most, f"--threads {cores}, or --oversubscribe to measure it all the same")


def check_fit(threads: int, fix: str | None = None) -> None:
    """Refuse more threads than there are cores.

    Raises:
        UserError: there are; with what mends it.
    """
    cores = usable_cores()
    if threads > cores:
        words = f"{threads} threads do not fit {cores} core{'s' if cores > 1 else ''}: they would wait for each other."
        raise UserError(words, fix or f"--threads {cores}")


def known_knee(subject: Subject, bench: BenchSettings, store: Store, host: Host, engine: str) -> Knee | None:
    """The knee that was found before, for the same file, machine, engine, prompt and answer; None if none was."""
    cores = usable_cores()
    for run in reversed(store.runs(kind=RunKind.BENCH, artifact=subject.artifact.sha256)):
        if (run.host, run.engine) == (host.id, engine) and run.settings.get("pin", False) == bench.pin:
            knee = msgspec.convert(run.notes.get("knee"), Knee | None)
            if knee and (knee.n_prompt, knee.n_gen, knee.cores) == (bench.n_prompt, bench.n_gen, cores):
                return knee
    return None


def probed_knee(subject: Subject, bench: BenchSettings, engine: str) -> Knee:
    """The knee of a model whose file is there, found now.

    Raises:
        UserError: the engine has no threads to choose.
        EngineError: it declined or died at every number of threads.
    """
    if "threads" in IGNORED.get(engine, ()):
        raise UserError(f"--threads means nothing to the engine {engine}.", "leave --threads out")

    def start(threads: int) -> AbstractContextManager[Worker]:
        settings = msgspec.structs.replace(bench, threads=threads)
        limit = bench.memory_limit_bytes
        return Worker(engine, deadline_s=PROBE_DEADLINE_S, memory_limit_bytes=limit, spin=True, cores=pinned(settings))

    before = host_state()
    knee = find_knee(start, str(subject.path), bench, usable_cores())
    return msgspec.structs.replace(knee, disturbed=tuple(disturbances(before, host_state())))


def resolved(settings: BenchSettings) -> BenchSettings:
    """The settings, with a number of threads where they are pinned.

    An engine whose first thread has a core of its own would believe that there is one core.
    """
    return msgspec.structs.replace(settings, threads=settings.threads or usable_cores()) if settings.pin else settings


def pinned(settings: BenchSettings) -> list[int] | None:
    """The cores that the threads of a run are pinned to; None where they are not."""
    cores = choose_cores(resolved(settings).threads) if settings.pin else None
    return cores if isinstance(cores, list) else None


def unpinned(settings: BenchSettings) -> dict[str, str]:
    """Why threads that should be pinned are not, as a run's record has it."""
    cores = choose_cores(resolved(settings).threads) if settings.pin else None
    return {"pin": cores} if isinstance(cores, str) else {}
