"""The survey's Figure 11 beside the arithmetic: cache, weights and compute buffer of every model drawn.

Counted as the paper's engine had it: a llama.cpp of 2024, whose attention was not fused, and files that store a tied
head once more where Figure 11 shows so. As it is: what `slm estimate` says of llama.cpp today.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from slm_atlas.anatomy import Quantization, estimate
from slm_atlas.anatomy.buffers import unfused_compute_bytes
from slm_atlas.anatomy.cache import cache_bytes
from slm_atlas.catalog import Architecture, Model, paper, runnable
from slm_atlas.survey.cells import Cell, Verdict
from slm_atlas.units import MIB

CONTEXT, MICRO_BATCH = 2048, 512
"""What the figure's caches show, and llama.cpp's default."""
HEAD_TWICE = frozenset({"qwen1.5-0.5b", "bloom-560m", "bloom-1b1"})
"""Models whose weights in the figure are those of a file that stores the tied head apart."""
GIB_ROUNDED = 1024 / 1000
"""From 1 GiB on the figure draws weights as 1000 times the GiB, rounded to two decimals: a multiple of 10."""
CLOSE = 0.013
"""Weights and buffers this close, relative, are the same: versions of llama.cpp differ in the types of few tensors."""
_EXACT_MIB = 0.006

_FUSED = "The paper's engine keeps the scores of every head with every token; llama.cpp fuses attention today."
_STREAM = "One more residual stream is alive beside the logits today."
_TWICE = "The figure's file stores the tied head a second time, in more bits."


def figure_11(models: Iterable[Model]) -> Iterator[Cell]:
    """The numbers of Figure 11, three a model, in MiB."""
    by_id = {model.id: model for model in models}
    for bar in paper.fig11().models:
        if model := by_id.get(bar.model_id):
            yield _cache(bar, model)
            yield _weights(bar, model)
            yield _compute(bar, model)


def _cache(bar: paper.MemoryBar, model: Model) -> Cell:
    ours = cache_bytes(model.architecture, CONTEXT) / MIB
    same = abs(ours - bar.kv_cache_mib) < _EXACT_MIB
    return _cell(model, "KV cache", bar.kv_cache_mib, (ours, ours), same=same, why="")


def _weights(bar: paper.MemoryBar, model: Model) -> Cell:
    arch = runnable(model) or model.architecture
    shown = bar.model_parameter_mib
    if shown >= 1000 and abs(shown / 10 - round(shown / 10)) < 1e-9:
        shown *= GIB_ROUNDED
    untied = msgspec.structs.replace(arch, embedding=msgspec.structs.replace(arch.embedding, tied=False))
    counted, true = (_weights_mib(untied if model.id in HEAD_TWICE else arch), _weights_mib(arch))
    return _cell(model, "weights", shown, (counted, true), same=_close(counted, shown), why=_TWICE)


def _compute(bar: paper.MemoryBar, model: Model) -> Cell:
    arch = runnable(model) or model.architecture
    counted = unfused_compute_bytes(arch, CONTEXT, MICRO_BATCH) / MIB
    true = estimate(arch, Quantization.Q4_K_M, context=CONTEXT, micro_batch=MICRO_BATCH).compute_bytes / MIB
    same = _close(counted, bar.compute_buffer_mib)
    why = _STREAM if true > counted else _FUSED
    return _cell(model, "compute buffer", bar.compute_buffer_mib, (counted, true), same=same, why=why)


def _weights_mib(arch: Architecture) -> float:
    return estimate(arch, Quantization.Q4_K_M, context=CONTEXT).weight_bytes / MIB


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= CLOSE * abs(other)


def _cell(model: Model, what: str, shown: float, ours: tuple[float, float], *, same: bool, why: str) -> Cell:
    counted, true = ours
    equal = same and _close(true, shown)
    verdict = Verdict.EQUAL if equal else Verdict.EXPLAINED if same else Verdict.UNEXPLAINED
    reasons = {Verdict.EQUAL: (), Verdict.EXPLAINED: (why,), Verdict.UNEXPLAINED: ("Nothing is known of it.",)}
    return Cell(
        figure="11",
        cell=f"{model.id} {what} (MiB)",
        paper=shown,
        counted=counted,
        true=true,
        models=() if equal else (model.id,),
        verdict=verdict,
        reasons=reasons[verdict],
    )
