"""What is shown of profiles: tables by part and by operator, one row a line for CSV, and the data of their figures."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from slm_atlas.cli.output import print_table, say
from slm_atlas.report.files import Form
from slm_atlas.units import format_seconds

if TYPE_CHECKING:
    from slm_atlas.insights.profiles import Breakdown, Ceilings, Line, Profile
    from slm_atlas.stats import Estimate

_COLUMNS = ("", "Prefill", "ms", "GFLOP/s", "GB/s", "Decode", "ms", "GFLOP/s", "GB/s")
_GROUPS = {"part": "parts", "operator": "operators", "node": "nodes"}


def print_found(found: Sequence[Profile]) -> None:
    """A table by part and one by operator for each model, why runs failed, and what holds of all."""
    measured = [each for each in found if each.phases]
    for each in measured:
        for group, heading in (("parts", "Part"), ("operators", "Operator")):
            lines = _both(each, group)
            click.echo(f"{each.name} {each.quantization}: {_what(each)}")
            print_table([heading, *_COLUMNS[1:]], [*lines, _total(each)], right=_COLUMNS[1:])
            click.echo()
        _say_cost(each)
    say_failures(found)
    if measured:
        say(
            "Shares are of the time of the graph's nodes, ms those shares of the plain total; [low, high] are 95 % "
            "intervals over processes. FLOP/s count matrix products only; kernels of small integers, or data in a "
            "cache, may exceed a ceiling that was measured otherwise."
        )
        for text in dict.fromkeys(_ceiling(each.ceilings) for each in measured if each.ceilings):
            say(text)


def _what(found: Profile) -> str:
    settings = found.settings
    depth = settings.get("depth") or 0
    at = f" after {depth}" if depth else ""
    return f"prefill of {settings['n_prompt']} tokens{at}, decode of a token at depth {depth + settings['n_prompt']}"


def _ceiling(ceilings: Ceilings) -> str:
    """What the percentages in brackets are of."""
    most = f"{ceilings.flops / 1e9:.4g} GFLOP/s and {ceilings.read_bytes_per_s / 1e9:.3g} GB/s"
    if ceilings.calibrated_at is None:
        return f"In brackets: percent of {most}, as numpy reaches here; `slm calibrate` asks the engine's own kernels."
    return f"In brackets: percent of {most}, the best of `slm calibrate` here ({ceilings.calibrated_at[:10]})."


def say_failures(found: Sequence[Profile]) -> None:
    """Why runs failed, each cause of a model once."""
    for each in found:
        for cause, number in Counter(f"{failed.outcome}: {failed.cause}" for failed in each.failures).items():
            say(f"{each.name}: {f'{number} x ' if number > 1 else ''}{cause}")


def print_shares(found: Sequence[Profile]) -> None:
    """A line a model and phase: the total, and the share of each part; then why runs failed."""
    lines = [(each, name, phase) for each in found for name, phase in each.phases.items()]
    if lines:
        parts = list(dict.fromkeys(line.label for _, _, phase in lines for line in phase.parts))
        columns = ["Where time goes", "Quant", "Phase", "Takes", *parts, "Overhead", "Runs"]
        print_table(columns, [_shares(*line, parts) for line in lines], right=set(columns[3:]))
    say_failures(found)


def _shares(found: Profile, name: str, phase: Breakdown, parts: Sequence[str]) -> list[object]:
    share = {line.label: _share(line.share) for line in phase.parts}
    takes = format_seconds(phase.plain_s.value)
    over = f"{phase.overhead.value:.2f}x"
    return [found.name, found.quantization, name, takes, *(share.get(part) for part in parts), over, found.n_runs]


def _both(found: Profile, group: str) -> list[list[object]]:
    """A line a label, prefill and decode side by side."""
    prefill, decode = ({line.label: line for line in getattr(each, group)} for each in (found.prefill, found.decode))
    labels = list(dict.fromkeys([*prefill, *decode]))
    return [[label, *_cells(prefill.get(label)), *_cells(decode.get(label))] for label in labels]


def _cells(line: Line | None) -> list[object]:
    if line is None:
        return [None] * 4
    rates = ((line.flops_per_s, line.of_flops), (line.bytes_per_s, line.of_bandwidth))
    return [_share(line.share), f"{1e3 * line.seconds:.3g}", *(_rate(rate, of) for rate, of in rates)]


def _share(share: Estimate) -> str:
    interval = "" if share.low is None or share.high is None else f" [{100 * share.low:.1f}, {100 * share.high:.1f}]"
    return f"{100 * share.value:.1f}%{interval}"


def _rate(per_s: float | None, share: float | None) -> str | None:
    if per_s is None:
        return None
    return f"{per_s / 1e9:.3g}" + ("" if share is None else f" ({share:.0%})")


def _total(found: Profile) -> list[object]:
    cells: list[object] = ["all"]
    for phase in found.phases.values():
        low, high = phase.plain_s.low, phase.plain_s.high
        interval = "" if low is None or high is None else f" [{1e3 * low:.3g}, {1e3 * high:.3g}]"
        cells += ["100%", f"{1e3 * phase.plain_s.value:.3g}{interval}", None, None]
    return cells


def _say_cost(found: Profile) -> None:
    """What timing every node did to the time."""
    times = " and ".join(f"{name} {phase.overhead.value:.2f} times" for name, phase in found.phases.items())
    empty_s = max(phase.empty_s for phase in found.phases.values())
    taken_off = f"; {1e6 * empty_s:.2g} µs, what it takes to time a node, are taken off each" if empty_s else ""
    say(f"{found.name}: with every node timed, {times} as long as without (median of n = {found.n_runs}){taken_off}.")


# ---- data -----------------------------------------------------------------------------------------------------------


def flat(found: Sequence[Profile]) -> list[dict[str, Any]]:
    """A row a line: by part, by operator and by node."""
    return [
        {
            "model": each.name,
            "quantization": each.quantization,
            "phase": phase,
            "by": by,
            **_flat_line(line),
            "plain_s": breakdown.plain_s.value,
            "overhead": breakdown.overhead.value,
        }
        for each in found
        for phase, breakdown in each.phases.items()
        for by, group in _GROUPS.items()
        for line in getattr(breakdown, group)
    ]


def _flat_line(line: Line) -> dict[str, Any]:
    values = msgspec.structs.asdict(line)
    share: Estimate = values.pop("share")
    ends = {"share": share.value, "low": share.low, "high": share.high, "n": share.n}
    return {"label": values.pop("label"), **ends, **values}


def as_csv(found: Sequence[Profile]) -> str:
    """The rows as CSV with a header; what is missing is an empty field."""
    text = io.StringIO()
    rows = flat(found)
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


# ---- pictures -------------------------------------------------------------------------------------------------------


def write_plot(found: Sequence[Profile], path: Path, *, paper: bool) -> None:
    """The figure by part, as a picture.

    Raises:
        UserError: the file cannot be written.
    """
    from slm_atlas.report.files import write_figure
    from slm_atlas.report.time_figures import profile_figures

    write_figure(profile_figures(found, paper=paper)[0], path)


def write_folder(found: Sequence[Profile], folder: Path, *, paper: bool) -> list[Path]:
    """All figures with their data, and all rows as CSV.

    Raises:
        UserError: the folder cannot be written.
    """
    from slm_atlas.report.files import write_figures
    from slm_atlas.report.time_figures import profile_figures

    return write_figures(profile_figures(found, paper=paper), folder, Form.SVG, {"profile": as_csv(found)})
