"""What a vocabulary costs, and what sharing keys and values buys: the same models built otherwise, by arithmetic."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import msgspec

from slm_atlas import stats
from slm_atlas.anatomy import Estimate as Costs
from slm_atlas.catalog import Model
from slm_atlas.catalog.architecture import AttentionKind
from slm_atlas.insights.analyses.insight import Answer, Insight, Mark, mark
from slm_atlas.insights.claims import Data, Evidence, Release, written
from slm_atlas.insights.claims.shapes import costs

SMALL = 32_000
"""The vocabulary that larger ones are compared with."""
LARGE = 100_000
"""What counts as a large one."""
CONTEXTS = (2048, 32_768)
COSTS: dict[str, Callable[[Costs], float]] = {
    "weights": lambda found: found.weight_bytes,
    "compute buffer": lambda found: found.compute_bytes,
    "KV cache": lambda found: found.kv_bytes,
    "all memory": lambda found: found.memory_bytes,
    "bytes read a token": lambda found: found.decode_bytes_per_token,
    "FLOPs a token": lambda found: found.decode_flops_per_token,
}
ONE_A_RELEASE = (
    "By arithmetic, of Q4_K_M files with the cache in F16; a release counts once, as the median of its sizes."
)


def ratios(found: Sequence[Release], other: Callable[[Model], Model], context: int) -> dict[str, list[float]]:
    """By cost, each release's ratio of its own to that of the same models built otherwise."""
    seen: dict[str, list[float]] = {cost: [] for cost in COSTS}
    for release in found:
        pairs = [(costs(model, context), costs(other(model), context)) for model in release.models]
        for cost, of in COSTS.items():
            seen[cost].append(statistics.median(of(one) / of(another) for one, another in pairs))
    return seen


def _chosen(evidence: Evidence, wanted: Callable[[Model], bool]) -> list[Release]:
    """The releases with some model that is wanted and whose tensors follow from rules, with those models alone."""
    found = []
    for release in evidence.releases:
        kept = tuple(model for model in release.models if wanted(model) and not model.architecture.listed)
        found += [release._replace(models=kept)] if kept else []
    return found


def with_vocabulary(model: Model, size: int = SMALL) -> Model:
    """The same model with another vocabulary."""
    return _with(model, vocab=size)


def with_all_heads(model: Model) -> Model:
    """The same model with a key-value head for each query head."""
    attention = model.architecture.attention
    return _with(model, attention=msgspec.structs.replace(attention, kv_heads=attention.heads))


def _with(model: Model, **changes: object) -> Model:
    return msgspec.structs.replace(model, architecture=msgspec.structs.replace(model.architecture, **changes))


def _table(found: Sequence[Release], other: Callable[[Model], Model]) -> dict[tuple[str, int], stats.Estimate]:
    return {
        (cost, context): stats.median_estimate(values)
        for context in CONTEXTS
        for cost, values in ratios(found, other, context).items()
    }


def _shown(table: dict[tuple[str, int], stats.Estimate]) -> tuple[tuple[str, ...], ...]:
    return tuple((cost, *(written(table[cost, context], "{:.2f}") for context in CONTEXTS)) for cost in COSTS)


def _marks(table: dict[tuple[str, int], stats.Estimate]) -> tuple[Mark, ...]:
    return tuple(mark(f"Context of {context:,}", cost, table[cost, context]) for context in CONTEXTS for cost in COSTS)


def _answer(text: str, found: Sequence[Release], table: dict[tuple[str, int], stats.Estimate], caveat: str) -> Answer:
    return Answer(
        text=text, columns=COLUMNS, lines=_shown(table), marks=_marks(table), n=len(found), unit="releases",
        caveats=(ONE_A_RELEASE, caveat),
    )  # fmt: skip


COLUMNS = ("cost", *(f"times as much at {context:,}" for context in CONTEXTS))


def _vocabulary(evidence: Evidence) -> Answer:
    found = _chosen(evidence, lambda model: model.architecture.vocab > LARGE)
    table = _table(found, with_vocabulary)
    memory, read = (written(table[cost, CONTEXTS[0]], "{:.2f}") for cost in ("all memory", "bytes read a token"))
    text = (
        f"With a vocabulary above {LARGE:,} the median release needs {memory} times the memory of the same model with "
        f"{SMALL:,} entries, and reads {read} times the bytes a token (at {CONTEXTS[0]:,} tokens)."
    )
    return _answer(text, found, table, "A larger vocabulary also writes a text in fewer tokens, which is not counted.")


def _sharing(evidence: Evidence) -> Answer:
    shared = (AttentionKind.GQA, AttentionKind.MQA)
    found = _chosen(evidence, lambda model: model.architecture.attention_kind in shared)
    table = _table(found, with_all_heads)
    told = [f"{written(table['all memory', context], '{:.2f}')} at {context:,} tokens" for context in CONTEXTS]
    text = f"The median release that shares keys and values needs {' and '.join(told)} of the memory it would without."
    return _answer(text, found, table, "The model with all heads has larger projections of keys and values, too.")


VOCABULARY = Insight(
    id="vocabulary",
    question="What does a large vocabulary cost?",
    method=f"Each catalogued model above {LARGE:,} entries beside the same with {SMALL:,}; the median over releases, "
    "with the interval between order statistics.",
    answers={Data.CATALOGUE: _vocabulary},
    axis=f"Times as much as with {SMALL:,} entries",
    reference=1.0,
)
SHARING = Insight(
    id="gqa",
    question="What does sharing keys and values buy, at 2k and at 32k tokens?",
    method="Each catalogued model with grouped- or multi-query attention beside the same with as many key-value heads "
    "as heads; the median over releases, with the interval between order statistics.",
    answers={Data.CATALOGUE: _sharing},
    axis="Times as much as with all key-value heads",
    reference=1.0,
)
