"""What models are trained on, how much and how (claims D1 to D4)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from slm_atlas import catalog, stats
from slm_atlas.catalog import paper
from slm_atlas.catalog.paper import TokensPoint
from slm_atlas.insights.claims.abilities import FILTERED, Scored, by_maker, is_curated
from slm_atlas.insights.claims.architecture import MIN_RELEASES, NEEDS, RELEASES
from slm_atlas.insights.claims.evaluated import PAPER_SUITE, evaluated, mean_scores
from slm_atlas.insights.claims.evidence import Evidence, Release, year_of
from slm_atlas.insights.claims.vocabulary import Claim, Data, Part, Result, no_data, too_few
from slm_atlas.survey.facets import CHINCHILLA, tokens_per_parameter

SUCCESSORS = frozenset({"RefinedWeb", "RedPajama", "FineWeb-Edu", "DCLM", "DCLM-baseline"})
"""What is said to follow the Pile; Figure 3 calls DCLM-baseline DCLM."""
TURN = 2024.0
"""From when on."""
MIN_SCORED = 8
"""Fewer models with scores leave too little beside the trend of parameters and tokens."""
MIN_FAMILIES = 5
"""Fewer families are no test of a difference of means."""
MANY_TOKENS = 1.5e12
"""What recent models are said to have seen at least."""
ALGORITHMS = {
    "maximal update parametrization": ("muP",),
    "knowledge distillation": ("knowledge distillation",),
    "two stages of pre-training": ("two-stage pre-training", "multi-stage pre-training"),
}
"""Ways of training that D4 names, with the catalogue's names for them."""

Uses = Sequence[tuple[float, str]]
"""Uses of data sets: when, and which."""


# ---- D1: which data --------------------------------------------------------------------------------------------------


def _in_figure() -> Uses:
    return [
        (float(year), name) for year, uses in paper.fig3().uses.items() for name, n in uses.items() for _ in range(n)
    ]


def _in_releases(found: Iterable[Release]) -> Uses:
    return [(r.year, name) for r in found for name in sorted({name for m in r.models for name in m.training.datasets})]


def _pile(uses: Uses, unit: str, caveat: str) -> Result:
    before, after = ([name for year, name in uses if (year >= TURN) is late] for late in (False, True))
    if min(len(before), len(after)) < MIN_RELEASES:
        return too_few(f"Fewer than {MIN_RELEASES} {unit} before or after 2024.", len(uses), unit)
    pile, next_best = before.count("The Pile"), max((before.count(n) for n in set(before) - {"The Pile"}), default=0)
    parts = (
        Part(
            what="the Pile's share of the uses of it and of the next, until 2023",
            asked="above one half",
            tested=stats.share_above(pile, pile + next_best, 0.5),
            form="{:.0%}",
        ),
        _moved("the Pile's share of uses, until 2023 less after", [{"The Pile"}] * 2, before, after),
        _moved("its successors' share of uses, after 2023 less until then", [set(SUCCESSORS)] * 2, after, before),
    )
    rest = [sum(name in SUCCESSORS for name in names) for names in (before, after)]
    summary = (
        f"The Pile has {pile} of {len(before)} uses until 2023 (the next {next_best}) and {after.count('The Pile')} of "
        f"{len(after)} after; RefinedWeb, RedPajama, FineWeb-Edu and DCLM have {rest[0]} and {rest[1]}"
    )
    return Result(parts=parts, summary=summary, n=len(uses), unit=unit, caveats=(caveat,))


def _moved(what: str, wanted: Sequence[set[str]], first: Sequence[str], second: Sequence[str]) -> Part:
    counts = [
        (sum(name in of for name in names), len(names)) for of, names in zip(wanted, (first, second), strict=True)
    ]
    return Part(what=what, asked="above 0", tested=stats.share_difference(counts[0], counts[1]), form="{:+.0%}")


# ---- D2: quality -----------------------------------------------------------------------------------------------------


def off_trend() -> list[tuple[Scored, float]]:
    """The models of Figure 4 with their accuracy less what parameters and tokens let expect (least squares)."""
    points = paper.fig4().points
    x = {
        "params": [math.log(point.params_billion) for point in points],
        "tokens": [math.log(point.tokens_billion) for point in points],
    }
    residuals = stats.regress(x, [point.accuracy for point in points]).residuals
    return [(scored_tokens(point), value) for point, value in zip(points, residuals, strict=True)]


