"""What models make of their context: examples, and long texts (claims I1, I2 and X1)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from slm_atlas import stats
from slm_atlas.catalog import paper
from slm_atlas.insights.claims.evaluated import ICL_SUITE, Evaluated, evaluated, gains
from slm_atlas.insights.claims.evidence import Evidence
from slm_atlas.insights.claims.vocabulary import Claim, Data, Part, Result, no_data, too_few, written
from slm_atlas.stats import Estimate

HARDLY = 0.01
"""A gain that I1 calls hardly any: one point, either way."""
NEARLY_ALL = 0.75
"""The share that I1 calls nearly all."""
SMALL = 1e9
"""Parameters below which I2 looks for losses."""
SOME = 0.05
"""The share that it calls some."""
MIN_MODELS = 5
"""Fewer models with and without examples are no test."""
LONG = ("passkey", "multikey")
"""What the names of tasks of retrieval from long texts begin with."""
LONG_SUITE = "slm eval MODEL --suite long-context"
FLAT = {"hellaswag": "HellaSwag", "piqa": "PIQA"}
"""Tasks in which I1 says that models gain hardly anything."""


def _gains() -> Gains:
    """By task, what each family of Figure 6a gains from five examples."""
    return {task: [of["5"] - of["0"] for of in families.values()] for task, families in paper.fig6().scores.items()}


Gains = Mapping[str, Sequence[float]]
"""By task, and on average, what each family or model gains from five examples."""


def _examples(by_task: Gains, unit: str, caveats: tuple[str, ...]) -> Result:
    arc = by_task["arc_challenge"]
    parts = (
        Part(
            what="mean gain over the tasks",
            asked="above 0",
            tested=stats.mean_above(by_task["average"]),
            form="{:+.3f}",
        ),
        Part(
            what=f"share of {unit} that gain in ARC-Challenge",
            asked="above three quarters",
            tested=stats.share_above(sum(gain > 0 for gain in arc), len(arc), NEARLY_ALL),
            form="{:.0%}",
        ),
        *(
            Part(
                what=f"mean gain in {name}",
                asked=f"within {HARDLY:g} of 0",
                tested=stats.within(stats.mean_above(by_task[task], -HARDLY), stats.mean_above(by_task[task], HARDLY)),
                form="{:+.3f}",
            )
            for task, name in FLAT.items()
        ),
    )
    summary = (
        f"Five examples give {100 * parts[0].tested.effect.value:+.1f} points on average over tasks; in ARC-Challenge "
        f"{sum(gain > 0 for gain in arc)} of {len(arc)} {unit} gain; in HellaSwag {parts[2].shown}, in PIQA "
        f"{parts[3].shown}"
    )
    return Result(parts=parts, summary=summary, n=len(arc), unit=unit, caveats=caveats)


def _examples_in_figure(_: Evidence) -> Result:
    return _examples(_gains(), "families", ())


def _examples_measured(evidence: Evidence) -> Result:
    """The gains of the models that were given the three tasks that I1 names, and others, without and with examples."""
    found = measured_gains(evidence)
    if not found:
        return no_data("No task was evaluated both without and with five examples.", f"{ICL_SUITE}, of real models")
    whole = [of for _, of in found if {"arc_challenge", *FLAT} <= set(of)]
    if len(whole) < MIN_MODELS:
        few = f"Models with ARC-Challenge, HellaSwag and PIQA both without and with five examples: {len(whole)}"
        told = f"{_told(*max(found, key=lambda pair: len(pair[1])))}; a verdict needs {MIN_MODELS}: {ICL_SUITE}."
        return too_few(f"{few}; {told}", len(whole))
    by_task = {task: [of[task].value for of in whole] for task in ("arc_challenge", *FLAT)}
    shared = sorted(set.intersection(*(set(of) for of in whole)))
    by_task["average"] = [statistics.fmean(of[task].value for task in shared) for of in whole]
    return _examples(by_task, "models", (f"The average is over {', '.join(shared)}.", "On the same items."))


def _told(one: Evaluated, of: Mapping[str, Estimate]) -> str:
    """What one model gains, in a few words."""
    mean = stats.average(list(of.values()))
    return f"{one.name} gains {written(mean, '{:+.3f}')} on average over {', '.join(sorted(of))}"


def measured_gains(evidence: Evidence) -> list[tuple[Evaluated, Mapping[str, Estimate]]]:
    """The real models with tasks both without examples and with five or more, and what each task gains."""
    found = [(one, gains(one)) for one in evaluated(evidence)]
    return [(one, of) for one, of in found if of]


def _larger(points: Sequence[tuple[float, float]], caveats: tuple[str, ...]) -> Result:
    """From parameters and gain of each model."""
    tested = stats.slope_above([math.log10(params) for params, _ in points], [gain for _, gain in points])
    small = [gain < 0 for params, gain in points if params < SMALL]
    parts = (
        Part(what="gain for ten times the parameters", asked="above 0", tested=tested, form="{:+.3f}"),
        Part(
            what="share of models below 1B that lose",
            asked=f"above {SOME:.0%}",
            tested=stats.share_above(sum(small), len(small), SOME),
            form="{:.0%}",
        ),
    )
    summary = (
        f"Ten times the parameters bring {parts[0].shown} more from five examples; {sum(small)} of {len(small)} models "
        "below 1B lose"
    )
    return Result(parts=parts, summary=summary, n=len(points), caveats=("Models of a family share data.", *caveats))


def _larger_in_figure(_: Evidence) -> Result:
    points = [(point.params_billion * 1e9, point.growth) for point in paper.fig6().growth.points]
    return _larger(points, ("All Phi models are drawn at 2.0B.",))


def _larger_measured(evidence: Evidence) -> Result:
    """The mean gain over the tasks that all models have, by parameters."""
    found = [(one, of) for one, of in measured_gains(evidence) if one.params]
    if not found:
        need = f"{ICL_SUITE}, of real models of different sizes"
        return no_data("No task was evaluated both without and with five examples.", need)
    shared = sorted(set.intersection(*(set(of) for _, of in found)))
    points = [(float(one.params), statistics.fmean(of[task].value for task in shared)) for one, of in found if shared]
    small = sum(params < SMALL for params, _ in points)
    if len(points) < MIN_MODELS or not small or len({params for params, _ in points}) < 2:
        few = f"Models with the same tasks without and with five examples: {len(points)}, of them below 1B: {small}"
        return too_few(f"{few}; a verdict needs {MIN_MODELS} of different sizes: {ICL_SUITE}.", len(points))
    return _larger(points, (f"Mean over {', '.join(shared)}, on the same items.",))


def _long(evidence: Evidence) -> Result:
    """Rank correlation of size with the mean score of the tasks over long texts that most models have."""
    found = [one for one in evaluated(evidence) if one.params and any(task.startswith(LONG) for task in one.scores)]
    if not found:
        return no_data("No task over long texts was evaluated.", f"{LONG_SUITE}, of {MIN_MODELS} real models or more")
    texts = {task for one in found for task in one.scores if task.startswith(LONG)}
    shared = sorted(task for task in texts if all(task in one.scores for one in found))
    points = [
        (float(one.params), statistics.fmean(one.scores[task].estimate.value for task in shared))
        for one in found
        if shared
    ]
    sizes, scores = [size for size, _ in points], [value for _, value in points]
    if len(points) < MIN_MODELS or min(sizes) == max(sizes) or min(scores) == max(scores):
        few = f"Models that differ in size and score with the same tasks over long texts: {len(points)}"
        return too_few(f"{few}; a verdict needs {MIN_MODELS}: {LONG_SUITE}.", len(points))
    part = Part(
        what="rank correlation of size with retrieval",
        asked="above 0",
        tested=stats.rank_correlation_above(sizes, scores),
    )
    summary = f"Size and retrieval have a rank correlation of {part.shown}"
    return Result(parts=(part,), summary=summary, n=len(points), caveats=(f"Mean over {', '.join(shared)}.",))


NOTHING = {Data.CATALOGUE: "scores, which the catalogue does not hold"}

CLAIMS = (
    Claim(
        id="I1",
        figure="fig6a",
        sentence="Most small models gain from five examples: nearly all in ARC-Challenge, hardly any in HellaSwag and "
        "PIQA.",
        source="arXiv 2409.15790, in-context learning, Figure 6a",
        rule="The mean gain over the tasks (eight in Figure 6) is above 0 (t test); more than three quarters gain in "
        "ARC-Challenge (binomial test); the mean gain in HellaSwag and in PIQA is within one point of 0 (two one-sided "
        "t tests). Fails if one is not.",
        tests={Data.PAPER: _examples_in_figure, Data.MINE: _examples_measured},
        needs=NOTHING,
    ),
    Claim(
        id="I2",
        figure="fig6b",
        sentence="Larger models gain more from examples, and some of the small ones lose.",
        source="arXiv 2409.15790, in-context learning, Figure 6b",
        rule="The gain rises with log parameters (t test of the slope), and more than one in twenty models below 1B "
        "lose (binomial test). Fails if one is not so.",
        tests={Data.PAPER: _larger_in_figure, Data.MINE: _larger_measured},
        needs=NOTHING,
    ),
    Claim(
        id="X1",
        sentence="Retrieval from long texts improves with size, and varies by family at the same size.",
        source="arXiv 2409.15790, third version, long context",
        rule="The rank correlation of size with the score in retrieval is above 0 (Fisher's z). Fails if it is below. "
        "That families vary is not tested.",
        tests={Data.MINE: _long},
        needs=NOTHING | {Data.PAPER: "the figures of its third version, of which we have no data"},
    ),
)
"""The claims about context."""
