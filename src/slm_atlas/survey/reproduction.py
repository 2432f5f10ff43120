"""The survey's Figures 2, 3, 4 and 11 made again from the catalogue, and every number that comes out otherwise.

Each number is compared with the catalogue *as the paper counts* and *as it is*. Where the two differ, the models that
the paper counts as something else explain it. Where the figure differs from the paper's own way of counting, nothing
does, unless `data/paper/remarks.toml` knows why; what it only guesses stays unexplained.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from slm_atlas.catalog import Model, paper
from slm_atlas.survey.cells import Cell, Verdict, remark
from slm_atlas.survey.composition import Period
from slm_atlas.survey.facets import FACETS, Facet, Labels
from slm_atlas.survey.memory import figure_11
from slm_atlas.survey.points import figure_4
from slm_atlas.survey.views import OUR_LABELS, difference, members

LAYERWISE = "0.5~4"
"""Figure 2a's FFN ratio of models whose layers differ in width (OpenELM); Figure 2b counts them as <2.75."""

Drawn = Mapping[tuple[str, str], int]
"""What a figure shows: models by period and label."""


def compare(models: Sequence[Model]) -> list[Cell]:
    """The numbers of the figures; of Figures 2a, 2b and 3 those that are not zero in the figure and in both views.

    Args:
        models: the whole catalogue; what the figures show is chosen from it.
    """
    chosen = [model for model in models if model.paper.fig2b]
    figures = (figure_2a(chosen), figure_2b(chosen), figure_3(chosen), figure_4(models), figure_11(models))
    return [cell for figure in figures for cell in figure]


def tally(cells: Iterable[Cell]) -> dict[str, dict[Verdict, int]]:
    """How many numbers of each figure come to what."""
    found: defaultdict[str, dict[Verdict, int]] = defaultdict(lambda: dict.fromkeys(Verdict, 0))
    for cell in cells:
        found[cell.figure][cell.verdict] += 1
    return dict(found)


# ---- the figures ----------------------------------------------------------------------------------------------------


def figure_2a(models: Sequence[Model]) -> Iterator[Cell]:
    """The pies, by the counts behind their wedges."""
    for facet in FACETS:
        if wedges := paper.fig2().pies.get(facet.name):
            drawn = {("", _ours(label)): wedge.count for label, wedge in wedges.items()}
            yield from _counts("2a", _pie(facet), models, drawn, None, without=("none",))


def figure_2b(models: Sequence[Model]) -> Iterator[Cell]:
    """The bars, and how many models each half-year has."""
    fig = paper.fig2()
    everything = Facet(name="models", title="Models", labels=lambda _: ("",), order=("",))
    for facet in (everything, *FACETS):
        bars = {"": fig.models} if facet is everything else fig.bars.get(facet.name, {})
        drawn = {
            (period, _ours(label)): count
            for label, counts in bars.items()
            for period, count in zip(fig.periods, counts, strict=True)
        }
        if drawn:
            yield from _counts("2b", facet, models, drawn, Period.HALF_YEAR)


def figure_3(models: Sequence[Model]) -> Iterator[Cell]:
    """The uses of each data set that the figure draws; what else the models were trained on is not in it."""
    drawn = {(year, _ours(name)): n for year, found in paper.fig3().uses.items() for name, n in found.items()}
    facet = next(facet for facet in FACETS if facet.name == "datasets")
    names = {name for _, name in drawn}
    yield from _counts("3", facet, models, drawn, Period.YEAR, without=_others(models, facet, names))


def _ours(label: str) -> str:
    return OUR_LABELS.get(label, label)


def _others(models: Iterable[Model], facet: Facet, names: Collection[str]) -> set[str]:
    return {label for model in models for label in facet.labels(model)} - set(names)


def _pie(facet: Facet) -> Facet:
    """A facet as Figure 2a has it, where OpenELM's FFN ratios have a wedge of their own."""

    def of(model: Model) -> Labels:
        layerwise = not isinstance(model.architecture.ffn.intermediate, int)
        return (LAYERWISE,) if facet.name == "ffn-ratio" and layerwise else facet.labels(model)

    return msgspec.structs.replace(facet, labels=of)


# ---- counts beside ours ---------------------------------------------------------------------------------------------


def _counts(
    figure: str,
    facet: Facet,
    models: Sequence[Model],
    drawn: Drawn,
    period: Period | None,
    *,
    without: Collection[str] = (),
) -> Iterator[Cell]:
    """The numbers of a facet: those drawn, and those that one of the views has beside them.

    Args:
        figure: as in `Cell`.
        facet: what is counted.
        models: those of the survey.
        drawn: what the figure shows.
        period: how the figure divides time; None: it does not.
        without: labels that the figure leaves out.
    """
    counted, true = (members(models, facet, period, counted=view) for view in (True, False))
    for key in dict.fromkeys([*drawn, *counted, *true]):
        when, label = key
        shown, ours, ourselves = drawn.get(key, 0), counted.get(key, []), true.get(key, [])
        if label in without or not (shown or ours or ourselves):
            continue
        moved = [model for model in models if (model in ours) != (model in ourselves)]
        reasons = [(model, difference(model, facet, label, period)) for model in moved]
        name = " ".join(part for part in (facet.name, when, label) if part)
        yield _cell(figure, name, (shown, len(ours), len(ourselves)), reasons)


def _cell(figure: str, name: str, numbers: tuple[int, int, int], reasons: Sequence[tuple[Model, str]]) -> Cell:
    shown, counted, true = numbers
    found = list(_sentences(reasons))
    verdict = Verdict.EXPLAINED if reasons else Verdict.EQUAL
    if shown != counted:
        verdict, text = remark(figure, name)
        found.insert(0, text)
    return Cell(
        figure=figure,
        cell=name,
        paper=shown,
        counted=counted,
        true=true,
        models=tuple(model.id for model, _ in reasons),
        verdict=verdict,
        reasons=tuple(found),
    )


def _sentences(reasons: Sequence[tuple[Model, str]]) -> Iterator[str]:
    """A sentence a reason, with all models it holds for."""
    names = defaultdict(list)
    for model, reason in reasons:
        names[reason].append(model.name)
    for reason, found in names.items():
        yield f"{', '.join(found)}: {reason}."