def scored_tokens(point: TokensPoint) -> Scored:
    """A point of Figure 4 as a scored model, its makers told apart by family."""
    model = catalog.get(point.model_id)
    return Scored(point.model, model.family, year_of(model.release), point.params_billion * 1e9, point.accuracy, model)


def _quality(found: Sequence[tuple[Scored, float]], what: str, caveats: tuple[str, ...]) -> Result:
    curated, others = by_maker(found, is_curated)
    families = len(curated) + len(others)
    if min(len(curated), len(others)) < 2 or families < MIN_FAMILIES:
        few = f"{len(curated)} families with curated data and {len(others)} others; a verdict needs two of each"
        return too_few(f"{few}, and {MIN_FAMILIES} in all: {PAPER_SUITE}.", families, "families")
    tested = stats.mean_difference(list(curated.values()), list(others.values()))
    part = Part(
        what=f"{what} above the trend of parameters and tokens, curated data less other data",
        asked="above 0",
        tested=tested,
        form="{:+.3f}",
    )
    points = 100 * tested.effect.value
    best = max(curated, key=lambda family: curated[family])
    summary = (
        f"At equal parameters and tokens, {len(curated)} families with curated data score "
        f"{points:+.1f} points against {len(others)} others; the best of them, {best}, is at {100 * curated[best]:+.1f}"
    )
    told = (
        f"Curated: {', '.join(sorted(FILTERED))}, or not named, which is taken for closed and curated.",
        "A family counts once, with the mean of its models. Who curates may also do other things better.",
    )
    return Result(parts=(part,), summary=summary, n=families, unit="families", caveats=(*told, *caveats))


def _quality_in_figure(_: Evidence) -> Result:
    return _quality(off_trend(), "accuracy", ())


def _quality_measured(evidence: Evidence) -> Result:
    """The mean score over the tasks that most models have in common, of those that publish their tokens."""
    able = [one for one in evaluated(evidence) if one.model is not None and one.model.training.tokens_billion]
    tasks, found = mean_scores(able)
    if not found:
        need = f"{PAPER_SUITE}, of {MIN_SCORED} real models or more that publish their tokens"
        return no_data("No catalogued model that publishes its tokens was evaluated.", need)
    known = [(one.model, score) for one, score in found if one.model is not None]
    n, models, scores = len(known), [model for model, _ in known], [score for _, score in known]
    x = {
        "params": [math.log(model.params) for model in models],
        "tokens": [math.log(model.training.tokens_billion or 1.0) for model in models],
    }
    if n < MIN_SCORED or not stats.determined(x):
        few = f"Models with the same tasks that publish their tokens: {n}; a verdict needs {MIN_SCORED}, of different"
        return too_few(f"{few} sizes and tokens: {PAPER_SUITE}.", n)
    off = stats.regress(x, scores).residuals
    named = [
        (Scored(model.name, model.family, year_of(model.release), float(model.params), score, model), value)
        for model, score, value in zip(models, scores, off, strict=True)
    ]
    return _quality(named, "mean score", (f"Mean over {', '.join(tasks)}.",))


# ---- D3: how much ----------------------------------------------------------------------------------------------------


def _tokens(found: Sequence[tuple[float, float, float]], unit: str, caveat: str) -> Result:
    """From year, parameters and training tokens of each model or release."""
    recent = [tokens for year, _, tokens in found if year >= TURN]
    if len(found) < MIN_RELEASES or len(recent) < stats.MIN_RUNS:
        return too_few(f"Fewer than {MIN_RELEASES} {unit} publish their tokens.", len(found), unit)
    logs = [math.log10(tokens / params) for _, params, tokens in found]
    many = sum(tokens >= MANY_TOKENS for tokens in recent)
    parts = (
        Part(
            what="tokens a parameter, as a power of ten",
            asked=f"above that of {CHINCHILLA:g} ({math.log10(CHINCHILLA):.2f})",
            tested=stats.mean_above(logs, math.log10(CHINCHILLA)),
        ),
        Part(
            what="growth of that a year",
            asked="above 0",
            tested=stats.slope_above([year for year, _, _ in found], logs),
        ),
        Part(
            what="share since 2024 with 1.5T tokens or more",
            asked="above one half",
            tested=stats.share_above(many, len(recent), 0.5),
            form="{:.0%}",
        ),
    )
    mean, rise = parts[0].tested.effect.value, parts[1].tested.effect.value
    summary = (
        f"Models saw {10**mean:,.0f} tokens a parameter (geometric mean), {10**rise:.1f} times more each year; since "
        f"2024, {many} of {len(recent)} saw 1.5T or more"
    )
    return Result(parts=parts, summary=summary, n=len(found), unit=unit, caveats=(caveat,))


