"""Where the time of inference goes, as the survey's Figure 10 shows it: stacked shares, by part and by operator.

The survey's operators are kernels of CUDA, ours are operations of a graph, of which one kernel may do several and
several kernels one. So they are compared by kind, coarse enough that each of both belongs to one (`KINDS`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slm_atlas.catalog import paper as survey
from slm_atlas.insights.profiles import Line, Profile
from slm_atlas.report.charts import COLORS, GREY, Rows, finished, inline, tooltips
from slm_atlas.report.figures import HERE, Figure, Side, labels
from slm_atlas.report.vega import alt
from slm_atlas.units import counted

PART_COLORS = {
    "embedding": "#7b5a3a",
    "attention": COLORS[0],
    "mixer": COLORS[3],
    "ffn": COLORS[1],
    "norm": COLORS[5],
    "lm_head": COLORS[2],
    "other": GREY,
}
"""Of each part, in the order in which they are stacked from below."""
REST = "all others"
"""The operators that have no colour of their own."""
PAPER = "the survey"
"""The source of the survey's own numbers."""
MEASURED = HERE
"""The source of what was measured."""
KINDS = {
    "matrix products": (
        "MUL_MAT", "MUL_MAT_ID", "FLASH_ATTN_EXT", "mul_mat_vec_q", "quantize_q8_1", "gemm", "aten::mm", "aten::addmm",
        "aten::bmm", "aten::_scaled_dot_product_flash_attention_for_cpu", "aten::linear", "aten::matmul",
    ),
    "sums and products of elements": ("ADD", "SUB", "MUL", "DIV", "k_bin_bcast", "aten::add", "aten::mul"),
    "copies": ("CPY", "CONT", "DUP", "SET_ROWS", "cpy_f32_f16", "aten::copy_", "aten::cat", "aten::clone"),
}  # fmt: skip
"""Kinds of operators, and which belong there: llama.cpp's, the survey's kernels, PyTorch's."""
_OPERATORS = 5
_COLUMNS = 3
_CAPTION = "Medians over processes of the shares of the compute graph's nodes, each timed by itself."


def profile_figures(found: Sequence[Profile], *, paper: bool = True) -> list[Figure]:
    """By part, by operator and by kind of operator; with the survey's bars beside ours where it shows a model of ours.

    Args:
        found: profiles; those of which no run ended well are left out.
        paper: draw the survey's.
    """
    sides = (Side.BOTH, Side.MINE) if paper else (Side.MINE,)
    parts = (part_figure(found, side) for side in sides)
    kinds = (kind_figure(found, side) for side in sides)
    drawn = (next(filter(None, parts), None), operator_figure(found), next(filter(None, kinds), None))
    return [figure for figure in drawn if figure is not None]


def part_figure(found: Sequence[Profile], side: Side) -> Figure | None:
    """Figure 10a: shares by part; None without data, or with both where they have no model in common."""
    rows = part_rows(found, side)
    return drawn_parts(rows) if rows else None


def part_rows(found: Sequence[Profile], side: Side) -> list[dict[str, Any]]:
    """The data of `part_figure`; empty where what was asked for is not there."""
    lines = _lines(found, side)
    rows = _rows(lines, "parts") + paper_rows(_shown(lines, side), survey.fig10().parts)
    return rows if _complete(rows, side) else []


def drawn_parts(rows: Rows) -> Figure:
    """Shares by part, drawn.

    Args:
        rows: `model`, `phase`, `source` (`MEASURED` or `PAPER`), `label`, `share`, `low`, `high`, `n`.
    """
    shown = [part for part in PART_COLORS if any(row["label"] == part and row["share"] for row in rows)]
    title = "The survey's Figure 10a: where the time goes, by part of the model"
    return _figure("fig10a", title, rows, {part: PART_COLORS[part] for part in shown})


def kind_figure(found: Sequence[Profile], side: Side) -> Figure | None:
    """Figure 10b as far as ours and the survey's can be compared: shares by kind of operator; None as `part_figure`."""
    rows = kind_rows(found, side)
    if not rows:
        return None
    colors = dict(zip([*KINDS, REST], [*COLORS[: len(KINDS)], GREY], strict=True))
    return _figure("fig10b", "The survey's Figure 10b: where the time goes, by kind of operator", rows, colors)


