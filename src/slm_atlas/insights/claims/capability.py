"""What models can do, over time, by size and by data (claims C1 to C4)."""

from __future__ import annotations

import statistics

from slm_atlas import stats
from slm_atlas.catalog import paper
from slm_atlas.insights.claims.abilities import ABILITIES, by_maker, is_closed, off_size, panel, scored
from slm_atlas.insights.claims.evidence import Evidence
from slm_atlas.insights.claims.training import SCORES_OF_MANY
from slm_atlas.insights.claims.vocabulary import Claim, Data, Part, Result, no_data, too_few

LLAMA_RELEASES = (2023 + 1.5 / 12, 2023 + 6.5 / 12, 2024 + 3.5 / 12, 2024 + 6.5 / 12)
"""When LLaMA, Llama 2, Llama 3 and Llama 3.1 were released, in the order of Figure 5 (arXiv 2302.13971, 2307.09288,
2407.21783)."""
MIN_SCORED = 8
"""Fewer models with scores say nothing of size and capability."""
WELL_BELOW = 0.9
"""The rank correlation that C3's is said to be below."""
GAP = 0.05
"""The difference in accuracy that C4 calls a gap."""
NOTHING_SCORED = "scores, which the catalogue does not hold"
NAMES = {"commonsense": "commonsense", "problem_solving": "problem solving", "math": "mathematics"}


def _faster(_: Evidence) -> Result:
    parts, told = [], []
    for ability in ABILITIES:
        models, llama = scored(ability), list(panel(ability).llama.values())
        small = stats.trend([one.year for one in models], [value for _, value in off_size(models)])
        large = stats.trend(LLAMA_RELEASES, llama)
        parts.append(
            Part(
                what=f"gain a year in {NAMES[ability]}, small models less LLaMA",
                asked="above 0",
                tested=stats.slope_difference(small, large),
                form="{:+.3f}",
            )
        )
        told.append(f"{NAMES[ability]} {100 * small.slope.value:+.1f} against {100 * large.slope.value:+.1f}")
    caveats = (
        "Scores less what size lets expect; models of a maker are not independent, and LLaMA's line has four points.",
        "Figure 5 starts in March 2023. In mathematics 14 of its scores are placeholders (exactly 0.01) and left out.",
        "The survey takes the best model of each year, which a growing number of models raises by itself.",
    )
    return Result(parts=tuple(parts), summary=f"Points a year: {', '.join(told)}", n=52, caveats=caveats)


def _phi(_: Evidence) -> Result:
    leads, of = 0, 0
    for ability in ABILITIES:
        models = scored(ability)
        for one in models:
            if one.maker == "Microsoft":
                of += 1
                leads += one.score >= max(other.score for other in models if other.year <= one.year)
    passed = {ability: _phi3(ability) for ability in ABILITIES}
    parts = (
        Part(
            what="share of the Phi models' scores that are the best of their time",
            asked="above one half",
            tested=stats.share_above(leads, of, 0.5),
            form="{:.0%}",
        ),
        Part(
            what="Phi-3-mini less Llama 3.1, over the three abilities",
            asked="above 0",
            tested=stats.mean_above(list(passed.values())),
            form="{:+.3f}",
        ),
    )
    told = ", ".join(f"{NAMES[ability]} {100 * value:+.1f}" for ability, value in passed.items())
    return Result(
        parts=parts,
        summary=f"{leads} of {of} scores of Phi models are the best of their time; Phi-3-mini less Llama 3.1, points: "
        f"{told}",
        n=of,
        unit="scores",
        caveats=(
            "Three abilities of one model are a small sample of abilities; the figures give no number of items, so "
            "that no interval of a single difference can be made.",
        ),
    )


def _phi3(ability: str) -> float:
    (phi,) = (one.score for one in scored(ability) if one.name == "Phi-3-mini")
    return phi - panel(ability).llama["Llama 3.1 7B"]


def _size_in_figure(_: Evidence) -> Result:
    points = paper.fig4().points
    result = _size([p.params_billion for p in points], [p.accuracy for p in points], "models of Figure 4")
    small, large = _upset([(p.params_billion, p.accuracy, p.model) for p in points])
    return _with_example(result, f"{small} scores above {large}")


def _size_measured(evidence: Evidence) -> Result:
    """Mean chance-corrected score over the tasks that all have, by parameters."""
    found = mean_scores(evidence)
    if not found:
        return no_data("No real model was evaluated.", SCORES_OF_MANY)
    if len(found) < MIN_SCORED:
        return too_few(f"Real models with the same tasks: {len(found)}; a verdict needs {MIN_SCORED}.", len(found))
    if len({score for _, _, score in found}) < 2:
        return too_few("All models score the same.", len(found))
    sizes, scores = [float(size) for _, size, _ in found], [score for _, _, score in found]
    return _size(sizes, scores, "models measured here")


