"""Tables of what scores say: distance from guessing, domains, published scores, pairs of models, worked examples."""

from __future__ import annotations

from collections.abc import Sequence

from slm_atlas.insights.capability import Ability, Capability
from slm_atlas.insights.learning import Curve
from slm_atlas.report.tables import NOT_MEASURED, Cell, Table, interval
from slm_atlas.stats import Estimate
from slm_atlas.units import counted, format_p


def score_tables(found: Capability) -> list[Table]:
    """The tables; one without lines is not shown."""
    return [
        _guessing_table(found.models),
        _domain_table(found.models),
        _published_table(found.models),
        _pair_table(found),
        _learning_table(found.learning),
    ]


def _guessing_table(models: Sequence[Ability]) -> Table:
    """Tasks where guessing has a meaning: 0 is guessing, 100 % all right."""
    lines = [
        [_text(model.model), _text(task), _share(score.estimate), _text(f"{score.chance:.0%}"), _share(score.corrected)]
        for model in models
        for task, score in model.scores.items()
        if score.chance is not None and score.corrected is not None
    ]
    return Table("Above guessing", ["Model", "Task", "Score", "Guessing", "Above guessing"], lines)


def _domain_table(models: Sequence[Ability]) -> Table:
    lines = [
        [
            _text(model.model),
            _text(domain.name),
            _share(domain.estimate),
            _share(domain.corrected),
            Cell(
                f"{len(domain.tasks)} of {len(domain.tasks) + len(domain.missing)}",
                (f"without {', '.join(domain.missing)}",) if domain.missing else (),
                len(domain.tasks),
            ),
        ]
        for model in models
        for domain in model.domains
    ]
    return Table("The survey's domains", ["Model", "Domain", "Score", "Above guessing", "Tasks"], lines)


def _published_table(models: Sequence[Ability]) -> Table:
    lines = [
        [
            _text(model.model),
            _text(each.title),
            Cell(f"{each.published:.1%}", (each.source,), each.published),
            _share(each.ours),
            _text("yes" if each.held else "no"),
        ]
        for model in models
        for each in model.published
    ]
    return Table("Published beside ours", ["Model", "What", "Published", "Ours", "Within our interval"], lines)


def _pair_table(found: Capability) -> Table:
    title = "Two models on the same items"
    if len(found.shown_pairs) < len(found.pairs):
        title += ", by domain"
    lines = [
        [
            _text(pair.what),
            _text(pair.first),
            _text(pair.second),
            _points(pair.difference),
            _p(pair.p_value),
            _text(pair.verdict),
        ]
        for pair in found.shown_pairs
    ]
    return Table(title, ["What", "First", "Second", "Second minus first", "McNemar p", "Verdict"], lines)


def _learning_table(curves: Sequence[Curve]) -> Table:
    shots = sorted({number for curve in curves for number in curve.points})
    names = [counted(number, "shots") for number in shots]
    lines = [
        [
            _text(curve.model),
            _text(curve.task if curve.tasks == 1 else f"{curve.task} of {curve.tasks} tasks"),
            *(_share(curve.points.get(number)) for number in shots),
            Cell(NOT_MEASURED) if curve.gain is None else _points(curve.gain),
            _p(curve.p_value),
            _text(curve.verdict),
        ]
        for curve in curves
    ]
    columns = ["Model", "Task", *names, "Gain on the same items", "McNemar p", "Verdict"]
    return Table("Learning from worked examples", columns, lines)


def _text(text: str) -> Cell:
    return Cell(text, (), text.lower())


def _share(estimate: Estimate | None) -> Cell:
    if estimate is None:
        return Cell(NOT_MEASURED)
    return Cell(f"{estimate.value:.1%}", (interval(estimate, "{:.1%}".format), f"{estimate.n:,} items"), estimate.value)


def _points(difference: Estimate) -> Cell:
    def shown(value: float) -> str:
        return f"{100 * value:+.1f}"

    more = (interval(difference, shown), f"{difference.n:,} items")
    return Cell(f"{shown(difference.value)} points", more, difference.value)


def _p(p_value: float | None) -> Cell:
    if p_value is None:
        return Cell(NOT_MEASURED)
    return Cell(format_p(p_value), (), p_value)