def kind_rows(found: Sequence[Profile], side: Side) -> list[dict[str, Any]]:
    """The data of `kind_figure`; empty where what was asked for is not there."""
    lines = _lines(found, side)
    rows = _by_kind(_rows(lines, "operators") + paper_rows(_shown(lines, side), survey.fig10().kernels))
    return rows if _complete(rows, side) else []


def operator_figure(found: Sequence[Profile]) -> Figure | None:
    """Shares by operator, those that take least together; None without profiles."""
    rows = operator_rows(found)
    return drawn_operators(rows) if rows else None


def operator_rows(found: Sequence[Profile]) -> list[dict[str, Any]]:
    """The data of `operator_figure`, an operator each."""
    return _rows(_lines(found, Side.MINE), "operators")


def drawn_operators(rows: Rows) -> Figure:
    """Shares by operator, those that take least together, drawn; rows as of `drawn_parts`."""
    most = {row["label"]: 0.0 for row in rows}
    for row in rows:
        most[row["label"]] = max(most[row["label"]], row["share"])
    names = sorted(most, key=lambda name: -most[name])[:_OPERATORS]
    colors = dict(zip([*names, REST], [*(color for color in COLORS if color != GREY), GREY], strict=False))
    return _figure("operators", "Share of the time, by operator", _with_rest(rows, names), colors)


def _lines(found: Sequence[Profile], side: Side) -> dict[str, Profile]:
    """The profiles that gave numbers, by the name shown."""
    measured = [each for each in found if each.phases] if side.mine else []
    return dict(zip(labels(measured), measured, strict=True))


def _shown(lines: Mapping[str, Profile], side: Side) -> dict[str, str]:
    """The survey's name of each model whose bars are drawn, by the label they stand under."""
    if side is Side.PAPER:
        return {name: name for name in survey.fig10().parts}
    return {label: each.name for label, each in lines.items()} if side.paper else {}


def _complete(rows: Rows, side: Side) -> bool:
    """Whether all that was asked for is there."""
    sources = {row["source"] for row in rows}
    return bool(rows) and (side is not Side.BOTH or sources == {MEASURED, PAPER})


def _rows(profiles: Mapping[str, Profile], group: str) -> list[dict[str, Any]]:
    return [
        {"model": label, "source": MEASURED, "phase": name, **_share(line)}
        for label, found in profiles.items()
        for name, phase in found.phases.items()
        for line in getattr(phase, group)
    ]


def _share(line: Line) -> dict[str, Any]:
    share = line.share
    return {"label": line.label, "share": share.value, "low": share.low, "high": share.high, "n": share.n}


def _by_kind(rows: Rows) -> list[dict[str, Any]]:
    """Shares of operators as shares of their kinds; of a sum no interval is known."""
    kinds = {op: kind for kind, ops in KINDS.items() for op in ops}
    sums: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        kind = kinds.get(row["label"], REST)
        bar = (row["model"], row["phase"], row["source"], kind)
        sums.setdefault(bar, {**row, **_NO_INTERVAL, "label": kind, "share": 0.0})["share"] += row["share"]
    return list(sums.values())