def _tokens_in_figure(_: Evidence) -> Result:
    found = [(p.year, p.params_billion * 1e9, p.tokens_billion * 1e9) for p in paper.fig4().points]
    return _tokens(found, "models", "Each size of a family counts as a model; OPT-2.7B is drawn at 0.27B.")


def _tokens_in_releases(evidence: Evidence) -> Result:
    """Releases by the largest of their models that publishes its tokens."""
    found = []
    for release in evidence.releases:
        known = [model for model in release.models if tokens_per_parameter(model) is not None]
        if known:
            largest = max(known, key=lambda model: model.params)
            found.append((release.year, float(largest.params), (largest.training.tokens_billion or 0.0) * 1e9))
    caveat = "A release counts once, as its largest model; many recent ones do not publish their tokens."
    return _tokens(found, "releases", caveat)


# ---- D4: algorithms --------------------------------------------------------------------------------------------------


def _algorithms(evidence: Evidence) -> Result:
    found = evidence.releases
    if len(found) < MIN_RELEASES:
        return too_few(f"Fewer than {MIN_RELEASES} releases.", len(found), "releases")
    years, wanted = [release.year for release in found], {name for names in ALGORITHMS.values() for name in names}
    uses = [any(set(model.training.algorithms) & wanted for model in release.models) for release in found]
    tested = stats.slope_above(years, [float(use) for use in uses])
    part = Part(what="change of the share that uses one of them a year", asked="above 0", tested=tested, form="{:+.0%}")
    counts = {
        title: sum(any(set(m.training.algorithms) & set(names) for m in release.models) for release in found)
        for title, names in ALGORITHMS.items()
    }
    told = ", ".join(f"{title} {count}" for title, count in counts.items())
    summary = f"Of {len(found)} releases: {told}; the share that uses one of them changes by {part.shown} a year"
    caveats = (RELEASES, "What is not published counts as not used.")
    return Result(parts=(part,), summary=summary, n=len(found), unit="releases", caveats=caveats)


CLAIMS = (
    Claim(
        id="D1",
        figure="fig3",
        sentence="The Pile dominates until 2023; then RefinedWeb, RedPajama, FineWeb-Edu and DCLM take over.",
        source="arXiv 2409.15790, training datasets, Figure 3",
        rule="Until 2023 the Pile is used more than the next set (binomial test); its share of uses falls after 2023 "
        "and that of the four rises (Fisher's exact test). Fails if one of the three is the other way.",
        tests={
            Data.PAPER: lambda _: _pile(_in_figure(), "uses", "Each size of a family that used a set is a use."),
            Data.CATALOGUE: lambda e: _pile(_in_releases(e.releases), "uses", "A release that used a set is one use."),
        },
        needs=NEEDS,
    ),
    Claim(
        id="D2",
        figure="fig4",
        sentence="The quality of data outweighs their quantity: models trained on curated data score above the trend "
        "of parameters and tokens.",
        source="arXiv 2409.15790, training datasets, insights, Figure 4",
        rule="Residuals of accuracy on log parameters and log tokens; the mean of families with curated data is above "
        "that of the others (Welch's t). Fails if it is below.",
        tests={Data.PAPER: _quality_in_figure, Data.MINE: _quality_measured},
        needs={Data.CATALOGUE: "scores, which the catalogue does not hold"},
    ),
    Claim(
        id="D3",
        figure="fig4",
        sentence="Small models are trained far past Chinchilla's 20 tokens a parameter, and recent ones on more than "
        "1.5T tokens whatever their size.",
        source="arXiv 2409.15790, training datasets, Figure 4",
        rule="The mean of log tokens a parameter is above that of 20 (t test), it rises over time (t test of the "
        "slope), and more than half since 2024 saw 1.5T tokens (binomial test). Fails if one of the three is the "
        "other way.",
        tests={Data.PAPER: _tokens_in_figure, Data.CATALOGUE: _tokens_in_releases},
        needs=NEEDS,
    ),
    Claim(
        id="D4",
        figure="algorithms",
        sentence="Maximal update parametrization, knowledge distillation and two-stage pre-training come into use.",
        source="arXiv 2409.15790, training algorithms",
        rule="The share of releases that use one of them rises over time (t test of the slope). Fails if it falls.",
        tests={Data.PAPER: _algorithms, Data.CATALOGUE: _algorithms},
        needs=NEEDS,
    ),
)
"""The claims about training."""
