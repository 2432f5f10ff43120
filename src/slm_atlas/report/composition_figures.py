"""The survey's Figures 2 and 3: how models are built, in all and over time, and which data they were trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from slm_atlas import catalog, stats
from slm_atlas.catalog import Model, paper
from slm_atlas.report.charts import GREY, OURS, THEIRS, Rows, category_axis, finished, inline, tooltips
from slm_atlas.report.figures import Figure, Side
from slm_atlas.report.survey_charts import NAMES as NAME_COLORS
from slm_atlas.report.survey_charts import STEPS
from slm_atlas.report.vega import alt
from slm_atlas.survey.composition import Period
from slm_atlas.survey.facets import FACETS, Facet
from slm_atlas.survey.views import OUR_LABELS, labels

SURVEY, CATALOGUE = "survey", "catalogue"
"""Whose counts."""
DRAWN = ("attention", "ffn", "ffn-ratio", "activation", "vocabulary", "norm")
"""The facets of Figure 2."""
MOST_DATASETS = 16
"""So many data sets are shown: the most used of either source."""
_BY_NAME = {facet.name: facet for facet in FACETS}
_LAYERWISE = "layer-wise"
_OURS = OUR_LABELS | {"0.5~4": _LAYERWISE}


class _Count(msgspec.Struct, frozen=True):
    """How many of n models have a label."""

    source: str
    facet: str
    period: str
    label: str
    count: int
    n: int

    def row(self) -> dict[str, Any]:
        """With its share and the share's interval (Wilson)."""
        share = stats.wilson(self.count, self.n)
        return msgspec.structs.asdict(self) | {"share": share.value, "low": share.low, "high": share.high}


# ---- Figure 2a ------------------------------------------------------------------------------------------------------


def composition_figure(models: Sequence[Model], side: Side) -> Figure | None:
    """Figure 2a: the share of models by label of six facets; None without models."""
    counts = [*(_pies() if side.paper else ()), *(_totals(models) if side.mine and models else ())]
    rows = [count.row() for count in counts]
    if not rows:
        return None
    title = "The survey's Figure 2a: how small language models are built"
    return Figure(name="fig2a", title=title, caption=_composed(rows, side), spec=_bars(rows, side), rows=rows)


def _pies() -> Iterator[_Count]:
    for name in DRAWN:
        wedges = paper.fig2().pies[name]
        total = sum(wedge.count for wedge in wedges.values())
        for label, wedge in wedges.items():
            yield _Count(SURVEY, name, "", _OURS.get(label, label), wedge.count, total)


def _totals(models: Sequence[Model]) -> Iterator[_Count]:
    for name in DRAWN:
        facet = _BY_NAME[name]
        found = Counter(label for model in models for label in _labels(facet, model))
        for label in facet.order:
            if found[label]:
                yield _Count(CATALOGUE, name, "", str(label), found[label], found.total())
        if found[_LAYERWISE]:
            yield _Count(CATALOGUE, name, "", _LAYERWISE, found[_LAYERWISE], found.total())


def _labels(facet: Facet, model: Model) -> tuple[str, ...]:
    """As Figure 2a has them, where FFN ratios that differ from layer to layer have a wedge of their own."""
    layerwise = facet.name == "ffn-ratio" and not isinstance(model.architecture.ffn.intermediate, int)
    return (_LAYERWISE,) if layerwise else facet.labels(model)


def _composed(rows: Rows, side: Side) -> str:
    told = []
    for source in (SURVEY, CATALOGUE):
        own = [row for row in rows if row["source"] == source]
        tops = [
            max((row for row in own if row["facet"] == name), key=lambda row: row["share"]) for name in DRAWN if own
        ]
        if tops:
            shares = ", ".join(f"{_named(row['facet'], row['label'])} {row['share']:.0%}" for row in tops)
            told.append(f"{source} ({max(row['n'] for row in own)} models): {shares}")
    whose = (
        "The survey's pies beside the catalogue to this day" if side is Side.BOTH else "The share of models by label"
    )
    bars = "; lines over the catalogue's are 95% intervals" if side.mine else ""
    return f"{whose}{bars}. The most frequent of each: {'; '.join(told)}."


def _named(facet: str, label: str) -> str:
    """A label in a sentence: one that is a number says of what."""
    return f"{_BY_NAME[facet].title.lower()} {label}" if facet in ("ffn-ratio", "vocabulary") else label