def _with_rest(rows: Rows, names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of these names, and one for all others of the same bar; of a sum no interval is known."""
    kept = [dict(row) for row in rows if row["label"] in names]
    rest: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in (row for row in rows if row["label"] not in names):
        bar = (row["model"], row["phase"], row["source"])
        sum_of = rest.setdefault(bar, {**row, "label": REST, "share": 0.0, "low": None, "high": None})
        sum_of["share"] += row["share"]
    return kept + list(rest.values())


def paper_rows(
    models: Mapping[str, str], bars: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> list[dict[str, Any]]:
    """The survey's bars of some models, as far as it shows them.

    Args:
        models: the survey's name of each, by the label it has in the figure.
        bars: `parts` or `kernels` of the survey's Figure 10.
    """
    return [
        {"model": label, "phase": phase, "source": PAPER, "label": part, "share": share, **_NO_INTERVAL}
        for label, name in models.items()
        for phase, shares in bars.get(name, {}).items()
        for part, share in shares.items()
    ]


_NO_INTERVAL: dict[str, Any] = {"low": None, "high": None, "n": None}


def _figure(name: str, title: str, rows: Rows, colors: dict[str, str]) -> Figure:
    sources = {row["source"] for row in rows}
    how = [_CAPTION] if MEASURED in sources else []
    how += ["Pale: the survey's, measured on a GPU."] if sources == {MEASURED, PAPER} else []
    how += ["Measured on a Jetson's GPU."] if MEASURED not in sources else []
    caption = f"{_largest(rows)} {' '.join(how)}"
    return Figure(
        name=name, title=title, caption=caption, spec=_stacked(rows, colors), rows=[dict(row) for row in rows]
    )


def _largest(rows: Rows) -> str:
    """What takes the most of each phase: in how many models, and its least and its greatest share of them."""
    told = []
    for source, phase in dict.fromkeys((row["source"], row["phase"]) for row in rows):
        own = [row for row in rows if (row["source"], row["phase"]) == (source, phase)]
        tops: dict[str, list[float]] = {}
        for model in dict.fromkeys(row["model"] for row in own):
            top = max((row for row in own if row["model"] == model), key=lambda row: row["share"])
            tops.setdefault(top["label"], []).append(top["share"])
        said = [_most(label, shares, len(tops) > 1) for label, shares in tops.items()]
        told.append(f"{phase} ({source}) {', '.join(said)}")
    return f"What takes most: {'; '.join(told)}."


def _most(label: str, shares: Sequence[float], contested: bool) -> str:
    ends = sorted({f"{min(shares):.0%}", f"{max(shares):.0%}"}, key=lambda text: float(text[:-1]))
    share = " to ".join(ends)
    return f"{label} in {counted(len(shares), 'models')} ({share})" if contested else f"{label} {share}"


def _stacked(rows: Rows, colors: dict[str, str]) -> dict[str, Any]:
    """A panel a model, a bar a phase (and the survey's beside it), stacked from shares with the larger ones named."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    placed = [row | {"ink": _ink(row, colors)} for row in _placed(rows, list(colors))]
    bars = list(dict.fromkeys(row["bar"] for row in sorted(placed, key=_bar_order)))
    x = alt.X("bar:N", title=None, sort=bars, axis=alt.Axis(labelAngle=0, ticks=False, labelExpr=_TWO_LINES))
    y = alt.Y("top:Q", title=None, axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1]))
    scale = alt.Scale(domain=list(colors), range=list(colors.values()))
    color = alt.Color("label:N", title=None, scale=scale, legend=alt.Legend(orient="bottom", symbolType="square"))
    paler = alt.condition(f"datum.source == '{PAPER}'", alt.value(0.78), alt.value(1.0))
    panels = []
    for model in models:
        base = alt.Chart(inline([row for row in placed if row["model"] == model])).encode(x=x)
        tips = tooltips(placed, "model", "phase", "source", "label", "share", "low", "high", "n")
        block = base.mark_bar(width=alt.RelativeBandSize(0.72)).encode(
            y=y, y2="bottom:Q", color=color, opacity=paler, tooltip=tips
        )
        text = base.transform_filter("datum.share >= 0.045").mark_text(fontSize=11)
        named = text.encode(y="middle:Q", text=alt.Text("share:Q", format=".0%"), color=alt.Color("ink:N", scale=None))
        panels.append(alt.layer(block, named).properties(width=66 * len(bars), height=320, title=model))
    return finished(alt.concat(*panels, columns=min(_COLUMNS, len(panels)), spacing=36))


_BRIGHT = {COLORS[1], COLORS[5], COLORS[6], GREY}
"""Grounds that dark letters are read on."""


def _ink(row: dict[str, Any], colors: Mapping[str, str]) -> str:
    return "#14171a" if colors[row["label"]] in _BRIGHT else "#ffffff"


_TWO_LINES = "split(datum.label, ', ')"


def _bar_order(row: dict[str, Any]) -> tuple[bool, bool]:
    return row["phase"] != "prefill", row["source"] == PAPER


def _placed(rows: Rows, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Each share with the bar it is in, and where it begins and ends there."""
    heights: dict[tuple[str, str], float] = {}
    placed = []
    for row in sorted((row for row in rows if row["share"]), key=lambda row: labels.index(row["label"])):
        bar = row["phase"] if row["source"] == MEASURED else f"{row['phase']}, {row['source']}"
        bottom = heights.get((row["model"], bar), 0.0)
        top = heights[row["model"], bar] = bottom + row["share"]
        # Rounding must not push the last block over the end of the axis.
        ends = {"bottom": min(bottom, 1.0), "top": min(top, 1.0), "middle": (bottom + top) / 2}
        placed.append({**row, "bar": bar, **ends})
    return placed
