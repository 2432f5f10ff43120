"""Where the time of inference goes (claims B1 and B2)."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

from slm_atlas import stats
from slm_atlas.catalog import paper
from slm_atlas.insights.claims.evidence import Evidence
from slm_atlas.insights.claims.vocabulary import Claim, Data, Part, Result, no_data, too_few
from slm_atlas.insights.profiles import Profile

MATRIX = ("mul_mat_vec_q", "gemm")
"""Kernels of Figure 10b that multiply matrices."""
MATRIX_OPERATORS = frozenset({"MUL_MAT", "MUL_MAT_ID", "FLASH_ATTN_EXT"}) | {
    f"aten::{name}" for name in ("mm", "addmm", "bmm", "baddbmm", "_scaled_dot_product_flash_attention_for_cpu")
}
"""Operators of our engines that do, fused attention among them."""
PHASES = ("prefill", "decode")
PROFILE = "slm profile MODEL"
MIN_MODELS = 3
"""Fewer models are no test."""
TWO_MODELS = "Two models of nearly the same size."

Shares = Mapping[str, Mapping[str, float]]
"""By phase and label."""


def measured(evidence: Evidence) -> dict[str, Profile]:
    """The models that were profiled alike (machine, engine, settings, quantization), in the way most of them were."""
    groups: dict[tuple[str, str, str, str], dict[str, Profile]] = defaultdict(dict)
    for each in evidence.profiles:
        if each.prefill is not None and each.decode is not None:
            way = json.dumps(each.settings, sort_keys=True)
            groups[each.host, each.engine, way, each.quantization][each.name] = each
    return max(groups.values(), key=len, default={})


def _matrix(shares: Sequence[float], models: int, caveats: tuple[str, ...]) -> Result:
    tested = stats.mean_above(shares, 0.5)
    part = Part(what="share of matrix products", asked="above one half", tested=tested, form="{:.0%}")
    summary = f"Matrix products take {part.shown} of the time, from {min(shares):.0%} to {max(shares):.0%}"
    return Result(parts=(part,), summary=summary, n=models, caveats=caveats)


def _matrix_in_figure(_: Evidence) -> Result:
    kernels = paper.fig10().kernels
    shares = [sum(of[name] for name in MATRIX) for phases in kernels.values() for of in phases.values()]
    return _matrix(shares, len(kernels), (TWO_MODELS, "Two models in two phases are taken for four observations."))


def _matrix_measured(evidence: Evidence) -> Result:
    """By model the mean of both phases, as one observation."""
    found = measured(evidence)
    if len(found) < MIN_MODELS:
        return _few(found)
    shares = [
        statistics.fmean(
            sum(line.share.value for line in phase.operators if line.label in MATRIX_OPERATORS)
            for phase in each.phases.values()
        )
        for each in found.values()
    ]
    return _matrix(shares, len(found), ("Fused attention counts as matrix products, its softmax with it.",))


def _few(found: Mapping[str, Profile]) -> Result:
    if not found:
        return no_data("No profile was measured.", f"{PROFILE}, of {MIN_MODELS} models or more")
    models = f"{len(found)} model{' was' if len(found) == 1 else 's were'}"
    return too_few(f"{models} profiled; a verdict needs {MIN_MODELS}: {PROFILE}.", len(found))


def _parts(found: Mapping[str, Shares], vocabulary: Mapping[str, int], caveats: tuple[str, ...]) -> Result:
    """B2: what dominates prefill, and whether the head weighs more in decode."""
    bulk = [of["prefill"]["attention"] + of["prefill"]["ffn"] for of in found.values()]
    more = [of["decode"]["lm_head"] - of["prefill"]["lm_head"] for of in found.values()]
    against = [name for name, less in zip(found, more, strict=True) if less < 0]
    told = ", ".join(
        f"{name} {of['prefill']['lm_head']:.0%} and {of['decode']['lm_head']:.0%}"
        for name, of in list(found.items())[:6]
    )
    contradiction = f"In {', '.join(against[:3])} the head takes less of decode than of prefill." if against else None
    if len(found) < MIN_MODELS:
        summary = f"Too few for a test ({len(found)} of {MIN_MODELS}); share of the head, prefill and decode: {told}."
        return Result(summary=summary, n=len(found), caveats=caveats, contradiction=contradiction)
    parts = [
        Part(
            what="share of attention and FFN in prefill",
            asked="above one half",
            tested=stats.mean_above(bulk, 0.5),
            form="{:.0%}",
        ),
        Part(
            what="share of the head, decode less prefill",
            asked="above 0",
            tested=stats.mean_above(more),
            form="{:+.0%}",
        ),
    ]
    sizes = [vocabulary.get(name, 0) for name in found]
    if len(found) >= 5 and min(sizes) > 0 and min(sizes) < max(sizes):
        heads = [of["decode"]["lm_head"] for of in found.values()]
        tested = stats.rank_correlation_above([float(size) for size in sizes], heads)
        parts.append(
            Part(what="rank correlation of vocabulary with the head's share of decode", asked="above 0", tested=tested)
        )
    return Result(
        parts=tuple(parts),
        summary=f"Share of the head, prefill and decode: {told}",
        n=len(found),
        caveats=caveats,
        contradiction=contradiction,
    )


def _parts_in_figure(_: Evidence) -> Result:
    caveats = (TWO_MODELS, "Both have the same vocabulary, so that it shows nothing of that.")
    return _parts(paper.fig10().parts, {}, caveats)


def _parts_measured(evidence: Evidence) -> Result:
    found = measured(evidence)
    if not found:
        return _few(found)
    known = {name: evidence.model(each.artifact) for name, each in found.items()}
    vocabulary = {name: model.architecture.vocab for name, model in known.items() if model is not None}
    return _parts({name: _shares(each) for name, each in found.items()}, vocabulary, ())


def _shares(profile: Profile) -> Shares:
    parts = ("attention", "ffn", "lm_head")
    return {
        phase: {part: sum(line.share.value for line in of.parts if line.label == part) for part in parts}
        for phase, of in profile.phases.items()
    }


NEEDS = {Data.CATALOGUE: "measurements, which are one's own"}

CLAIMS = (
    Claim(
        id="B1",
        figure="fig10b",
        sentence="Multiplying matrices takes most of the time, in prefill and in decode.",
        source="arXiv 2409.15790, runtime cost, breakdown, Figure 10b",
        rule="The mean share of matrix products is above one half (t test). Fails if it is below.",
        tests={Data.PAPER: _matrix_in_figure, Data.MINE: _matrix_measured},
        needs=NEEDS,
    ),
    Claim(
        id="B2",
        figure="fig10a",
        sentence="Attention and FFN dominate prefill; the language-model head weighs more in decode, the more so the "
        "larger the vocabulary.",
        source="arXiv 2409.15790, runtime cost, breakdown, Figure 10a",
        rule="The mean share of attention and FFN in prefill is above one half, that of the head is larger in decode "
        "than in prefill (t tests), and in decode it goes with the vocabulary (rank correlation, from five models). "
        "Fails if one is the other way.",
        tests={Data.PAPER: _parts_in_figure, Data.MINE: _parts_measured},
        needs=NEEDS,
    ),
)
"""The claims about the breakdown of time."""
