"""Sustained use, drawn: speed at equal depth over time, and beside it what the depth of the cache costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from slm_atlas.insights.frame import Row
from slm_atlas.insights.sustained import DEPTH_STEP, Sustained
from slm_atlas.report.charts import COLORS, GREY, Rows, axis_of, finished, inline, tooltips
from slm_atlas.report.figures import Figure, labels
from slm_atlas.report.vega import alt
from slm_atlas.stats import Estimate
from slm_atlas.units import format_seconds

MAX_MODELS = 6
"""More are in the data alone."""
TIME, DEPTH = "time", "depth"


def sustained_figure(rows: Sequence[Row]) -> Figure | None:
    """Two panels a model: tokens a second over time, milliseconds a token over depth; None without data."""
    sustained = [row for row in rows if row.sustained]
    measured = list(zip(sustained, labels(sustained), strict=True))
    data = [entry for row, label in measured for of_pass in row.sustained for entry in _entries(of_pass, label)]
    if not data:
        return None
    shown = measured[:MAX_MODELS]
    caption = (
        "Each model decodes on and on, in rounds that begin at the same depth of the cache. Over time, the machine: "
        "the speed of each round at the mean depth, a line a pass; a dashed line where it changed. Over depth, the "
        f"cache: a token's time at the speed of the burst. {' '.join(_words(row, label) for row, label in shown)}"
        + (f" Only in the data: {len(measured) - len(shown)} more." if len(measured) > len(shown) else "")
    )
    spec = _chart(data, [label for _, label in shown])
    return Figure(name="sustained", title="Sustained use", caption=caption, spec=spec, rows=data)


def _entries(of_pass: Sustained, label: str) -> Iterator[dict[str, Any]]:
    """A row of data for each round, and for each depth; what the other has is empty."""
    known = {"model": label, "pass": of_pass.replicate + 1}
    for each in of_pass.rounds:
        at = {"panel": TIME, "at_s": each.at_s, "tokens_per_s": each.tokens_per_s, "depth": None, "ms": None}
        said = {name: getattr(each, name) for name in ("temperature_c", "frequency_mhz", "steal_share")}
        yield {**known, **at, **said, "change_s": of_pass.change_s}
    for step in of_pass.depths:
        at = {"panel": DEPTH, "at_s": None, "tokens_per_s": None, "depth": step.depth, "ms": 1e3 * step.token_s}
        yield {**known, **at, "temperature_c": None, "frequency_mhz": None, "steal_share": None, "change_s": None}


def _words(row: Row, label: str) -> str:
    """What the figure shows of a model, in a sentence."""
    one = row.sustained[0]
    single = len(row.sustained) == 1
    ratio = one.steady_to_burst if single else row.metrics["steady_to_burst"]
    cost = one.depth_cost_s if single else row.metrics.get("depth_cost_s")
    moments = [each.change_s for each in row.sustained if each.change_s is not None]
    speed = f"{100 * ratio.value:.3g}{_range(ratio, 100)} %"
    if moments and single:
        change = f"after {format_seconds(moments[0])} {speed} of the burst's speed"
    elif moments:
        change = f"a change in {len(moments)} of {len(row.sustained)} passes, to {speed} of the burst's speed"
    elif all(each.p_value is None for each in row.sustained):
        change = "too few rounds to tell a change"
    else:
        change = f"no change found, the second half at {speed} of the first's speed"
    if cost is None:
        return f"{label}: {change}; depths too close together to tell what they cost."
    return f"{label}: {change}; {DEPTH_STEP:,} tokens deeper, {1e3 * cost.value:+.3g}{_range(cost, 1e3)} ms a token."


def _range(estimate: Estimate, scale: float) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f" [{scale * estimate.low:.3g}, {scale * estimate.high:.3g}]"


def _chart(data: Rows, models: Sequence[str]) -> dict[str, Any]:
    panels = []
    for model, color in zip(models, COLORS, strict=False):
        of_model = [row for row in data if row["model"] == model]
        over_time = [row for row in of_model if row["panel"] == TIME]
        over_depth = [row for row in of_model if row["panel"] == DEPTH]
        panels += [_time_panel(over_time, model, color), _depth_panel(over_depth, model, color)]
    return finished(alt.concat(*panels, columns=2, spacing={"row": 84, "column": 72}, bounds="flush"))


def _time_panel(rows: Rows, model: str, color: str) -> alt.LayerChart | alt.FacetChart:
    axis = axis_of([row["tokens_per_s"] for row in rows], log=False)
    x = alt.X("at_s:Q", title="Seconds", axis=alt.Axis(tickCount=6))
    y = alt.Y("tokens_per_s:Q", title="Tokens/s at equal depth", **axis.drawn())
    base = alt.Chart(inline(rows)).encode(x=x, y=y, detail="pass:N")
    known = [name for name in ("temperature_c", "frequency_mhz", "steal_share") if rows[0][name] is not None]
    tips = tooltips(rows, "pass", "at_s", "tokens_per_s", *known)
    changes = [{"change_s": value} for value in dict.fromkeys(row["change_s"] for row in rows) if value is not None]
    layers = [
        base.mark_line(strokeWidth=1.25, opacity=0.7, color=color),
        base.mark_point(filled=True, size=28, opacity=0.9, color=color).encode(tooltip=tips),
    ]
    if changes:
        rule = alt.Chart(inline(changes)).mark_rule(strokeDash=[5, 4], color=GREY, strokeWidth=1.5)
        layers.append(rule.encode(x="change_s:Q"))
    return alt.layer(*layers).properties(width=400, height=190, title=f"{model}, over time")


def _depth_panel(rows: Rows, model: str, color: str) -> alt.LayerChart | alt.FacetChart:
    """From zero as the other, so that both show what they cost at the same scale."""
    axis = axis_of([row["ms"] for row in rows], log=False)
    x = alt.X("depth:Q", title="Tokens in the cache", axis=alt.Axis(tickCount=5))
    base = alt.Chart(inline(rows)).encode(
        x=x, y=alt.Y("ms:Q", title="Milliseconds a token", **axis.drawn()), detail="pass:N"
    )
    points = base.mark_point(filled=True, size=45, color=color).encode(tooltip=tooltips(rows, "pass", "depth", "ms"))
    return alt.layer(base.mark_line(strokeWidth=1.5, color=color), points).properties(
        width=400, height=190, title=f"{model}, over depth"
    )