def mean_scores(evidence: Evidence) -> list[tuple[str, int, float]]:
    """Name, parameters and mean score of each real model, over the tasks that the most models have in common."""
    files = {row.artifact: row for row in evidence.rows if row.scores and row.params}
    by_tasks: dict[tuple[str, ...], list[str]] = {}
    for artifact, row in files.items():
        tasks = tuple(sorted(task for task, score in row.scores.items() if score.is_share))
        by_tasks.setdefault(tasks, []).append(artifact)
    tasks = max(by_tasks, key=lambda each: (len(by_tasks[each]), len(each)), default=())
    if not tasks:
        return []
    found = []
    for artifact in by_tasks[tasks]:
        row = files[artifact]
        scores = [row.scores[task].estimate.value for task in tasks]
        found.append((row.name, row.params or 0, statistics.fmean(scores)))
    return found


def _size(sizes: list[float], scores: list[float], whose: str) -> Result:
    positive = stats.rank_correlation_above(sizes, scores)
    part = Part(
        what="rank correlation of size with score",
        asked=f"between 0 and {WELL_BELOW}",
        tested=stats.within(positive, stats.rank_correlation_above(sizes, scores, WELL_BELOW)),
    )
    summary = f"Size and score of the {len(sizes)} {whose} have a rank correlation of {part.shown}"
    return Result(parts=(part,), summary=summary, n=len(sizes), caveats=("Models of a family are not independent.",))


def _upset(models: list[tuple[float, float, str]]) -> tuple[str, str]:
    """The two models of which the smaller is ahead, with the largest ratio of their sizes."""
    pairs = [(big[0] / small[0], small[2], big[2]) for small in models for big in models if small[1] > big[1]]
    _, small_name, big_name = max(pairs)
    return small_name, big_name


def _with_example(result: Result, example: str) -> Result:
    return Result(parts=result.parts, summary=f"{result.summary}; {example}", n=result.n, caveats=result.caveats)


def _gap(_: Evidence) -> Result:
    parts, n = [], 0
    for ability, claimed in (("commonsense", False), ("math", True)):
        recent = [(one, value) for one, value in off_size(scored(ability)) if one.year >= 2024]
        closed, others = by_maker(recent, is_closed)
        if min(len(closed), len(others)) < 2:
            return too_few("Fewer than two makers with open or with closed data.", len(closed) + len(others), "makers")
        n = max(n, len(closed) + len(others))
        tested = stats.mean_difference(list(closed.values()), list(others.values()), GAP)
        asked = f"{'above' if claimed else 'below'} {GAP:g}"
        what = f"lead of closed data in {NAMES[ability]}"
        parts.append(Part(what=what, asked=asked, tested=tested if claimed else stats.below(tested), form="{:+.3f}"))
    told = ", ".join(f"{part.what.rsplit(' in ', 1)[1]} {part.shown}" for part in parts)
    caveats = (
        "Scores less what size lets expect, models since 2024, the mean of a maker's models as one; closed: data not "
        "named, or not public.",
        "In mathematics the models whose score is a placeholder are left out, most of them with open data.",
    )
    return Result(parts=tuple(parts), summary=f"Lead of closed data: {told}", n=n, unit="makers", caveats=caveats)


CLAIMS = (
    Claim(
        id="C1",
        figure="fig5",
        sentence="From 2022 to 2024 small models improved faster than the 7B LLaMA series did.",
        source="arXiv 2409.15790, capability, Figure 5",
        rule="In each of commonsense, problem solving and mathematics, the slope over time of scores less what size "
        "lets expect is above LLaMA's (Welch's t). Fails if it is below in one of them.",
        tests={Data.PAPER: _faster},
        needs={Data.CATALOGUE: NOTHING_SCORED, Data.MINE: SCORES_OF_MANY},
        doubt="Figure 5 shows no model of 2022; its time begins in March 2023.",
    ),
    Claim(
        id="C2",
        figure="fig5",
        sentence="The Phi family leads its time, and Phi-3-mini passes Llama 3.1 8B.",
        source="arXiv 2409.15790, capability, Figure 5",
        rule="More than half of the Phi models' scores are the best of any small model up to their month (binomial "
        "test), and the mean of Phi-3-mini's lead over Llama 3.1 in the three abilities is above 0 (t test). Fails if "
        "one is not.",
        tests={Data.PAPER: _phi},
        needs={Data.CATALOGUE: NOTHING_SCORED, Data.MINE: "scores of Phi models and their contemporaries: slm eval"},
    ),
    Claim(
        id="C3",
        figure="fig5",
        sentence="Larger is usually better, but not always: size orders models far from perfectly.",
        source="arXiv 2409.15790, capability, insights",
        rule=f"The rank correlation of size with score is above 0 and below {WELL_BELOW} (two one-sided tests). Fails "
        "if it is outside.",
        tests={Data.PAPER: _size_in_figure, Data.MINE: _size_measured},
        needs={Data.CATALOGUE: NOTHING_SCORED},
    ),
    Claim(
        id="C4",
        figure="fig5",
        sentence="Models with open training data have nearly closed the gap in commonsense, not in mathematics.",
        source="arXiv 2409.15790, capability, insights, Figure 5",
        rule=f"Among models since 2024, the lead of makers with closed data is below {100 * GAP:g} points in "
        f"commonsense and above {100 * GAP:g} in mathematics (Welch's t). Fails if one is the other way.",
        tests={Data.PAPER: _gap},
        needs={Data.CATALOGUE: NOTHING_SCORED, Data.MINE: SCORES_OF_MANY},
    ),
)
"""The claims about capability."""