def _bars(rows: Rows, side: Side) -> dict[str, Any]:
    sources = [source for source in (SURVEY, CATALOGUE) if any(row["source"] == source for row in rows)]
    color = alt.Color(
        "source:N",
        title=None,
        scale=alt.Scale(domain=sources, range=[_SOURCE_COLORS[source] for source in sources]),
        legend=alt.Legend(orient="bottom") if side is Side.BOTH else None,
    )
    panels = []
    for name in DRAWN:
        own = [row for row in rows if row["facet"] == name]
        order = [label for label in _order(name) if any(row["label"] == label for row in own)]
        base = alt.Chart(inline(own)).encode(
            y=alt.Y("label:N", title=None, sort=order, axis=category_axis()),
            yOffset=alt.YOffset("source:N", sort=sources),
            tooltip=tooltips(own, "source", "label", "count", "n", "share", "low", "high"),
        )
        x = alt.X("share:Q", title=None, axis=alt.Axis(format="%", tickCount=5), scale=alt.Scale(domain=[0, 1]))
        interval = base.transform_filter(f"datum.source == '{CATALOGUE}'").mark_rule(strokeWidth=1.2)
        layers = [base.mark_bar().encode(x=x, color=color), interval.encode(x=alt.X("low:Q"), x2="high:Q")]
        height = len(order) * (14 * len(sources) + 8)
        panels.append(alt.layer(*layers).properties(width=240, height=height, title=_BY_NAME[name].title))
    return finished(alt.concat(*panels, columns=2, spacing=40))


_SOURCE_COLORS = {SURVEY: THEIRS, CATALOGUE: OURS}


def _order(name: str) -> list[str]:
    """The labels of a facet, and those that only the survey has."""
    return [*map(str, _BY_NAME[name].order), _LAYERWISE]


# ---- Figure 2b ------------------------------------------------------------------------------------------------------


def trends_figure(models: Sequence[Model], side: Side, period: Period = Period.HALF_YEAR) -> Figure | None:
    """Figure 2b: the share of each label by period of release; None without models."""
    counts = [*(_survey_bars() if side.paper else ()), *(_periods(models, period) if side.mine else ())]
    rows = [count.row() for count in counts]
    if not rows:
        return None
    title = "The survey's Figure 2b: how building changes over time"
    return Figure(name="fig2b", title=title, caption=_moved(rows), spec=_stacks(rows), rows=rows)


def _survey_bars() -> Iterator[_Count]:
    figure = paper.fig2()
    for name in DRAWN:
        bars = {label: counts for label, counts in figure.bars[name].items() if label != "nan"}
        for place, period in enumerate(figure.periods):
            n = sum(counts[place] for counts in bars.values())
            for label, counts in bars.items():
                if counts[place]:
                    yield _Count(SURVEY, name, period, OUR_LABELS.get(label, label), counts[place], n)


def _periods(models: Sequence[Model], period: Period) -> Iterator[_Count]:
    for name in DRAWN:
        facet = _BY_NAME[name]
        found = Counter((period.of(model.release), str(label)) for model in models for label in facet.labels(model))
        n = Counter(when for when, _ in found.elements())
        for when, label in sorted(found):
            yield _Count(CATALOGUE, name, when, label, found[when, label], n[when])


def _moved(rows: Rows) -> str:
    """What the most frequent label of each facet was at first, and is at last."""
    told = []
    for source in dict.fromkeys(row["source"] for row in rows):
        own = [row for row in rows if row["source"] == source]
        ends = min(row["period"] for row in own), max(row["period"] for row in own)
        changes = [change for name in DRAWN if (change := _change(own, name, ends))]
        told.append(f"The {source}, {ends[0]} to {ends[1]}: {', '.join(changes)}.")
    return f"Shares of the models of each period; their number stands on top. {' '.join(told)}"


def _change(rows: Rows, name: str, ends: tuple[str, str]) -> str | None:
    first, last = (
        max((row for row in rows if row["facet"] == name and row["period"] == end), key=lambda row: row["share"])
        for end in ends
    )
    return f"{_named(name, first['label'])} {first['share']:.0%} to {last['label']} {last['share']:.0%}"


def _stacks(rows: Rows) -> dict[str, Any]:
    sources = list(dict.fromkeys(row["source"] for row in rows))
    panels = [_stack(rows, name, source, several=len(sources) > 1) for name in DRAWN for source in sources]
    return finished(alt.concat(*panels, columns=2, spacing=40).resolve_scale(color="independent"))


