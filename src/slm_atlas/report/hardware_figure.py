"""The survey's Figure 9: one model on several machines; of one's own, the machines that share a store."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from slm_atlas.catalog import paper
from slm_atlas.insights.frame import Row
from slm_atlas.report.charts import COLORS, LOG_SPAN, Rows, axis_of, finished, inline, tooltips
from slm_atlas.report.figures import Figure, Side
from slm_atlas.report.vega import alt
from slm_atlas.stats import Estimate
from slm_atlas.store.records import Host
from slm_atlas.units import counted

PHASES = {"prefill": "Prefill (ms)", "decode": "Decode, each token (ms)"}
PHONE, UNDONE = "Meizu 18 Pro", "Meizu 18 Pro, running mean undone"
BY_LENGTH, BY_SIZE = "Tokens of the prompt", "Parameters (millions)"
"""What is on the axis: where the machines share no model at several prompts, they are compared over models."""
PLACE = "Place of the token"
MIN_HOSTS = 2


class Shared(NamedTuple):
    """What several machines measured alike."""

    axis: str
    """`BY_LENGTH` or `BY_SIZE`."""
    what: str
    """The model, or how many."""
    rows: list[Row]
    """A row a machine and place on the axis."""


def hardware_figure(rows: Sequence[Row], hosts: Mapping[str, Host], side: Side) -> Figure | None:
    """Latency a machine, in prefill and decode; None where there is no data.

    Args:
        rows: what was measured, on all machines.
        hosts: the machines by id.
        side: the survey's two devices, the machines in the store, or both.
    """
    shared = shared_by_most(rows) if side.mine else None
    data = [*(_surveyed() if side.paper else ()), *(_measured(shared, hosts) if shared else ())]
    if not data or (side.mine and shared is None):
        return None
    caption = " ".join([*([_told_survey()] if side.paper else []), *([_told(shared, data)] if shared else [])])
    title = "The survey's Figure 9: the same model on other hardware"
    return Figure(name="fig9", title=title, caption=caption, spec=_chart(data), rows=data)


def _surveyed() -> Iterator[dict[str, Any]]:
    figure = paper.fig9()
    decode = {**figure.decode, UNDONE: _undone()}
    for phase, axis, devices in (("prefill", BY_LENGTH, figure.prefill), ("decode", PLACE, decode)):
        for device, curve in devices.items():
            for at, ms in curve:
                yield _row("the survey", phase, axis, device, "probably Phi-1.5, Q4_K_M", at, (ms, None, None, None))


def _undone() -> list[tuple[int, float]]:
    """The phone's time of each token: the differences of what its running mean was made of."""
    totals = paper.fig9().derived.phone_total
    return [(n, after - before) for (_, before), (n, after) in pairwise(totals)]


_Number = tuple[float, float | None, float | None, int | None]


def _row(source: str, phase: str, axis: str, machine: str, model: str, at: float, number: _Number) -> dict[str, Any]:
    value, low, high, n = number
    told = {"source": source, "phase": phase, "axis": axis, "machine": machine, "model": model, "at": at}
    return told | {"ms": value, "low": low, "high": high, "n": n}


# ---- the machines of a store ----------------------------------------------------------------------------------------


def shared_by_most(rows: Sequence[Row]) -> Shared | None:
    """What most machines share: a model at several lengths of the prompt, or else several models at one."""
    measured = [row for row in rows if {"prefill_s", "decode_s"} <= row.metrics.keys() and row.params]
    found = [*_sweeps(measured), *_models(measured)]
    return max(found, key=_worth, default=None)


def _worth(shared: Shared) -> tuple[int, bool, int]:
    """The more machines the better; then as the survey drew it; then the more there is to see."""
    return len({row.host for row in shared.rows}), shared.axis == BY_LENGTH, len(shared.rows)


def _sweeps(rows: Sequence[Row]) -> Iterator[Shared]:
    for group in _groups(rows, ("n_prompt",), by_file=True):
        common = _common(group, lambda row: row.settings.get("n_prompt"))
        if len({row.settings.get("n_prompt") for row in common}) > 1:
            yield Shared(BY_LENGTH, f"{common[0].name} {common[0].quantization}", common)


def _models(rows: Sequence[Row]) -> Iterator[Shared]:
    for group in _groups(rows, (), by_file=False):
        common = _common(group, lambda row: (row.architecture, row.params, row.quantization))
        if common:
            files = len({(row.architecture, row.params, row.quantization) for row in common})
            yield Shared(BY_SIZE, counted(files, "files"), common)


_HOW = ("threads", "context", "n_prompt", "n_gen", "kv_type")
"""Settings that must be alike, but for the number of threads, of which each machine has its own."""


def _groups(rows: Sequence[Row], varied: tuple[str, ...], *, by_file: bool) -> Iterator[list[Row]]:
    """Rows of several machines that were measured alike."""
    groups: dict[bytes, list[Row]] = defaultdict(list)
    for row in rows:
        alike = {name: row.settings.get(name) for name in _HOW[1:] if name not in varied}
        file = (row.architecture, row.params, row.quantization) if by_file else ()
        groups[msgspec.json.encode((alike, file), order="sorted")].append(row)
    yield from (group for group in groups.values() if len({row.host for row in group}) >= MIN_HOSTS)


