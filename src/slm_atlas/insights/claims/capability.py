"""What models can do, over time, by size and by data (claims C1 to C4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slm_atlas import stats
from slm_atlas.catalog import paper
from slm_atlas.insights.claims.abilities import ABILITIES, Scored, by_maker, is_closed, off_size, panel, scored
from slm_atlas.insights.claims.evaluated import PAPER_SUITE, evaluated, in_domain, mean_scores
from slm_atlas.insights.claims.evidence import Evidence
from slm_atlas.insights.claims.vocabulary import Claim, Data, Part, Result, no_data, too_few
from slm_atlas.units import counted

LLAMA_RELEASES = (2023 + 1.5 / 12, 2023 + 6.5 / 12, 2024 + 3.5 / 12, 2024 + 6.5 / 12)
"""When LLaMA, Llama 2, Llama 3 and Llama 3.1 were released, in the order of Figure 5 (arXiv 2302.13971, 2307.09288,
2407.21783)."""
MIN_SCORED = 8
"""Fewer models with scores say nothing of size and capability."""
WELL_BELOW = 0.9
"""The rank correlation that C3's is said to be below."""
GAP = 0.05
"""The difference in accuracy that C4 calls a gap."""
MIN_PHI = 5
"""Fewer scores of Phi models are never enough for the binomial test: five of five have p = 0.03."""
MIN_MAKERS = 5
"""Fewer makers are no test of a difference of means."""
YEARS = (2022, 2024)
"""The years that C1 speaks of."""
GAPS = {"commonsense": False, "math": True}
"""Where C4 sees a gap."""
MICROSOFT, PHI_3 = "Microsoft", "phi-3-mini-4k"
FEW_ABILITIES = "Three abilities of one model are a small sample of abilities."
CLOSED = (
    "Scores less what size lets expect, models since 2024, the mean of a maker's models as one; closed: data not "
    "named, or not public."
)
NOTHING_SCORED = "scores, which the catalogue does not hold"
NAMES = {"commonsense": "commonsense", "problem_solving": "problem solving", "math": "mathematics"}


Scores = Mapping[str, Sequence[Scored]]
"""Models with scores, by panel of Figure 5."""


def _in_figure() -> Scores:
    return {ability: scored(ability) for ability in ABILITIES}


def _measured(evidence: Evidence) -> Scores:
    return {ability: in_domain(evidence, ability) for ability in ABILITIES}


def _lacking(found: Scores, abilities: Sequence[str] = ABILITIES, *, least: int = MIN_SCORED) -> Result | None:
    """Why scores of one's own are no test; None: they are one. `least` models of different sizes are needed."""
    n = min(len(found[ability]) for ability in abilities)
    *first, last = (NAMES[ability] for ability in abilities)
    asked = f"{', '.join(first)} and {last}"
    if n == 0:
        need = f"{PAPER_SUITE}, of {least} real models or more"
        return no_data(f"No catalogued model was evaluated on all tasks of {asked}.", need)
    if n < least:
        few = f"{counted(n, 'models')} evaluated on all tasks of {asked}"
        return too_few(f"{few}; a verdict needs {least}: {PAPER_SUITE}.", n)
    if any(len({one.params for one in found[ability]}) < 2 for ability in abilities):
        return too_few(f"All models evaluated are of one size: {PAPER_SUITE}, of others.", n)
    return None


def _faster(found: Scores, caveats: tuple[str, ...]) -> Result:
    parts, told = [], []
    for ability, models in found.items():
        small = stats.trend([one.year for one in models], [value for _, value in off_size(models)])
        large = stats.trend(LLAMA_RELEASES, list(panel(ability).llama.values()))
        parts.append(
            Part(
                what=f"gain a year in {NAMES[ability]}, small models less LLaMA",
                asked="above 0",
                tested=stats.slope_difference(small, large),
                form="{:+.3f}",
            )
        )
        told.append(f"{NAMES[ability]} {100 * small.slope.value:+.1f} against {100 * large.slope.value:+.1f}")
    summary = f"Points a year, small models against LLaMA: {', '.join(told)}"
    return Result(parts=tuple(parts), summary=summary, n=max(map(len, found.values())), caveats=caveats)


def _faster_in_figure(_: Evidence) -> Result:
    placeholders = len(panel("math").points) - len(scored("math"))
    caveats = (
        "Scores less what size lets expect; models of a maker are not independent, and LLaMA's line has four points.",
        f"Figure 5 starts in March 2023. In mathematics {placeholders} of its scores are placeholders (exactly "
        f"{paper.PLACEHOLDER}) and left out.",
        "The survey takes the best model of each year, which a growing number of models raises by itself.",
    )
    return _faster(_in_figure(), caveats)


def _faster_measured(evidence: Evidence) -> Result:
    found = {
        ability: [one for one in models if YEARS[0] <= one.year < YEARS[1] + 1]
        for ability, models in _measured(evidence).items()
    }
    if lacking := _lacking(found):
        return lacking
    if any(len({one.year for one in models}) < 2 for models in found.values()):
        return too_few("All models evaluated are of one month.", min(map(len, found.values())))
    caveats = (
        f"Models of {YEARS[0]} to {YEARS[1]}, scores less what size lets expect; LLaMA's are the survey's, of whole "
        "test sets.",
        "Models of a maker are not independent, and LLaMA's line has four points.",
    )
    return _faster(found, caveats)


