"""What models can do, as tables: scores, domains, published scores, pairs, and what worked examples gain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slm_atlas.cli.output import print_table, say, with_interval
from slm_atlas.errors import UserError
from slm_atlas.insights.capability import Ability, Capability, capability
from slm_atlas.insights.domains import Domain, Paired
from slm_atlas.insights.learning import Curve
from slm_atlas.insights.scores import Score
from slm_atlas.stats import Estimate
from slm_atlas.units import counted, format_p

if TYPE_CHECKING:
    from slm_atlas.insights.frame import Dataset

RIGHT = {"Score", "n", "Guessing", "Above guessing", "Maker's", "Ours", "Difference", "p", "Gain"}
Line = list[str | None]
_Table = tuple[list[str], list[Line]]


def print_capability(found: Capability) -> None:
    """All of it, a table each; nothing where nothing was evaluated."""
    _print(_named(found, ["Task", "Score", "n", "Guessing", "Above guessing"], _scores))
    _print(_named(found, ["Domain", "Score", "n", "Above guessing", "Tasks"], _domains))
    _print(_named(found, ["Published", "Maker's", "Ours", "Metric", "Within our interval"], _published))
    for source in dict.fromkeys(each.source for model in found.models for each in model.published):
        say(f"Published: {source}.")
    _print((["Same items", "Second minus first", "Difference", "n", "p", "Verdict"], _pairs(found.shown_pairs)))
    if len(found.shown_pairs) < len(found.pairs):
        say("Of so many models, pairs are shown by domain; each task's are in --json.")
    print_learning(found.learning)


def print_learning(curves: Sequence[Curve]) -> None:
    """Scores by the number of worked examples, and the gain on the same items."""
    shots = sorted({number for curve in curves for number in curve.points})
    columns = ["In context", "Model", *(counted(number, "shots") for number in shots), "Gain", "p", "Verdict"]
    _print((columns, [_learnt(curve, shots) for curve in curves]))


def write_learning(dataset: Dataset, path: Path) -> None:
    """The curves over worked examples, as a picture.

    Raises:
        UserError: no task ran with several numbers of them, or the file cannot be written.
    """
    from slm_atlas.report.files import write_figure
    from slm_atlas.report.learning_figure import learning_figure

    figure = learning_figure(capability(dataset).learning)
    if figure is None:
        raise UserError(
            "No task ran with several numbers of worked examples.", "slm eval MODEL --suite icl --plot FILE"
        )
    write_figure(figure, path)


def _named(found: Capability, columns: list[str], lines: Callable[[Ability], Iterator[Line]]) -> _Table:
    """A table of every model's lines; with the model in the second column where there are several."""
    if len(found.models) == 1:
        return columns, list(lines(found.models[0]))
    table = [[first, model.model, *rest] for model in found.models for first, *rest in lines(model)]
    return [columns[0], "Model", *columns[1:]], table


def _print(table: _Table) -> None:
    columns, lines = table
    if not lines:
        return
    click.echo()
    print_table(columns, lines, right={*RIGHT, *(name for name in columns if name.endswith(("shot", "shots")))})


def _scores(model: Ability) -> Iterator[Line]:
    for task, score in model.scores.items():
        chance = None if score.chance is None else f"{score.chance:.0%}"
        yield [task, _score(score), str(score.estimate.n), chance, _percent(score.corrected)]


def _score(score: Score) -> str | None:
    if score.is_share:
        return _percent(score.estimate)
    return f"{with_interval(score.estimate, '{:.3g}'.format)} {score.metric.replace('_', ' ')}"


def _domains(model: Ability) -> Iterator[Line]:
    for domain in model.domains:
        yield [
            domain.name,
            _percent(domain.estimate),
            str(domain.estimate.n),
            _percent(domain.corrected),
            _tasks(domain),
        ]


def _tasks(domain: Domain) -> str:
    """How many of the survey's tasks of a domain its average is of, and which are missing."""
    done, missing = len(domain.tasks), len(domain.missing)
    return f"{done} of {done + missing}" + (f", without {', '.join(domain.missing)}" if missing else "")


def _published(model: Ability) -> Iterator[Line]:
    for each in model.published:
        held = "yes" if each.held else "no"
        yield [each.title, f"{each.published:.1%}", _percent(each.ours, 1), each.metric, held]


def _pairs(pairs: Sequence[Paired]) -> list[Line]:
    return [
        [
            pair.what,
            f"{pair.second} minus {pair.first}",
            _points(pair.difference),
            str(pair.difference.n),
            _p(pair.p_value),
            pair.verdict,
        ]
        for pair in pairs
    ]


def _learnt(curve: Curve, shots: Sequence[int]) -> Line:
    name = f"{curve.task} of {curve.tasks} tasks" if curve.tasks > 1 else curve.task
    points = [_percent(curve.points.get(number)) for number in shots]
    gain = None if curve.gain is None else _points(curve.gain)
    return [name, curve.model, *points, gain, _p(curve.p_value), curve.verdict]


def _p(p_value: float | None) -> str | None:
    return None if p_value is None else format_p(p_value)


def _percent(estimate: Estimate | None, digits: int = 0) -> str | None:
    return None if estimate is None else with_interval(estimate, f"{{:.{digits}%}}".format)


def _points(estimate: Estimate) -> str:
    return with_interval(estimate, lambda value: f"{100 * value:+.1f}") + " points"