def _common(rows: Sequence[Row], place: Any) -> list[Row]:  # noqa: ANN401  (any function of a row)
    """A row a machine and place, of the places that at least two machines have; the row with most runs counts."""
    best: dict[tuple[object, str], Row] = {}
    for row in sorted(rows, key=lambda row: row.n_runs):
        best[place(row), row.host] = row
    machines: dict[object, set[str]] = defaultdict(set)
    for where, host in best:
        machines[where].add(host)
    return [row for (where, _), row in best.items() if len(machines[where]) >= MIN_HOSTS]


def _measured(shared: Shared, hosts: Mapping[str, Host]) -> Iterator[dict[str, Any]]:
    for phase in PHASES:
        for row in sorted(shared.rows, key=lambda row: (row.params or 0, row.settings.get("n_prompt", 0))):
            at = row.settings["n_prompt"] if shared.axis == BY_LENGTH else (row.params or 0) / 1e6
            machine = f"{hosts[row.host].cpu} ({row.host[:6]})" if row.host in hosts else row.host[:6]
            model = f"{row.name} {row.quantization}"
            yield _row("here", phase, shared.axis, machine, model, at, _ms(row.metrics[f"{phase}_s"]))


def _ms(found: Estimate) -> _Number:
    low, high = (None if end is None else 1e3 * end for end in (found.low, found.high))
    return 1e3 * found.value, low, high, found.n


# ---- words and drawing ----------------------------------------------------------------------------------------------


def _told_survey() -> str:
    figure = paper.fig9()
    devices = {name: dict(curve) for name, curve in figure.prefill.items()}
    jetson = next(name for name in devices if name != PHONE)
    factors = [devices[PHONE][at] / devices[jetson][at] for at in sorted(devices[PHONE])]
    drawn = [ms for _, ms in figure.decode[PHONE]]
    return (
        f"The survey's Jetson reads a prompt {factors[0]:.0f} times faster than its phone at {min(devices[PHONE])} "
        f"tokens and {factors[-1]:.0f} times at {max(devices[PHONE])}. In decode the phone's curve rises from "
        f"{drawn[0]:.0f} to {drawn[-1]:.0f} ms a token because it is a running mean that counts the first token as 0 "
        f"ms; undone, a token takes {statistics.median(ms for _, ms in _undone()):.0f} ms throughout."
    )


def _told(shared: Shared, data: Rows) -> str:
    """By how much the fastest machine leads the slowest, where both were measured."""
    told = []
    for phase in PHASES:
        own = [row for row in data if row["source"] == "here" and row["phase"] == phase]
        places: dict[tuple[float, str], list[float]] = defaultdict(list)
        for row in own:
            places[row["at"], row["model"] if shared.axis == BY_SIZE else ""].append(row["ms"])
        ratios = [max(times) / min(times) for times in places.values()]
        least, most = f"{min(ratios):.1f}", f"{max(ratios):.1f}"
        told.append(f"{phase} {least if least == most else f'{least} to {most}'} times")
    machines = len({row.host for row in shared.rows})
    return (
        f"Here {machines} machines measured {shared.what} alike: the fastest leads the slowest in "
        f"{' and in '.join(told)}. Bars are 95% intervals over processes."
    )


def _chart(data: Rows) -> dict[str, Any]:
    panels = []
    for source in dict.fromkeys(row["source"] for row in data):
        for phase in PHASES:
            panels.append(_panel([row for row in data if (row["source"], row["phase"]) == (source, phase)], phase))
    return finished(alt.concat(*panels, columns=2, spacing=56).resolve_scale(color="independent", shape="independent"))


def _panel(rows: Rows, phase: str) -> alt.LayerChart | alt.FacetChart:
    machines = list(dict.fromkeys(row["machine"] for row in rows))
    axis, source = rows[0]["axis"], rows[0]["source"]
    by_size = axis == BY_SIZE
    x = alt.X("at:Q", title=axis, **_axis([row["at"] for row in rows], log=by_size))
    times = [row["ms"] for row in rows]
    y = alt.Y("ms:Q", title=PHASES[phase], **_axis(times, log=max(times) > LOG_SPAN * min(times)))
    legend = alt.Legend(orient="bottom", columns=1, labelLimit=300)
    colors = alt.Color("machine:N", title=None, scale=alt.Scale(domain=machines, range=list(COLORS)), legend=legend)
    shapes = alt.Shape("machine:N", title=None, scale=alt.Scale(domain=machines, range=_FORMS), legend=legend)
    base = alt.Chart(inline(rows)).encode(x=x, y=y, color=colors)
    tips = tooltips(rows, "machine", "model", "at", "ms", "low", "high", "n")
    layers = [
        base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_point(size=45 if source == "here" else 18, filled=True, aria=source == "here").encode(
            shape=shapes, tooltip=tips
        ),
    ]
    if not by_size:
        layers.insert(0, base.mark_line(strokeWidth=1.2))
    title = f"{phase.capitalize()}, {'here' if source == 'here' else source}"
    return alt.layer(*layers).properties(width=300, height=220, title=title)


def _axis(values: Sequence[float], *, log: bool) -> dict[str, Any]:
    return axis_of(values, log=log).drawn()


_FORMS = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]