def _phi(found: Scores, caveats: tuple[str, ...]) -> Result:
    leads, of = _led(found)
    passed = {
        ability: one.score - panel(ability).llama["Llama 3.1 7B"]
        for ability, models in found.items()
        for one in models
        if one.model is not None and one.model.id == PHI_3
    }
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
    summary = f"{leads} of {of} scores of Phi models are the best of their time; Phi-3-mini less Llama 3.1, points: "
    return Result(parts=parts, summary=summary + told, n=of, unit="scores", caveats=(FEW_ABILITIES, *caveats))


def _led(found: Scores) -> tuple[int, int]:
    """How many scores of Phi models are the best up to their month, of those that have a rival."""
    leads = [
        one.score >= max(rivals)
        for models in found.values()
        for one in models
        if one.maker == MICROSOFT
        and (rivals := [other.score for other in models if other.year <= one.year and other.name != one.name])
    ]
    return sum(leads), len(leads)


def _phi_in_figure(_: Evidence) -> Result:
    return _phi(_in_figure(), ("The figures give no number of items, so that no single difference has an interval.",))


def _phi_measured(evidence: Evidence) -> Result:
    found = _measured(evidence)
    having = [ability for ability, models in found.items() if PHI_3 in {one.model.id for one in models if one.model}]
    of = _led(found)[1]
    if not any(one.maker == MICROSOFT for models in found.values() for one in models):
        need = f"{PAPER_SUITE}, of Phi-3-mini, other Phi models and their contemporaries"
        return no_data("No Phi model was evaluated on all tasks of a domain.", need)
    if len(having) < len(ABILITIES) or of < MIN_PHI:
        few = (
            f"Phi-3-mini has {len(having)} of three domains, and {counted(of, 'scores')} of Phi models "
            f"{'has' if of == 1 else 'have'} a rival of their time; a verdict needs three and {MIN_PHI}: {PAPER_SUITE}."
        )
        return too_few(few, of, "scores")
    return _phi(found, ("Llama 3.1's scores are the survey's, of whole test sets.",))


def _size_in_figure(_: Evidence) -> Result:
    points = paper.fig4().points
    result = _size([p.params_billion for p in points], [p.accuracy for p in points], "models of Figure 4")
    small, large = _upset([(p.params_billion, p.accuracy, p.model) for p in points])
    return _with_example(result, f"{small} scores above {large}")


def _size_measured(evidence: Evidence) -> Result:
    """Mean score over the tasks that the most models have, by parameters."""
    tasks, found = mean_scores([one for one in evaluated(evidence) if one.params])
    if not found:
        return no_data("No real model was evaluated.", f"{PAPER_SUITE}, of {MIN_SCORED} real models or more")
    n = len(found)
    if n < MIN_SCORED:
        return too_few(f"{counted(n, 'models')} with the same tasks; a verdict needs {MIN_SCORED}: {PAPER_SUITE}.", n)
    sizes, scores = [float(one.params) for one, _ in found], [score for _, score in found]
    if min(scores) == max(scores) or min(sizes) == max(sizes):
        return too_few("All models evaluated have one score, or one size.", n)
    return _size(sizes, scores, f"models evaluated here on {', '.join(tasks)}")


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


def _gap(found: Scores, caveats: tuple[str, ...]) -> Result:
    parts, n = [], 0
    for ability, claimed in GAPS.items():
        recent = [(one, value) for one, value in off_size(found[ability]) if one.year >= 2024]
        closed, others = by_maker(recent, is_closed)
        makers = len(closed) + len(others)
        if min(len(closed), len(others)) < 2 or makers < MIN_MAKERS:
            few = (
                f"{NAMES[ability].capitalize()}: {counted(len(closed), 'makers')} with closed data, {len(others)} with"
            )
            return too_few(f"{few} open; a verdict needs two of each, and {MIN_MAKERS} in all.", makers, "makers")
        n = max(n, makers)
        tested = stats.mean_difference(list(closed.values()), list(others.values()), GAP)
        asked = f"{'above' if claimed else 'below'} {GAP:g}"
        what = f"lead of closed data in {NAMES[ability]}"
        parts.append(Part(what=what, asked=asked, tested=tested if claimed else stats.below(tested), form="{:+.3f}"))
    told = ", ".join(f"{part.what.rsplit(' in ', 1)[1]} {part.shown}" for part in parts)
    summary = f"Lead of closed data, as a share of all items: {told}"
    return Result(parts=tuple(parts), summary=summary, n=n, unit="makers", caveats=(CLOSED, *caveats))


def _gap_in_figure(_: Evidence) -> Result:
    left_out = "In mathematics the models whose score is a placeholder are left out, most of them with open data."
    return _gap(_in_figure(), (left_out,))


def _gap_measured(evidence: Evidence) -> Result:
    found = _measured(evidence)
    return _lacking(found, tuple(GAPS)) or _gap(found, ())


CLAIMS = (
    Claim(
        id="C1",
        figure="fig5",
        sentence="From 2022 to 2024 small models improved faster than the 7B LLaMA series did.",
        source="arXiv 2409.15790, capability, Figure 5",
        rule="In each of commonsense, problem solving and mathematics, the slope over time of scores less what size "
        "lets expect is above LLaMA's (Welch's t). Fails if it is below in one of them.",
        tests={Data.PAPER: _faster_in_figure, Data.MINE: _faster_measured},
        needs={Data.CATALOGUE: NOTHING_SCORED},
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
        tests={Data.PAPER: _phi_in_figure, Data.MINE: _phi_measured},
        needs={Data.CATALOGUE: NOTHING_SCORED},
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
        tests={Data.PAPER: _gap_in_figure, Data.MINE: _gap_measured},
        needs={Data.CATALOGUE: NOTHING_SCORED},
    ),
)
"""The claims about capability."""
