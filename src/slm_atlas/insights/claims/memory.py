"""What memory is used for (claims M1 to M3)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from slm_atlas import catalog, stats
from slm_atlas.catalog import Model, paper
from slm_atlas.insights.claims.evidence import Evidence
from slm_atlas.insights.claims.latency import BAND, FAMILIES, linear
from slm_atlas.insights.claims.shapes import costs, figure_points, measured_points
from slm_atlas.insights.claims.vocabulary import Claim, Data, Part, Result, no_data, too_few
from slm_atlas.insights.trends import Point, furthest, residuals
from slm_atlas.insights.trends import too_few as too_few_models

SHORT, LONG = 2048, 32_768
"""Contexts that M3 compares."""
MINOR = 0.25
"""The share that it calls minor."""
MEASURE = "slm study run paper-memory"
MEASURE_LONG = "slm bench MODEL --context 2048, then --context 32768, for three models or more"
ARITHMETIC = "By arithmetic (slm estimate), of a Q4_K_M file with its cache in F16."

Known = Sequence[tuple[Point, Model]]


def _growth(found: Known, caveats: tuple[str, ...]) -> Result:
    """M1: memory about linear, and larger vocabularies above the line."""
    points = [point for point, _ in found]
    line = linear("memory", points)
    tested = stats.slope_above([math.log2(model.architecture.vocab) for _, model in found], residuals(points))
    above = Part(
        what="log of memory above the trend as the vocabulary doubles", asked="above 0", tested=tested, form="{:+.2f}"
    )
    name, off = furthest(points)
    summary = (
        f"Memory grows with the power {line.shown} of parameters, and by {math.expm1(tested.effect.value):+.0%} as the "
        f"vocabulary doubles at equal parameters; furthest from the trend: {name}, {off:+.0%}"
    )
    return Result(parts=(line, above), summary=summary, n=len(found), caveats=(FAMILIES, *caveats))


def _growth_in_figure(_: Evidence) -> Result:
    return _growth(figure_points("memory_mib"), ("Parts of 1 GiB and more are probably drawn 2.4% too small.",))


def _growth_by_arithmetic(evidence: Evidence) -> Result:
    found = []
    for model in evidence.models:
        memory = costs(model, SHORT).memory_bytes
        found.append((Point(model.name, model.params, float(memory)), model))
    return _growth(found, (ARITHMETIC,))


def _growth_measured(evidence: Evidence) -> Result:
    found = measured_points(evidence, "engine_bytes")
    if not found:
        return no_data("No run that ended well measured a catalogued model's memory.", MEASURE)
    if few := too_few_models([point for point, _ in found]):
        return too_few(few, len(found))
    if len({model.architecture.vocab for _, model in found}) < 2:
        return too_few("All models measured have the same vocabulary.", len(found))
    return _growth(found, ())


def _buffer(vocabularies: Sequence[int], sizes: Sequence[float], caveats: tuple[str, ...]) -> Result:
    """M2: the elasticity of the compute buffer with the vocabulary."""
    tested = stats.slope_above([math.log(v) for v in vocabularies], [math.log(size) for size in sizes])
    part = Part(what="elasticity of the compute buffer with the vocabulary", asked="above 0", tested=tested)
    small, large = (sorted(zip(vocabularies, sizes, strict=True))[place] for place in (0, -1))
    summary = (
        f"The compute buffer grows with the power {part.shown} of the vocabulary: {small[1] / 2**20:,.0f} MiB for "
        f"{small[0]:,} entries, {large[1] / 2**20:,.0f} MiB for {large[0]:,}"
    )
    return Result(parts=(part,), summary=summary, n=len(sizes), caveats=caveats)


def _buffer_in_figure(_: Evidence) -> Result:
    bars = paper.fig11().models
    vocabularies = [catalog.get(bar.model_id).architecture.vocab for bar in bars]
    return _buffer(vocabularies, [bar.compute_buffer_mib * 2**20 for bar in bars], (FAMILIES,))


def _buffer_by_arithmetic(evidence: Evidence) -> Result:
    sizes = [costs(m, SHORT).compute_bytes for m in evidence.models]
    return _buffer(
        [m.architecture.vocab for m in evidence.models], [float(size) for size in sizes], (FAMILIES, ARITHMETIC)
    )


def _buffer_measured(evidence: Evidence) -> Result:
    found = measured_points(evidence, "compute_bytes")
    if not found:
        return no_data("No run that ended well measured a catalogued model's memory.", MEASURE)
    vocabularies = [model.architecture.vocab for _, model in found]
    if len(set(vocabularies)) < stats.MIN_RUNS:
        few = (
            f"{len(found)} models with {len(set(vocabularies))} sizes of vocabulary; a verdict needs {stats.MIN_RUNS}."
        )
        return too_few(few, len(found))
    return _buffer(vocabularies, [point.value for point, _ in found], (FAMILIES,))


def _share(short: Sequence[float], long: Sequence[float], told: str, caveats: tuple[str, ...]) -> Result:
    """M3: the cache's share of memory at two contexts."""
    parts = (
        Part(
            what=f"the cache's share at {SHORT}",
            asked=f"below {MINOR:.0%}",
            tested=stats.below(stats.mean_above(short, MINOR)),
            form="{:.0%}",
        ),
        Part(
            what="the cache's share at the long context",
            asked="above 50%",
            tested=stats.mean_above(long, 0.5),
            form="{:.0%}",
        ),
    )
    summary = f"The cache takes {parts[0].shown} of memory at {SHORT} tokens and {parts[1].shown} {told}"
    return Result(parts=parts, summary=summary, n=len(short), caveats=caveats)


