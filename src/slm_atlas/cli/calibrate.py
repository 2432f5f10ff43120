"""`slm calibrate`: measures what this machine can do at best, and keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import msgspec

from slm_atlas.bench import Calibration, describe_host, keep_calibration, merged, read_calibration
from slm_atlas.bench.caches import MEMORY
from slm_atlas.bench.calibrate import FULL, QUICK, calibrate
from slm_atlas.bench.calibration import STEADY, Figure, Use
from slm_atlas.cli.output import json_option, print_json, print_table, say
from slm_atlas.cli.progress import StudyProgress
from slm_atlas.engines import EngineInfo, Worker
from slm_atlas.studies import measuring
from slm_atlas.units import format_bytes, format_seconds

_SIZES = ("Tokens", "Threads", "Weights", "GB/s", "GFLOP/s", "Stability", "n")
COLUMNS = ("What", "Type", "Matrix", *_SIZES[:3], "In", "Layout", *_SIZES[3:])
"""Of the table of figures."""


@click.command(epilog="Example: slm calibrate --quick")
@click.option("--quick", is_flag=True, help="Fewer figures, in some seconds.")
@click.option("--again", is_flag=True, help="Measure even if it is known; the better of old and new is kept.")
@click.option("--engine", default="llamacpp", show_default=True, help="Engine whose kernels are timed.")
@json_option
def command(quick: bool, again: bool, engine: str, json: bool) -> None:
    """Measure what this machine can do at best.

    How fast it reads, by threads and by the size of what is read, and how fast it multiplies, by type and shape, all in
    the engine's own kernels. Takes about two minutes on two cores. Every cost measured later is checked against it.
    """
    with Worker(engine) as worker:
        info = worker.describe()
    known = read_calibration(describe_host().id, info.text)
    if known is not None and not again and (quick or not known.quick):
        say(f"This machine was calibrated at {known.measured_at}. To measure again: slm calibrate --again")
        _show(known, json)
        return
    found = merged(known, _measure(info, quick))
    path = keep_calibration(found)
    _show(found, json)
    say(f"Measured in {format_seconds(found.elapsed_s)}, kept in {path}")


def _measure(info: EngineInfo, quick: bool) -> Calibration:
    with measuring(), StudyProgress() as progress:
        return calibrate(
            info,
            extent=QUICK if quick else FULL,
            listen=lambda done, total: progress.counted("calibrating", done, total),
        )


def _show(found: Calibration, json: bool) -> None:
    if json:
        print_json({**msgspec.to_builtins(found), "figures": [_complete(figure) for figure in found.figures]})
        return
    print_table(COLUMNS, [_row(figure) for use in Use for figure in found.figures if figure.use is use], right=_SIZES)
    for remark in remarks(found):
        say(remark)


def _complete(figure: Figure) -> dict[str, Any]:
    """A figure with what follows from it."""
    derived = {"bytes_per_s": figure.bytes_per_s, "flops": figure.flops, "stability": figure.stability}
    return {**msgspec.to_builtins(figure), **derived}


def _row(figure: Figure) -> tuple[object, ...]:
    return (
        figure.use,
        figure.type,
        f"{figure.rows} x {figure.columns}",
        figure.tokens,
        figure.threads,
        format_bytes(figure.weight_bytes),
        figure.level,
        figure.layout,
        None if figure.use is Use.PREFILL else f"{figure.bytes_per_s / 1e9:.1f}",
        None if figure.use is Use.READ else f"{figure.flops / 1e9:.0f}",
        f"{figure.stability:.2f}",
        figure.n,
    )


def remarks(found: Calibration) -> Iterator[str]:
    """What a reader must know beside the figures, a sentence each."""
    shaky = sum(figure.stability < STEADY for figure in found.figures)
    if shaky:
        yield (
            f"{shaky} of {len(found.figures)} figures are not steady (best under {STEADY:g} of the median): other "
            "programs ran, and the machine may be faster. On a quiet machine: slm calibrate --again"
        )
    if not found.calm:
        yield "Never measured undisturbed: costs are checked with the wide margins of a rough measurement."
    yield from (f"While it was measured: {sentence}" for sentence in found.noise)
    yield from (f"Not measured: {product}" for product in found.refused)
    if found.caches and all(figure.level != MEMORY for figure in found.figures):
        largest = format_bytes(found.caches[-1].size_bytes)
        yield f"Nothing measured exceeds the caches ({largest}): no figure is of main memory."
    if not found.caches:
        yield "The system does not say how large the caches are: where a working set lay is not known."
