"""Trends: which rows are compared, which are one model, and how costs grow over models."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from slm_atlas.insights import trends
from slm_atlas.insights.trends import comparable, points

from .rows import SIZES, row


def test_a_model_and_its_forged_twin_are_one_model() -> None:
    twins = [row(1e9, 1.0, name="real"), row(1e9, 3.0, name="forged"), row(1e9, 5.0, architecture="gptneox")]
    assert [(point.name, point.value) for point in points(twins, "prefill_s")] == [
        ("real = forged", 2.0),
        ("model-1000000000", 5.0),
    ]


def test_only_what_was_measured_alike_is_compared() -> None:
    alike = [row(size, size) for size in SIZES]
    others = [row(5e8, 9.9, quantization="Q8_0"), row(6e8, 9.9, host="phone"), row(7e8, 9.9, settings={"n_prompt": 8})]
    assert comparable([*others, *alike], metric="prefill_s") == alike
    assert len(comparable([*others, *alike], metric="prefill_s", across_quantizations=True)) == len(SIZES) + 1


@pytest.mark.parametrize(
    "sizes", [SIZES[:3], [1e9, 1e9, 2e9, 2e9], [1.0e9, 1.2e9, 1.4e9, 1.6e9, 1.9e9]], ids=["three", "two sizes", "near"]
)
def test_too_few_models_show_no_trend(sizes: Sequence[float]) -> None:
    found = points([row(size, size, architecture=f"a{i}") for i, size in enumerate(sizes)], "prefill_s")
    assert "a verdict needs" in (trends.too_few(found) or "")


def test_the_model_furthest_from_the_trend_is_named() -> None:
    values = [size / 1e9 for size in SIZES]
    values[3] *= 1.3
    found = points([row(size, value) for size, value in zip(SIZES, values, strict=True)], "prefill_s")
    name, off = trends.furthest(found)
    assert name == f"model-{SIZES[3]:.0f}"
    assert 0.15 < off < 0.3
    assert sum(trends.residuals(found)) == pytest.approx(0)
