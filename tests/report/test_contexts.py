"""Memory against the context: what is drawn was measured or predicted, and what was refused has its place."""

from __future__ import annotations

import msgspec
import pytest

from slm_atlas import catalog, stats
from slm_atlas.anatomy import Quantization, estimate
from slm_atlas.errors import Outcome
from slm_atlas.insights.frame import Failure, Row
from slm_atlas.report.contexts import MEASURED, PEAK, PREDICTED, REFUSED, context_figure, context_table
from slm_atlas.store.records import RunKind
from slm_atlas.units import MIB

CONTEXTS = (512, 2048, 8192)
REFUSAL = Failure(kind=RunKind.BENCH, replicate=0, task=None, outcome=Outcome.REFUSED, cause="it needs too much")


def row(model_id: str, context: int, kv_type: str = "f16", *, refused: bool = False, prompt: int = 50) -> Row:
    """A run whose numbers are those predicted, the KV cache a hundredth larger."""
    model = catalog.get(model_id)
    found = estimate(model.architecture, Quantization.Q4_K_M, context=context, kv_type=kv_type)
    values = {
        "model_bytes": found.weight_bytes + 7 * MIB,
        "repacked_bytes": 7 * MIB,
        "kv_bytes": 1.01 * found.kv_bytes,
        "compute_bytes": found.compute_bytes,
        "output_bytes": found.output_bytes,
        "peak_rss_bytes": found.memory_bytes + 50 * MIB,
    }
    return Row(
        artifact=model_id, name=model.name, architecture="x", params=model.params, quantization="Q4_K_M", forged=True,
        host="here", engine="llamacpp", scores={}, n_runs=0 if refused else 1,
        settings={"context": context, "kv_type": kv_type, "n_prompt": prompt, "micro_batch": 512},
        metrics={} if refused else {name: stats.median_estimate([value]) for name, value in values.items()},
        failures=(REFUSAL,) if refused else (),
    )  # fmt: skip


ROWS = [
    row(model_id, context, kv_type, refused=(model_id, context, kv_type) == ("qwen1.5-0.5b", 8192, "f16"))
    for model_id in ("qwen1.5-0.5b", "qwen2-0.5b")
    for context in reversed(CONTEXTS)
    for kv_type in ("q8_0", "f16")
]


def test_each_part_stands_beside_its_prediction() -> None:
    figure = context_figure(ROWS)
    assert figure is not None
    mine = {
        (entry["part"], entry["source"]): entry["MiB"]
        for entry in figure.rows
        if (entry["model"], entry["kv_type"], entry["context"]) == ("Qwen2-0.5B", "f16", 8192)
    }
    assert mine["KV cache", PREDICTED] == 96.0
    assert mine["KV cache", MEASURED] == pytest.approx(96.96)
    assert mine["weights in the file", MEASURED] == mine["weights in the file", PREDICTED]
    assert mine["weights repacked", MEASURED] == 7.0
    assert "KV cache 1.0%" in figure.caption
    assert "compute buffers 0.0%" in figure.caption


def test_what_was_refused_stands_at_what_it_would_have_needed() -> None:
    figure = context_figure(ROWS)
    assert figure is not None
    (refused,) = [entry for entry in figure.rows if entry["source"] == REFUSED]
    assert (refused["model"], refused["context"], refused["part"]) == ("Qwen1.5-0.5B", 8192, PEAK)
    assert refused["MiB"] > 768  # its cache alone
    assert "would not have fitted into memory (crosses): 1." in figure.caption
    (line,) = [line for line in context_table(ROWS).lines if "refused" in line[3].more]
    assert [line[0].text, line[1].text, line[2].text] == ["Qwen1.5-0.5B", "8,192", "f16"]
    assert line[-1].text.endswith("GiB")


def test_small_to_large_and_wide_to_narrow() -> None:
    shown = [(line[0].text, line[2].text, line[1].sort) for line in context_table(ROWS).lines]
    assert shown == [
        (name, kind, context)
        for name in ("Qwen1.5-0.5B", "Qwen2-0.5B")
        for kind in ("f16", "q8_0")
        for context in CONTEXTS
    ]


def test_two_contexts_are_no_course_and_other_prompts_are_another_one() -> None:
    rows = [row("qwen2-0.5b", context, prompt=context) for context in CONTEXTS]
    assert context_figure(rows) is None
    assert context_table(rows).lines == []
    assert context_figure(ROWS[:4]) is None


def test_a_file_that_is_not_catalogued_has_no_prediction() -> None:
    rows = [msgspec.structs.replace(row("qwen2-0.5b", context), name="my own") for context in CONTEXTS]
    figure = context_figure(rows)
    assert figure is not None
    assert {entry["source"] for entry in figure.rows} == {MEASURED}
    assert context_table(rows).lines[0][-1].text == "–"
