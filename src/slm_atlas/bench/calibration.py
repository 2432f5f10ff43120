"""What this machine can do at best, as measured and as kept: one JSON file a machine and build of the engine.

Not in the store: a run there belongs to a model file, and is a fact that is never changed. A calibration belongs to no
file, and gets better: each figure is a lower bound of what the hardware can do, so of two the higher is kept. What a
run was checked against stands in that run's own notes, so results that travel take it with them.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from pathlib import Path

import msgspec

from slm_atlas import home
from slm_atlas.bench.caches import Cache

STEADY = 0.75
"""A figure whose best time is a smaller share of the median one was disturbed: the best may be too slow as well."""


class Use(StrEnum):
    """Which part of a model's work a figure stands for."""

    READ = "read"
    """Reading memory: a matrix of F32, used once, times a vector."""
    DECODE = "decode"
    """A token: a matrix of some type times a vector."""
    PREFILL = "prefill"
    """A prompt: a matrix of some type times many vectors."""


class Figure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long one matrix product took."""

    use: Use
    """What it stands for."""
    type: str
    """Type of the weights: `Q4_0`."""
    rows: int
    """Rows of the matrix."""
    columns: int
    """Its columns."""
    tokens: int
    """Vectors multiplied at once."""
    threads: int
    """Threads that shared the work."""
    weight_bytes: int
    """Bytes of the matrix: the working set, where there is one vector."""
    layout: str
    """Where the engine kept it: `CPU`, `AMX`, `CPU_REPACK`."""
    level: str | None
    """The level of memory that holds it: `L2`, `L3`, `memory`; None where the caches are not known."""
    best_s: float
    """The shortest time: what the hardware can do, or less."""
    median_s: float
    """The median time."""
    n: int
    """Times measured."""

    @property
    def bytes_per_s(self) -> float:
        """Bytes of weights read in a second, at best."""
        return self.weight_bytes / self.best_s

    @property
    def flops(self) -> float:
        """Operations (a multiplication and an addition are two) in a second, at best."""
        return 2.0 * self.rows * self.columns * self.tokens / self.best_s

    @property
    def stability(self) -> float:
        """The best time as a share of the median: 1 on a machine that does nothing else."""
        return self.best_s / self.median_s

    @property
    def what(self) -> tuple[object, ...]:
        """What was measured; two figures of the same can be compared."""
        return (self.use, self.type, self.rows, self.columns, self.tokens, self.threads)


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All figures of a machine and a build of the engine."""

    host: str
    """Id of the machine."""
    engine: str
    """Engine, version and build."""
    measured_at: str
    """When it was last measured: UTC, ISO 8601."""
    elapsed_s: float
    """How long that took."""
    quick: bool
    """Only the quick figures are there."""
    caches: tuple[Cache, ...]
    """The processor's caches, as the system reports them."""
    calm: bool
    """All of it was measured at least once while nothing disturbed it."""
    noise: tuple[str, ...]
    """What disturbed the last measurement."""
    refused: tuple[str, ...]
    """Products that the engine declined or died of, each with its cause."""
    figures: tuple[Figure, ...]
    """What was measured."""


def better(figures: list[Figure]) -> tuple[Figure, ...]:
    """Of the figures of the same product, the one with the shortest time; in order of first appearance."""
    best: dict[tuple[object, ...], Figure] = {}
    for figure in figures:
        known = best.get(figure.what)
        best[figure.what] = figure if known is None or figure.best_s < known.best_s else known
    return tuple(best.values())


def merged(old: Calibration | None, new: Calibration) -> Calibration:
    """A calibration with the better figures of an older one."""
    if old is None:
        return new
    figures = better([*new.figures, *old.figures])
    calm = new.calm or (old.calm and old.quick <= new.quick)
    return msgspec.structs.replace(new, figures=figures, quick=old.quick and new.quick, calm=calm)


def calibration_path(host: str, engine: str) -> Path:
    """The file of a machine and a build of the engine."""
    build = hashlib.sha256(engine.encode()).hexdigest()[:8]
    return home.home() / "calibration" / f"{host}-{build}.json"


def read_calibration(host: str, engine: str) -> Calibration | None:
    """What is kept of a machine and a build of the engine; None where nothing is, or where it cannot be read.

    A file that was damaged, or written by another version, is no calibration: it is measured again.
    """
    try:
        return msgspec.json.decode(calibration_path(host, engine).read_bytes(), type=Calibration)
    except (OSError, msgspec.DecodeError):
        return None


def keep_calibration(calibration: Calibration) -> Path:
    """Write a calibration in place of the one before; the file."""
    path = calibration_path(calibration.host, calibration.engine)
    home.replace_file(path, msgspec.json.format(msgspec.json.encode(calibration), indent=1))
    return path
