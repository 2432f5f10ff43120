"""The survey's Figure 5: capability over time, beside the LLaMA models and the models evaluated here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slm_atlas import catalog
from slm_atlas.catalog import Model, paper
from slm_atlas.insights.capability import Ability, Capability
from slm_atlas.insights.domains import Domain
from slm_atlas.insights.frame import Dataset
from slm_atlas.report.charts import GREY, OURS, THEIRS, Rows, finished, inline, tooltips
from slm_atlas.report.figures import HERE, Figure, Side
from slm_atlas.report.vega import alt

SURVEY = "the survey"
PANELS = {"commonsense": "commonsense", "problem_solving": "problem solving", "math": "mathematics"}
"""The panels of Figure 5, and what our domain is called."""


def ability_figure(able: Capability, dataset: Dataset, side: Side) -> Figure | None:
    """A panel a domain: accuracy by month of release; None where nothing is known.

    Args:
        able: what the models evaluated here can do.
        dataset: what says which models they are.
        side: whose.
    """
    rows = ability_rows(able, dataset, side)
    if not rows:
        return None
    title = "The survey's Figure 5: capability over time"
    caption = _caption(rows) + (_partial(able) if side.mine else "")
    return Figure(name="fig5", title=title, caption=caption, spec=_chart(rows), rows=rows)


def ability_rows(able: Capability, dataset: Dataset, side: Side) -> list[dict[str, Any]]:
    """The data of `ability_figure`; empty where what was asked for is not there."""
    own = list(_evaluated(able, dataset)) if side.mine else []
    return [*(_surveyed() if side.paper else ()), *own] if own or not side.mine else []


def _surveyed() -> Iterator[dict[str, Any]]:
    for panel, domain in PANELS.items():
        for point in getattr(paper.fig5(), panel).points:
            if panel == "math" and point.accuracy == paper.PLACEHOLDER:
                continue
            told = {"model": point.model, "release": point.date, "params_billions": point.params_billion}
            numbers = {"percent": 100 * point.accuracy, "low": None, "high": None, "n": None}
            yield {"domain": domain, "source": SURVEY, **told, **numbers}


def _evaluated(able: Capability, dataset: Dataset) -> Iterator[dict[str, Any]]:
    for ability in able.models:
        model = _catalogued(ability, dataset)
        if model is not None:
            for found in ability.domains:
                if found.name in PANELS.values():
                    yield _own(ability, model, found)


def _own(ability: Ability, model: Model, found: Domain) -> dict[str, Any]:
    low, high = (None if end is None else 100 * end for end in (found.estimate.low, found.estimate.high))
    told = {"model": ability.model, "release": model.release, "params_billions": model.params / 1e9}
    numbers = {"percent": 100 * found.estimate.value, "low": low, "high": high, "n": found.estimate.n}
    return {"domain": found.name, "source": HERE, **told, **numbers}


def _catalogued(ability: Ability, dataset: Dataset) -> Model | None:
    """The catalogue's model that was evaluated, by its id or its name; its date of release is not in the file."""
    artifact = dataset.artifacts[ability.artifact]
    plain = artifact.name.removesuffix(f" (from {artifact.requantized_from})").lower()
    return next((m for m in catalog.models() if artifact.model_id == m.id or plain in (m.id, m.name.lower())), None)


def _caption(rows: Rows) -> str:
    theirs = [row for row in rows if row["source"] == SURVEY]
    told = []
    for panel, domain in PANELS.items():
        own = [row for row in theirs if row["domain"] == domain]
        if own:
            best = max(own, key=lambda row: row["percent"])
            llama = 100 * getattr(paper.fig5(), panel).llama["Llama 3.1 7B"]
            above = sum(row["percent"] > llama for row in own)
            told.append(f"in {domain} {above} of {len(own)} are above it, {best['model']} with {best['percent']:.0f}%")
    head = (
        "The mean accuracy over a domain's tasks by month of release; a circle's area is the model's parameters. "
        "Dashed: the LLaMA models of 7 and 8 billion parameters, as the survey measured them."
    )
    return head + (f" Beside Llama 3.1: {'; '.join(told)}." if told else "") + _here(rows)