def cache_share(model: Model, context: int) -> float:
    """The cache's share of all memory but the process, by arithmetic."""
    found = costs(model, context)
    return found.kv_bytes / found.memory_bytes


def _share_by_arithmetic(models: Sequence[Model], short: Sequence[float], caveats: tuple[str, ...]) -> Result:
    able = [model for model in models if model.architecture.context >= LONG]
    if len(able) < stats.MIN_RUNS:
        return too_few(f"{len(able)} models are made for {LONG} tokens.", len(able))
    long = [cache_share(model, model.architecture.context) for model in able]
    at_32k = statistics.median(cache_share(model, LONG) for model in able)
    phi = catalog.get("phi-3.5-mini")
    told = (
        f"at the longest context of the {len(able)} made for {LONG:,} or more (median at {LONG:,}: {at_32k:.0%}; "
        f"{phi.name} at {phi.architecture.context:,}: {cache_share(phi, phi.architecture.context):.0%})"
    )
    return _share(short, long, told, (FAMILIES, *caveats))


def _share_in_figure(evidence: Evidence) -> Result:
    short = [bar.kv_cache_mib / bar.total_mib for bar in paper.fig11().models]
    caveats = ("Figure 11 has 2048 tokens only. " + ARITHMETIC.replace("By", "The long context is by", 1),)
    return _share_by_arithmetic(evidence.models, short, caveats)


def _share_in_catalogue(evidence: Evidence) -> Result:
    return _share_by_arithmetic(evidence.models, [cache_share(m, SHORT) for m in evidence.models], (ARITHMETIC,))


def _share_measured(evidence: Evidence) -> Result:
    short: dict[str, float] = {}
    long: dict[str, float] = {}
    for row in evidence.rows:
        context, whole, cache = (
            row.settings.get("context"),
            row.metrics.get("engine_bytes"),
            row.metrics.get("kv_bytes"),
        )
        if isinstance(context, int) and whole and cache:
            into = short if context <= SHORT else long if context >= LONG else {}
            into[row.artifact] = cache.value / whole.value
    if not short and not long:
        return no_data("No run that ended well measured memory at either context.", MEASURE_LONG)
    if not long:
        return no_data(f"Nothing was measured at {LONG:,} tokens or more.", MEASURE_LONG)
    if min(len(short), len(long)) < stats.MIN_RUNS:
        few = (
            f"At {SHORT} tokens {len(short)} models, at {LONG:,} {len(long)}; a verdict needs {stats.MIN_RUNS} of each."
        )
        return too_few(few, min(len(short), len(long)))
    told = f"at {LONG:,} or more ({len(long)} models)"
    return _share(list(short.values()), list(long.values()), told, ("The models at the two contexts may differ.",))


CLAIMS = (
    Claim(
        id="M1",
        figure="fig7",
        sentence="Memory rises about linearly with parameters, and models with large vocabularies lie above the line.",
        source="arXiv 2409.15790, runtime cost, Figures 7c and 11",
        rule=f"The elasticity of memory lies within {BAND} (two one-sided t tests), and residuals rise with the log of "
        "the vocabulary (t test of the slope). Fails if one is not so.",
        tests={Data.PAPER: _growth_in_figure, Data.CATALOGUE: _growth_by_arithmetic, Data.MINE: _growth_measured},
    ),
    Claim(
        id="M2",
        figure="fig11",
        sentence="The compute buffer grows with the vocabulary.",
        source="arXiv 2409.15790, runtime cost, Figure 11",
        rule="The slope of the log of the buffer on the log of the vocabulary is above 0 (t test). Fails if it is "
        "below.",
        tests={Data.PAPER: _buffer_in_figure, Data.CATALOGUE: _buffer_by_arithmetic, Data.MINE: _buffer_measured},
    ),
    Claim(
        id="M3",
        figure="fig11",
        sentence="The KV cache is a minor part of memory at 2048 tokens, and the major part at a long context.",
        source="arXiv 2409.15790, runtime cost, Figure 11, and the third version's long contexts",
        rule=f"The cache's mean share is below {MINOR:.0%} at {SHORT} tokens and above half at the longest context of "
        f"the models made for {LONG:,} or more (t tests). Fails if one is not so.",
        tests={Data.PAPER: _share_in_figure, Data.CATALOGUE: _share_in_catalogue, Data.MINE: _share_measured},
    ),
)
"""The claims about memory."""