def _stack(rows: Rows, name: str, source: str, *, several: bool) -> alt.LayerChart | alt.FacetChart:
    facet = _BY_NAME[name]
    own = [row for row in rows if (row["facet"], row["source"]) == (name, source)]
    known = [str(label) for label in facet.order if any(row["label"] == label for row in rows if row["facet"] == name)]
    hues = dict(zip(map(str, facet.order), STEPS if facet.ordered else NAME_COLORS, strict=False))
    scale = alt.Scale(domain=known, range=[hues.get(label, GREY) for label in known])
    place = {label: number for number, label in enumerate(known)}
    base = alt.Chart(inline([{**row, "place": place[row["label"]]} for row in own])).encode(
        x=alt.X("period:O", title=None, axis=alt.Axis(labelAngle=-45, ticks=False))
    )
    bars = base.mark_bar().encode(
        y=alt.Y("share:Q", title=None, axis=alt.Axis(format="%", tickCount=4), scale=alt.Scale(domain=[0, 1])),
        color=alt.Color("label:N", title=None, scale=scale, legend=alt.Legend(orient="bottom", columns=3)),
        order="place:Q",
        tooltip=tooltips(own, "source", "period", "label", "count", "n", "share", "low", "high"),
    )
    total = base.transform_aggregate(n="max(n)", groupby=["period"]).mark_text(dy=-7)
    title = f"{facet.title}: {source}" if several else facet.title
    layers = (bars, total.encode(y=alt.datum(1), text="n:Q"))
    return alt.layer(*layers).properties(width=300, height=170, title={"text": title, "offset": 16})


# ---- Figure 3 -------------------------------------------------------------------------------------------------------


def usage_figure(models: Sequence[Model], side: Side) -> Figure | None:
    """Figure 3: how many models of each year were trained on which data; None if none names its data."""
    counts = [*(_survey_uses() if side.paper else ()), *(_uses(models) if side.mine else ())]
    totals: Counter[str] = Counter()
    for count in counts:
        totals[count.label] = max(totals[count.label], count.count)
    names = sorted(totals, key=lambda name: -sum(count.count for count in counts if count.label == name))
    rows = [count.row() for count in counts if count.label in names[:MOST_DATASETS]]
    if not rows:
        return None
    title = "The survey's Figure 3: what small language models are trained on"
    spec = _circles(rows, names[:MOST_DATASETS])
    return Figure(name="fig3", title=title, caption=_used(rows, len(names)), spec=spec, rows=rows)


def _survey_uses() -> Iterator[_Count]:
    """The figure's counts, of the models that the survey dates in the year and names data of."""
    facet, chosen = _BY_NAME["datasets"], [model for model in catalog.models() if model.paper.fig2b]
    for year, uses in paper.fig3().uses.items():
        of_year = [m for m in chosen if (m.paper.release or m.release).startswith(year)]
        n = sum(bool(labels(facet, model, counted=True)) for model in of_year)
        for name, count in uses.items():
            yield _Count(SURVEY, "datasets", year, OUR_LABELS.get(name, name), count, max(n, count))


def _uses(models: Sequence[Model]) -> Iterator[_Count]:
    years: dict[str, list[tuple[str, ...]]] = {}
    for model in models:
        if model.training.datasets:
            years.setdefault(Period.YEAR.of(model.release), []).append(model.training.datasets)
    for year, named in sorted(years.items()):
        for name, count in Counter(name for names in named for name in names).items():
            yield _Count(CATALOGUE, "datasets", year, name, count, len(named))


def _used(rows: Rows, many: int) -> str:
    told = []
    for source in dict.fromkeys(row["source"] for row in rows):
        own = [row for row in rows if row["source"] == source]
        years = sorted({row["period"] for row in own})
        tops = [max((row for row in own if row["period"] == year), key=lambda row: row["count"]) for year in years]
        most = ", ".join(f"{row['period']} {row['label']} ({row['count']} of {row['n']})" for row in tops)
        told.append(f"Most used, {source}: {most}.")
    return (
        f"The {len({row['label'] for row in rows})} most used of {many} data sets: the number is how many models of "
        f"the year were trained on it, the circle's area their share of those that name their data. {' '.join(told)}"
    )


def _circles(rows: Rows, names: Sequence[str]) -> dict[str, Any]:
    sources = list(dict.fromkeys(row["source"] for row in rows))
    panels = []
    for source in sources:
        own = [row for row in rows if row["source"] == source]
        base = alt.Chart(inline(own)).encode(
            x=alt.X("period:O", title=None, axis=alt.Axis(orient="top", ticks=False, domain=False, labelAngle=0)),
            y=alt.Y("label:N", title=None, scale=alt.Scale(domain=list(names)), axis=category_axis()),
        )
        size = alt.Size("share:Q", scale=alt.Scale(range=[10, 480], domain=[0, 1]), legend=None)
        tips = tooltips(own, "source", "period", "label", "count", "n", "share", "low", "high")
        circles = base.mark_circle(color=_SOURCE_COLORS[source], opacity=0.9).encode(size=size, tooltip=tips)
        text = base.mark_text(align="left", dx=13).encode(text="count:Q")
        panel = alt.layer(circles, text)
        panels.append(panel.properties(width=300, height=24 * len(names), title={"text": source, "offset": 8}))
    return finished(alt.concat(*panels, columns=2, spacing=40))