def _here(rows: Rows) -> str:
    own = [row for row in rows if row["source"] == HERE]
    if not own:
        return ""
    numbers = [f"{row['model']} {row['domain']} {row['percent']:.1f}%{_interval(row)}" for row in own[:6]]
    more = f" and {len(own) - 6} more" if len(own) > 6 else ""
    return f" Evaluated here, with 95% intervals over items: {', '.join(numbers)}{more}."


def _interval(row: Mapping[str, Any]) -> str:
    return "" if row["low"] is None else f" [{row['low']:.1f}, {row['high']:.1f}]"


def _partial(able: Capability) -> str:
    missing = {task for ability in able.models for found in ability.domains for task in found.missing}
    tasks = [task for ability in able.models for found in ability.domains for task in found.tasks if task in missing]
    if not missing:
        return ""
    some = " (by some models)" if tasks else ""
    return f" Not evaluated here{some}, so that a domain's mean is of fewer tasks: {', '.join(sorted(missing))}."


def _chart(rows: Rows) -> dict[str, Any]:
    panels = [_panel([row for row in rows if row["domain"] == domain], panel) for panel, domain in PANELS.items()]
    return finished(alt.concat(*panels, columns=2, spacing={"row": 84, "column": 72}, bounds="flush"))


def _panel(rows: Rows, panel: str) -> alt.LayerChart | alt.FacetChart:
    lines = [{"name": name, "percent": 100 * value} for name, value in getattr(paper.fig5(), panel).llama.items()]
    x = alt.X(
        "release:T",
        title="Released",
        axis=alt.Axis(format="%Y-%m", tickCount=5, labelAngle=-30),
        scale=alt.Scale(padding=14),
    )
    y = alt.Y("percent:Q", title="Accuracy (%)", scale=alt.Scale(zero=False, padding=16), axis=alt.Axis(tickCount=6))
    sources = [SURVEY, HERE]
    color = alt.Color(
        "source:N",
        title=None,
        scale=alt.Scale(domain=sources, range=[THEIRS, OURS]),
        legend=alt.Legend(orient="bottom") if len({row["source"] for row in rows}) > 1 else None,
    )
    size = alt.Size("params_billions:Q", scale=alt.Scale(type="sqrt", range=[14, 260], domain=[0, 5]), legend=None)
    base = alt.Chart(inline(rows)).encode(x=x, y=y, color=color)
    own = base.transform_filter(f"datum.source == '{HERE}'")
    tips = tooltips(rows, "model", "source", "release", "params_billions", "percent", "low", "high", "n")
    values = [value for row in [*rows, *lines] for value in (row["percent"], row.get("low"), row.get("high")) if value]
    reference = alt.Chart(inline(_apart(lines, (max(values) - min(values)) * _CLOSE)))
    layers = [
        reference.mark_rule(strokeDash=[5, 4], color=GREY).encode(y=alt.Y("percent:Q")),
        reference.mark_text(align="left", dx=3, dy=-5, fontSize=10).encode(
            x=alt.value(0), y=alt.Y("percent:Q"), text="name:N"
        ),
        base.mark_point(filled=True, opacity=0.75).encode(size=size, tooltip=tips),
        own.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q"), y2="high:Q"),
    ]
    if rows:
        best = max(rows, key=lambda row: row["percent"])
        named = alt.Chart(inline([best])).mark_text(align="right", dx=4, dy=-14).encode(x=x, y=y, text="model:N")
        layers.append(named)
    return alt.layer(*layers).properties(width=300, height=260, title=PANELS[panel].capitalize())


_CLOSE = 0.06
"""Lines closer than this share of the axis have one name."""


def _apart(lines: Sequence[dict[str, Any]], close: float) -> list[dict[str, Any]]:
    """The lines, with the names of those that lie on each other put together on the higher one."""
    found: list[dict[str, Any]] = []
    for line in sorted(lines, key=lambda line: -line["percent"]):
        if found and found[-1]["percent"] - line["percent"] < close and found[-1]["name"]:
            found[-1] = found[-1] | {"name": f"{line['name']}, {found[-1]['name'].removeprefix('Llama ')}"}
            found.append(line | {"name": ""})
        else:
            found.append(dict(line))
    return found
