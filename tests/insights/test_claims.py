"""Claims: verdicts where the truth is known, and how often they err."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from slm_atlas import stats
from slm_atlas.insights import claims
from slm_atlas.insights.claims import CLAIMS, Finding, Verdict, comparable, findings, points
from slm_atlas.insights.frame import Row
from slm_atlas.stats import Estimate

SIZES = (135e6, 360e6, 500e6, 1.1e9, 1.5e9, 2.8e9)
PREFILL, DECODE, MEMORY = CLAIMS


def row(params: float, value: float, *, metric: str = "prefill_s", **other: Any) -> Row:
    estimate = Estimate(value=value, low=value, high=value, n=5, method="given")
    given: dict[str, Any] = {
        "artifact": f"{params}", "name": f"model-{params:.0f}", "architecture": "llama", "quantization": "Q4_K_M",
        "forged": True, "host": "h", "engine": "fake", "settings": {"n_prompt": 50}, "n_runs": 5, "scores": {},
        "failures": (),
    }  # fmt: skip
    return Row(params=int(params), metrics={metric: estimate}, **(given | other))


def verdict_on(sizes: Sequence[float], values: Sequence[float]) -> Finding:
    return PREFILL.test(PREFILL, [row(size, value) for size, value in zip(sizes, values, strict=True)])


def scattered(power: float, n: int, scatter: float, rng: np.random.Generator) -> Verdict:
    """The verdict on n models between 0.13B and 3B whose cost is a power of their size, off by a random ratio."""
    sizes = np.exp(np.linspace(math.log(0.13e9), math.log(3e9), n))
    costs = (sizes / 1e9) ** power * np.exp(rng.normal(0, scatter, n))
    logs = stats.trend(np.log(sizes).tolist(), np.log(costs).tolist())
    return claims.judge(logs.slope, stats.trend(sizes.tolist(), costs.tolist()).slope)


def shares(power: float, *, n: int, scatter: float, times: int = 300) -> dict[Verdict, float]:
    rng = np.random.default_rng(7)
    count = Counter(scattered(power, n, scatter, rng) for _ in range(times))
    return {verdict: count[verdict] / times for verdict in Verdict}


def test_a_line_through_the_origin_holds() -> None:
    finding = verdict_on(SIZES, [size / 1e9 * 0.3 for size in SIZES])
    assert finding.verdict is Verdict.HOLDS
    assert finding.effect is not None
    assert finding.effect.value == pytest.approx(1.0)
    assert "gains 30 ms a 100M parameters" in finding.reason
    assert finding.n == len(SIZES)


@pytest.mark.parametrize(("power", "word"), [(0.0, "less"), (0.4, "less"), (2.0, "more"), (-1.0, "less")])
def test_other_growth_fails(power: float, word: str) -> None:
    wobble = (1.02, 0.99, 1.0, 1.01, 0.98, 1.0)
    finding = verdict_on(SIZES, [size**power * off for size, off in zip(SIZES, wobble, strict=True)])
    assert finding.verdict is Verdict.FAILS
    assert f"{word} than in proportion" in finding.reason


def test_the_model_furthest_from_the_trend_is_named() -> None:
    values = [size / 1e9 for size in SIZES]
    values[3] *= 1.3
    assert f"Furthest from the trend: model-{SIZES[3]:.0f}, +2" in verdict_on(SIZES, values).reason


def test_no_measurements_is_no_data() -> None:
    finding = DECODE.test(DECODE, [row(1e9, 1.0)])
    assert (finding.verdict, finding.effect, finding.n) == (Verdict.NO_DATA, None, 0)
    assert [found.verdict for found in findings([])] == [Verdict.NO_DATA] * 3


@pytest.mark.parametrize(
    "sizes", [SIZES[:3], [1e9, 1e9, 2e9, 2e9], [1.0e9, 1.2e9, 1.4e9, 1.6e9, 1.9e9]], ids=["three", "two sizes", "near"]
)
def test_a_perfect_line_of_too_few_models_is_undecided(sizes: Sequence[float]) -> None:
    rows = [row(size, size, architecture=f"a{i}") for i, size in enumerate(sizes)]
    finding = PREFILL.test(PREFILL, rows)
    assert finding.verdict is Verdict.UNDECIDED
    assert finding.effect is not None
    assert finding.effect.value == pytest.approx(1.0)
    assert "a verdict needs" in finding.reason


@pytest.mark.parametrize("sizes", [SIZES[:2], [1e9, 1e9, 1e9]], ids=["two models", "one size"])
def test_without_a_line_there_is_no_effect(sizes: Sequence[float]) -> None:
    rows = [row(size, size, architecture=f"a{i}") for i, size in enumerate(sizes)]
    finding = PREFILL.test(PREFILL, rows)
    assert (finding.verdict, finding.effect) == (Verdict.UNDECIDED, None)


def test_an_interval_that_merely_contains_linear_is_undecided() -> None:
    finding = verdict_on(SIZES[:4], [1.0, 1.0, 4.0, 4.0])
    assert finding.effect is not None
    assert finding.effect.low is not None
    assert finding.effect.high is not None
    assert finding.effect.low < 1 < finding.effect.high
    assert finding.verdict is Verdict.UNDECIDED


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


def test_memory_is_judged_without_the_process_around_it() -> None:
    assert MEMORY.metric == "engine_bytes"
    finding = MEMORY.test(MEMORY, [row(size, size * 0.6, metric="engine_bytes") for size in SIZES])
    assert finding.verdict is Verdict.HOLDS
    assert "MiB a 100M parameters" in finding.reason


@pytest.mark.parametrize(("n", "scatter", "power_to_hold"), [(4, 0.1, 0.85), (6, 0.15, 0.9), (10, 0.2, 0.9)])
def test_power_where_growth_is_linear(n: int, scatter: float, power_to_hold: float) -> None:
    found = shares(1.0, n=n, scatter=scatter)
    assert found[Verdict.HOLDS] >= power_to_hold
    assert found[Verdict.FAILS] == 0


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_power_where_growth_is_a_root_or_a_square(power: float) -> None:
    found = shares(power, n=8, scatter=0.15)
    assert found[Verdict.FAILS] >= 0.85
    assert found[Verdict.HOLDS] == 0


@pytest.mark.parametrize("power", claims.LINEAR)
@pytest.mark.parametrize(("n", "scatter"), [(4, 0.1), (8, 0.2)])
def test_errors_at_the_border_are_as_rare_as_said(power: float, n: int, scatter: float) -> None:
    found = shares(power, n=n, scatter=scatter)
    assert found[Verdict.HOLDS] <= 0.055, "once in 40, and three standard errors of 300 trials"
    assert found[Verdict.FAILS] <= 0.055, "once in 40, and three standard errors of 300 trials"
