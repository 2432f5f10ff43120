"""What is counted of a model: its attention, its vocabulary, its data; a label each, or a number each.

The labels of `attention`, `ffn`, `ffn-ratio`, `activation`, `vocabulary` and `norm` are those of the survey's Figure 2.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import msgspec

from slm_atlas.catalog import Model
from slm_atlas.catalog.architecture import Activation, AttentionKind, NormKind, PerLayer, PositionKind
from slm_atlas.catalog.schema import CountsAs

CHINCHILLA = 20.0
"""Training tokens a parameter that were found to make the most of a budget (Hoffmann and others, arXiv 2203.15556)."""

Labels = tuple[str, ...]
"""The labels of a model: one, several where a facet allows it, none where it is not published."""


class Facet(msgspec.Struct, frozen=True, kw_only=True):
    """A question to which every model has one of a few answers, or some of many."""

    name: str
    """What it is called on the command line."""
    title: str
    """What it is, in a few words."""
    labels: Callable[[Model], Labels]
    """The answer for a model; none: not published."""
    order: Labels = ()
    """All answers there are, in the order in which to show them; none: they are many, the most frequent first."""
    ordered: bool = False
    """Its answers are bins of a number."""
    several: bool = False
    """A model may have several answers, so that counts add up to more than the models."""
    counted: Callable[[CountsAs], Labels | None] = lambda _: None
    """The survey's answer for a model, where it is not the true one; None: it is."""


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """A question to which every model has a number for an answer."""

    name: str
    """What it is called on the command line."""
    title: str
    """What it is, with its unit."""
    value: Callable[[Model], float | None]
    """The answer for a model; None: not published."""
    reference: float | None = None
    """A value to compare with."""


# ---- labels ---------------------------------------------------------------------------------------------------------


def vocabulary_bin(size: int) -> str:
    """The bin of a vocabulary in Figure 2, whose "50k" is 50 x 1024: it holds the 51,200 of Phi.

    >>> [vocabulary_bin(size) for size in (32_000, 51_200, 51_201, 100_352, 151_936, 200_000)]
    ['<=50k', '<=50k', '50k~100k', '100k~150k', '150k~200k', '>200k']
    """
    if size <= 50 * 1024:
        return "<=50k"
    for end, label in ((100_000, "50k~100k"), (150_000, "100k~150k"), (200_000, "150k~200k")):
        if size < end:
            return label
    return ">200k"


def ratio_bin(ratio: float) -> str:
    """The bin of an FFN ratio in Figure 2, where 2.69 and 2.70 count as 2.75, and 2.67 does not.

    Ratios up to a sixteenth away are 2.75, others the nearer of 3 and 4; the survey's models have none in between.

    >>> [ratio_bin(ratio) for ratio in (8 / 3, 2.6875, 2.75, 3.0, 3.4, 3.5, 4.0, 4.01)]
    ['<2.75', '2.75', '2.75', '3', '3', '4', '4', '>4']
    """
    if ratio < 2.75 - 1 / 16:
        return "<2.75"
    if ratio <= 2.75 + 1 / 16:
        return "2.75"
    if ratio <= 4:
        return "3" if ratio < 3.5 else "4"
    return ">4"


def tokens_bin(tokens_per_parameter: float) -> str:
    """Training tokens a parameter, in bins of powers of ten over Chinchilla's 20.

    >>> [tokens_bin(ratio) for ratio in (19.9, 20, 199, 2000, 20_000)]
    ['<20', '20~200', '20~200', '2k~20k', '>=20k']
    """
    for end, label in zip((20, 200, 2000, 20_000), TOKENS_BINS, strict=False):
        if tokens_per_parameter < end:
            return label
    return TOKENS_BINS[-1]


VOCABULARY_BINS = ("<=50k", "50k~100k", "100k~150k", "150k~200k", ">200k")
RATIO_BINS = ("<2.75", "2.75", "3", "4", ">4")
TOKENS_BINS = ("<20", "20~200", "200~2k", "2k~20k", ">=20k")


# ---- numbers --------------------------------------------------------------------------------------------------------


def ffn_ratio(model: Model) -> float:
    """Width of the feed-forward network over that of the model; of layers that differ, the mean."""
    return _mean(model.architecture.ffn.intermediate) / model.architecture.hidden


