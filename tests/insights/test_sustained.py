"""Depth and time are told apart: simulated passes whose cost of depth, change and drift are known."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from slm_atlas.insights import change_point
from slm_atlas.insights.sustained import Sustained, sustained
from slm_atlas.stats import Estimate
from slm_atlas.store.records import Sample

from .passes import CHUNKS, MEAN_DEPTH, made

PASSES = 100
SHARE = 0.1


@pytest.fixture(autouse=True)
def few_permutations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_point, "PERMUTATIONS", 199)


def seen(samples: list[Sample]) -> Sustained:
    found = sustained(samples)
    assert found is not None
    return found


def covers(estimate: Estimate, truth: float) -> bool:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= truth <= estimate.high


def deep(found: Sustained) -> Estimate:
    assert found.depth_cost_s is not None
    return found.depth_cost_s


def cost(found: Sustained) -> float:
    """What a thousand tokens deeper cost in truth, at the speed that the pass was found to begin with."""
    return SHARE / (1 + SHARE * MEAN_DEPTH / 1000) / found.burst_tokens_per_s.value


@pytest.mark.parametrize(
    "machine",
    [{}, {"change": 16, "ratio": 0.7}, {"drift": 0.2}, {"rho": 0.6}],
    ids=["steady", "throttles", "drifts", "remembers"],
)
def test_the_interval_of_the_cost_of_depth_covers_whatever_the_machine_does(machine: dict[str, float]) -> None:
    found = [seen(made(seed, share=SHARE, **machine)) for seed in range(PASSES)]  # type: ignore[arg-type]
    assert sum(covers(deep(each), cost(each)) for each in found) >= 0.88 * PASSES
    assert np.mean([deep(each).value / cost(each) for each in found]) == pytest.approx(1, abs=0.02)


def test_throttling_is_found_with_its_moment_and_its_size() -> None:
    found = [seen(made(seed, change=16, ratio=0.8)) for seed in range(PASSES)]
    assert all(each.change_s is not None for each in found)
    for each in found:
        before = [part.at_s for part in each.rounds if part.at_s < (each.change_s or 0)]
        assert len(before) == 16
    assert sum(covers(each.steady_to_burst, 0.8) for each in found) >= 0.9 * PASSES


def test_a_machine_that_is_steady_is_said_to_be_so() -> None:
    found = [seen(made(seed)) for seed in range(PASSES)]
    assert sum(each.change_s is not None for each in found) <= 4  # 1 expected
    assert sum(covers(each.steady_to_burst, 1.0) for each in found) >= 0.9 * PASSES
    assert all(each.p_value is not None for each in found)


def test_a_deep_cache_is_not_taken_for_throttling() -> None:
    found = seen(made(0, share=2.0, noise=1e-4))
    assert found.change_s is None
    assert found.steady_to_burst.value == pytest.approx(1, abs=1e-3)
    assert found.depths[-1].token_s / found.depths[0].token_s == pytest.approx((1 + 0.8) / (1 + 0.2), rel=1e-3)


def test_a_machine_that_recovers_has_a_ratio_above_one() -> None:
    found = seen(made(1, change=20, ratio=1.25))
    assert found.steady_to_burst.value == pytest.approx(1.25, rel=0.01)
    assert found.change_s is not None


def test_rounds_carry_what_the_machine_said() -> None:
    found = seen(made(0, rounds=20))
    assert [each.temperature_c for each in found.rounds] == [50.0 + number for number in range(20)]
    assert {each.frequency_mhz for each in found.rounds} == {None}
    assert found.duration_s == found.rounds[-1].at_s


def test_too_few_rounds_tell_no_change_but_the_cost_of_depth() -> None:
    found = seen(made(0, rounds=5, change=3, ratio=0.5))
    assert (found.p_value, found.change_s) == (None, None)
    assert deep(found).n == 5


def test_depths_close_together_do_not_tell_what_depth_costs() -> None:
    near = [
        msgspec.structs.replace(sample, value=50 + sample.value / 10) if sample.metric == "sustained_depth" else sample
        for sample in made(0)
    ]
    assert seen(near).depth_cost_s is None
    assert "depth_cost_s" not in seen(near).summary()
    assert "depth_cost_s" in seen(made(0)).summary()


@pytest.mark.parametrize(
    "samples",
    [
        [],
        made(0, rounds=2),
        [sample for sample in made(0, rounds=4) if sample.metric != "sustained_at_s"],
        [sample for sample in made(0, rounds=4) if sample.index != 4 * CHUNKS - 1],
        [Sample(metric="decode_s", index=0, value=0.1)],
    ],
    ids=["nothing", "two rounds", "no times", "a chunk lost", "another pass"],
)
def test_what_is_no_whole_pass_is_none(samples: list[Sample]) -> None:
    assert sustained(samples) is None
