"""How models are built: what is typical, what changed, and how much of it is new (claims A1 to A3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from slm_atlas import stats
from slm_atlas.catalog import Model, paper
from slm_atlas.catalog.architecture import AttentionKind, NormKind
from slm_atlas.insights.claims.evidence import Evidence
from slm_atlas.insights.claims.vocabulary import Claim, Data, Part, Result, too_few
from slm_atlas.survey.facets import ffn_ratio, ratio_bin

SMALL_VOCABULARY = 50 * 1024
"""The end of the lowest bin of Figure 2, which it calls 50k."""
TYPICAL_FROM = 2024.0
"""The year that A1 speaks of; a data set that goes on is asked of all since."""
FEW = 0.2
"""What A3 calls limited: at most one release in five."""
MIN_RELEASES = 8
"""Fewer releases are no trend."""
SIZES_COUNT = (
    "Figure 2 counts each size of a family as a model, so that its intervals are narrower than they should be."
)
RELEASES = "A family's models of one month count once, as most of them are."


class Component(NamedTuple):
    """A choice in building a model, and how Figure 2 shows it."""

    name: str
    """What is chosen."""
    question: Callable[[Model], bool]
    """Whether a model has it."""
    facet: str
    """The facet of Figure 2."""
    labels: tuple[str, ...]
    """Its labels there."""
    rises: bool = True
    """Whether it is said to have become more frequent."""


GQA = Component(
    "grouped-query attention", lambda m: m.architecture.attention_kind is AttentionKind.GQA, "attention", ("GQA",)
)
GATED = Component("gated FFN", lambda m: m.architecture.ffn.gated, "ffn", ("Gated",))
SILU = Component("SiLU", lambda m: m.architecture.ffn.activation == "silu", "activation", ("silu",))
RMSNORM = Component("RMSNorm", lambda m: m.architecture.norm.kind is NormKind.RMSNORM, "norm", ("RMS Norm",))
LARGE_VOCABULARY = Component(
    "vocabulary above 50k",
    lambda m: m.architecture.vocab > SMALL_VOCABULARY,
    "vocabulary",
    ("50k~100k", "100k~150k", "150k~200k", ">200k"),
)
MHA = Component(
    "multi-head attention",
    lambda m: m.architecture.attention_kind is AttentionKind.MHA,
    "attention",
    ("MHA",),
    rises=False,
)
RELU = Component("ReLU", lambda m: m.architecture.ffn.activation == "relu", "activation", ("relu",), rises=False)
RATIO_4 = Component(
    "an FFN four times as wide", lambda m: ratio_bin(ffn_ratio(m)) == "4", "ffn-ratio", ("4",), rises=False
)
TYPICAL = (GQA, GATED, SILU, RMSNORM, LARGE_VOCABULARY)
CHANGES = (GQA, MHA, GATED, RELU, SILU, RMSNORM, RATIO_4)


class Seen(NamedTuple):
    """One model or release: when, and whether it has a component."""

    year: float
    has: bool


def in_figure(component: Component) -> list[Seen]:
    """The models of Figure 2b, each in the middle of its half-year; those whose label is unknown are left out."""
    figure, found = paper.fig2(), list[Seen]()
    for label, counts in figure.bars[component.facet].items():
        if label == "nan":
            continue
        for period, count in zip(figure.periods, counts, strict=True):
            year = int(period[:4]) + (0.25 if period.endswith("H1") else 0.75)
            found += [Seen(year, label in component.labels)] * count
    return found


def in_releases(evidence: Evidence, component: Component) -> list[Seen]:
    """The releases of the catalogue."""
    return [Seen(release.year, release.most(component.question)) for release in evidence.releases]


def _typical(seen: Sequence[tuple[Component, Sequence[Seen]]], unit: str, caveat: str) -> Result:
    recent = [(component, [one.has for one in found if one.year >= TYPICAL_FROM]) for component, found in seen]
    if min(len(found) for _, found in recent) < MIN_RELEASES:
        return too_few(f"Fewer than {MIN_RELEASES} {unit} since {TYPICAL_FROM:.0f}.", len(recent[0][1]), unit)
    parts = tuple(
        Part(
            what=f"share with {component.name} since {TYPICAL_FROM:.0f}",
            asked="above one half",
            tested=stats.share_above(sum(found), len(found), 0.5),
            form="{:.0%}",
        )
        for component, found in recent
    )
    told = ", ".join(f"{part.what.split(' since')[0].removeprefix('share with ')} {part.shown}" for part in parts)
    return Result(parts=parts, summary=f"Since 2024: {told}", n=len(recent[0][1]), unit=unit, caveats=(caveat,))


def _changes(seen: Sequence[tuple[Component, Sequence[Seen]]], unit: str, caveat: str) -> Result:
    if min(len(found) for _, found in seen) < MIN_RELEASES:
        return too_few(f"Fewer than {MIN_RELEASES} {unit}.", len(seen[0][1]), unit)
    parts = []
    for component, found in seen:
        tested = stats.slope_above([one.year for one in found], [float(one.has) for one in found])
        parts.append(
            Part(
                what=f"change of the share of {component.name} a year",
                asked="above 0" if component.rises else "below 0",
                tested=tested if component.rises else stats.below(tested),
                form="{:+.0%}",
            )
        )
    told = ", ".join(
        f"{component.name} {part.tested.effect.value:+.0%}" for (component, _), part in zip(seen, parts, strict=True)
    )
    caveats = (caveat, "A straight line through shares: it tells the direction, not the course.")
    return Result(
        parts=tuple(parts),
        summary=f"Share of models, change a year: {told}",
        n=len(seen[0][1]),
        unit=unit,
        caveats=caveats,
    )


def _innovations(evidence: Evidence) -> Result:
    """How many releases leave the standard block other than by sharing or by scaling layers."""
    found = evidence.releases
    if len(found) < MIN_RELEASES:
        return too_few(f"Fewer than {MIN_RELEASES} releases.", len(found), "releases")
    counts = {name: sum(release.most(question) for release in found) for name, question in NOVELTIES.items()}
    other = sum(any(release.most(NOVELTIES[name]) for name in OTHERS) for release in found)
    part = Part(
        what="share of releases that leave the standard block otherwise",
        asked="below one in five",
        tested=stats.below(stats.share_above(other, len(found), FEW)),
        form="{:.0%}",
    )
    told = ", ".join(f"{name} {count}" for name, count in counts.items())
    return Result(
        parts=(part,),
        summary=f"Of {len(found)} releases, {other} leave the standard block in another way ({told})",
        n=len(found),
        unit="releases",
        caveats=(
            RELEASES,
            "Norms, positions and activations are taken for variants of the block, not for innovations.",
        ),
    )


def _shares_layers(model: Model) -> bool:
    arch = model.architecture
    return arch.repeat > 1 or arch.ffn.shared or arch.attention.reused_kv_layers > 0


def _scales_layers(model: Model) -> bool:
    arch = model.architecture
    widths = (arch.ffn.intermediate, arch.attention.heads, arch.attention.kv_heads)
    return any(isinstance(width, tuple) and len(set(width)) > 1 for width in widths)


NOVELTIES: dict[str, Callable[[Model], bool]] = {
    "sharing across layers": _shares_layers,
    "a tied embedding": lambda model: model.architecture.embedding.tied,
    "layers of different width": _scales_layers,
    "latent attention": lambda model: model.architecture.attention.mla is not None,
    "layers without attention": lambda model: model.architecture.mixer is not None,
    "an embedding a layer": lambda model: model.architecture.embedding.per_layer > 0,
}
"""Ways to leave the standard block."""
OTHERS = ("latent attention", "layers without attention", "an embedding a layer")
"""Those that A3 does not name."""


def _figure(components: Sequence[Component]) -> list[tuple[Component, list[Seen]]]:
    return [(component, in_figure(component)) for component in components]


def _catalogue(evidence: Evidence, components: Sequence[Component]) -> list[tuple[Component, list[Seen]]]:
    return [(component, in_releases(evidence, component)) for component in components]


NOT_MEASURED = "no measurement: how models are built and trained is read from their sources; see slm survey"
NEEDS = {Data.MINE: NOT_MEASURED}

CLAIMS = (
    Claim(
        id="A1",
        figure="fig2b",
        sentence="From 2024 on the typical small model has grouped-query attention, a gated FFN with SiLU, RMSNorm, "
        "and a vocabulary above 50k.",
        source="arXiv 2409.15790, architecture, Figure 2",
        rule="Each of the five is had by more than half since 2024 (exact binomial test). Fails if one of them is had "
        "by less than half.",
        tests={
            Data.PAPER: lambda _: _typical(_figure(TYPICAL), "models", SIZES_COUNT),
            Data.CATALOGUE: lambda evidence: _typical(_catalogue(evidence, TYPICAL), "releases", RELEASES),
        },
        needs=NEEDS,
    ),
    Claim(
        id="A2",
        figure="fig2b",
        sentence="Multi-head attention gives way to grouped-query, the standard FFN to the gated one, ReLU to SiLU, "
        "LayerNorm to RMSNorm, and the FFN is no longer always four times as wide.",
        source="arXiv 2409.15790, architecture, Figure 2b",
        rule="The share of each, as a straight line over time, goes the way it is said to (t test of the slope). Fails "
        "if one goes the other way.",
        tests={
            Data.PAPER: lambda _: _changes(_figure(CHANGES), "models", SIZES_COUNT),
            Data.CATALOGUE: lambda evidence: _changes(_catalogue(evidence, CHANGES), "releases", RELEASES),
        },
        needs=NEEDS,
    ),
    Claim(
        id="A3",
        figure="embedding",
        sentence="Innovation in architecture is limited: sharing of parameters and layers of different width are about "
        "all.",
        source="arXiv 2409.15790, architecture, insights",
        rule="Fewer than one release in five has latent attention, layers without attention, or an embedding a layer "
        "(exact binomial test). Fails if more have.",
        tests={Data.PAPER: _innovations, Data.CATALOGUE: _innovations},
        needs=NEEDS,
    ),
)
"""The claims about architecture."""
