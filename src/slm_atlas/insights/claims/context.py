"""What models make of their context: examples, and long texts (claims I1, I2 and X1)."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict

from slm_atlas import stats
from slm_atlas.catalog import paper
from slm_atlas.errors import Outcome
from slm_atlas.insights.claims.evidence import Evidence
from slm_atlas.insights.claims.vocabulary import Claim, Data, Part, Result, no_data, too_few
from slm_atlas.insights.scores import score
from slm_atlas.store.records import RunKind

HARDLY = 0.01
"""A gain that I1 calls hardly any: one point, either way."""
NEARLY_ALL = 0.75
"""The share that I1 calls nearly all."""
SMALL = 1.0
"""Billions of parameters below which I2 looks for losses."""
SOME = 0.05
"""The share that it calls some."""
MIN_MODELS = 5
"""Fewer models with and without examples are no test."""
LONG = ("passkey", "multikey")
"""What the names of tasks of retrieval from long texts begin with."""
SHOTS = "the same task with no example and with five: slm eval MODEL --task arc_challenge --shots 0, then --shots 5"
TASKS_NEEDED = "tasks over long texts for five models or more: slm eval MODEL --suite long-context"


def _gains() -> dict[str, list[float]]:
    """By task, what each family of Figure 6a gains from five examples."""
    return {task: [of["5"] - of["0"] for of in families.values()] for task, families in paper.fig6().scores.items()}


def _examples(_: Evidence) -> Result:
    gains = _gains()
    arc = gains["arc_challenge"]
    parts = (
        Part(
            what="mean gain over eight tasks",
            asked="above 0",
            tested=stats.mean_above(gains["average"]),
            form="{:+.3f}",
        ),
        Part(
            what="share of families that gain in ARC-Challenge",
            asked="above three quarters",
            tested=stats.share_above(sum(gain > 0 for gain in arc), len(arc), NEARLY_ALL),
            form="{:.0%}",
        ),
        *(
            Part(
                what=f"mean gain in {name}",
                asked=f"within {HARDLY:g} of 0",
                tested=stats.within(stats.mean_above(gains[task], -HARDLY), stats.mean_above(gains[task], HARDLY)),
                form="{:+.3f}",
            )
            for task, name in (("hellaswag", "HellaSwag"), ("piqa", "PIQA"))
        ),
    )
    summary = (
        f"Five examples give {100 * parts[0].tested.effect.value:+.1f} points over eight tasks; in ARC-Challenge "
        f"{sum(gain > 0 for gain in arc)} of {len(arc)} families gain; in HellaSwag {parts[2].shown}, in PIQA "
        f"{parts[3].shown}"
    )
    return Result(parts=parts, summary=summary, n=len(arc), unit="families")


def _examples_measured(evidence: Evidence) -> Result:
    """The mean gain over the tasks that a model was given both without examples and with five or more."""
    gains = measured_gains(evidence)
    if not gains:
        return no_data("No task was evaluated both without and with examples.", SHOTS)
    if len(gains) < MIN_MODELS:
        return too_few(f"{len(gains)} models with both; a verdict needs {MIN_MODELS}.", len(gains))
    part = Part(
        what="mean gain from examples", asked="above 0", tested=stats.mean_above(list(gains.values())), form="{:+.3f}"
    )
    caveats = ("Only the mean over tasks is tested here, not the differences between tasks.",)
    return Result(parts=(part,), summary=f"Examples give {part.shown}", n=len(gains), caveats=caveats)


def measured_gains(evidence: Evidence) -> dict[str, float]:
    """By file, the mean gain in accuracy over the tasks measured with no example and with some."""
    found: dict[str, dict[str, dict[bool, float]]] = defaultdict(lambda: defaultdict(dict))
    for run in evidence.dataset.runs:
        shots, known = run.settings.get("shots"), evidence.dataset.artifacts[run.artifact]
        if run.kind is not RunKind.EVAL or run.outcome is not Outcome.OK or shots is None or known.forged:
            continue
        scored = score(run, evidence.dataset.samples.get(run.key, []))
        if scored is not None and scored.is_share:
            found[run.artifact][str(run.settings.get("lm_eval_task") or scored.task)][shots > 0] = scored.estimate.value
    gains = {file: [of[True] - of[False] for of in tasks.values() if len(of) == 2] for file, tasks in found.items()}
    return {file: statistics.fmean(values) for file, values in gains.items() if values}


def _larger(_: Evidence) -> Result:
    points = paper.fig6().growth.points
    tested = stats.slope_above([math.log10(p.params_billion) for p in points], [p.growth for p in points])
    small = [p.growth < 0 for p in points if p.params_billion < SMALL]
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
    caveats = ("Models of a family are not independent; all Phi models are drawn at 2.0B.",)
    return Result(parts=parts, summary=summary, n=len(points), caveats=caveats)


def _long(evidence: Evidence) -> Result:
    """Rank correlation of size with the mean score of the tasks over long texts."""
    found: dict[str, tuple[float, float]] = {}
    for row in evidence.rows:
        scores = [s.estimate.value for task, s in row.scores.items() if task.startswith(LONG)]
        if scores and row.params:
            found[row.artifact] = (float(row.params), statistics.fmean(scores))
    if not found:
        return no_data("No task over long texts was evaluated.", TASKS_NEEDED)
    sizes, scores = [size for size, _ in found.values()], [value for _, value in found.values()]
    if len(found) < MIN_MODELS or min(sizes) == max(sizes) or min(scores) == max(scores):
        return too_few(f"{len(found)} models with tasks over long texts; a verdict needs {MIN_MODELS}.", len(found))
    part = Part(
        what="rank correlation of size with retrieval",
        asked="above 0",
        tested=stats.rank_correlation_above(sizes, scores),
    )
    return Result(parts=(part,), summary=f"Size and retrieval have a rank correlation of {part.shown}", n=len(found))


NOTHING = {Data.CATALOGUE: "scores, which the catalogue does not hold"}

CLAIMS = (
    Claim(
        id="I1",
        figure="fig6a",
        sentence="Most small models gain from five examples: nearly all in ARC-Challenge, hardly any in HellaSwag and "
        "PIQA.",
        source="arXiv 2409.15790, in-context learning, Figure 6a",
        rule="The mean gain over eight tasks is above 0 (t test); more than three quarters gain in ARC-Challenge "
        "(binomial test); the mean gain in HellaSwag and in PIQA is within one point of 0 (two one-sided t tests). "
        "Fails if one is not.",
        tests={Data.PAPER: _examples, Data.MINE: _examples_measured},
        needs=NOTHING,
    ),
    Claim(
        id="I2",
        figure="fig6b",
        sentence="Larger models gain more from examples, and some of the small ones lose.",
        source="arXiv 2409.15790, in-context learning, Figure 6b",
        rule="The gain rises with log parameters (t test of the slope), and more than one in twenty models below 1B "
        "lose (binomial test). Fails if one is not so.",
        tests={Data.PAPER: _larger},
        needs=NOTHING | {Data.MINE: SHOTS + ", for models of different size"},
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