def tokens_per_parameter(model: Model) -> float | None:
    """Training tokens a parameter; None: the tokens are not published."""
    tokens = model.training.tokens_billion
    return None if tokens is None else tokens * 1e9 / model.params


def embedding_share(model: Model) -> float:
    """Share of the parameters that stands in the token embedding and, where it is not tied, the head; in percent."""
    arch = model.architecture
    width = (arch.embedding.dim or arch.hidden) * (
        1 if arch.embedding.tied else 2
    ) + arch.embedding.per_layer * arch.layers
    return 100 * arch.vocab * width / model.params


def _mean(value: PerLayer) -> float:
    return value if isinstance(value, int) else statistics.fmean(value)


# ---- all of them ----------------------------------------------------------------------------------------------------


def _tokens_labels(model: Model) -> Labels:
    ratio = tokens_per_parameter(model)
    return () if ratio is None else (tokens_bin(ratio),)


def _one(label: str | None) -> Labels | None:
    return None if label is None else (label,)


NO_ALGORITHM = "none of note"
"""What is said of a model that was trained as most are."""

FACETS = (
    Facet(
        name="attention",
        title="Attention",
        labels=lambda model: (model.architecture.attention_kind,),
        order=tuple(AttentionKind),
        counted=lambda counts: _one(counts.attention),
    ),
    Facet(
        name="ffn",
        title="Feed-forward network",
        labels=lambda model: ("gated" if model.architecture.ffn.gated else "standard",),
        order=("gated", "standard"),
    ),
    Facet(
        name="ffn-ratio",
        title="FFN width / model width",
        labels=lambda model: (ratio_bin(ffn_ratio(model)),),
        order=RATIO_BINS,
        ordered=True,
        counted=lambda counts: _one(counts.ffn_ratio),
    ),
    Facet(
        name="activation",
        title="Activation",
        labels=lambda model: (model.architecture.ffn.activation,),
        order=tuple(Activation),
        counted=lambda counts: _one(counts.activation),
    ),
    Facet(
        name="norm",
        title="Norm",
        labels=lambda model: (model.architecture.norm.kind,),
        order=tuple(NormKind),
        counted=lambda counts: _one(counts.norm),
    ),
    Facet(
        name="position",
        title="Positions",
        labels=lambda model: (model.architecture.position.kind,),
        order=tuple(PositionKind),
    ),
    Facet(
        name="vocabulary",
        title="Vocabulary",
        labels=lambda model: (vocabulary_bin(model.architecture.vocab),),
        order=VOCABULARY_BINS,
        ordered=True,
    ),
    Facet(
        name="embedding",
        title="Embedding and head",
        labels=lambda model: ("tied" if model.architecture.embedding.tied else "untied",),
        order=("tied", "untied"),
    ),
    Facet(
        name="tokens-bins",
        title="Training tokens a parameter",
        labels=_tokens_labels,
        order=TOKENS_BINS,
        ordered=True,
    ),
    Facet(
        name="data",
        title="Data of pre-training",
        labels=lambda model: ("named" if model.training.datasets else "not named",),
        order=("named", "not named"),
    ),
    Facet(
        name="datasets",
        title="Data sets of pre-training",
        labels=lambda model: model.training.datasets,
        several=True,
        counted=lambda counts: counts.datasets,
    ),
    Facet(
        name="algorithms",
        title="Training algorithms",
        labels=lambda model: model.training.algorithms or (NO_ALGORITHM,),
        several=True,
    ),
)
"""The facets with labels."""

MEASURES = (
    Measure(name="params", title="Parameters (millions)", value=lambda model: model.params / 1e6),
    Measure(name="depth", title="Layers", value=lambda model: model.architecture.layers * model.architecture.repeat),
    Measure(name="width", title="Model width", value=lambda model: model.architecture.hidden),
    Measure(name="context", title="Context (tokens)", value=lambda model: model.architecture.context),
    Measure(name="tokens", title="Training tokens (billions)", value=lambda model: model.training.tokens_billion),
    Measure(
        name="tokens-per-parameter",
        title="Training tokens a parameter",
        value=tokens_per_parameter,
        reference=CHINCHILLA,
    ),
    Measure(name="embedding-share", title="Embedding and head (% of parameters)", value=embedding_share),
)
"""The facets with numbers."""
