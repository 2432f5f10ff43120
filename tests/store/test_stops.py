"""What ended an arm, from what was asked and what its runs say."""

from __future__ import annotations

import pytest

from slm_atlas.store.stops import Design, PrecisionOf, Reason, Stop, arm_id, half_widths, judge

STEADY = {number: {"prefill_s": 1.0, "decode_s": 0.1} for number in range(6)}
DRIFTING = {number: {"prefill_s": 1.0 + number, "decode_s": 0.1 + 0.1 * number} for number in range(6)}


def asked(**changes: object) -> Design:
    facts: dict[str, object] = {"plan": "p", "runs": 20, "half_width": 0.05, "min_runs": 5, "budget_s": 60.0}
    return Design(**(facts | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("runs", "design", "made", "spent_s", "reason", "words"),
    [
        (STEADY, asked(), 6, 10.0, Reason.NARROW, "narrow after 6 runs, ±0 %"),
        (STEADY, asked(min_runs=7), 6, 10.0, Reason.OPEN, "6 of 20 runs made so far, ±0 %"),
        (DRIFTING, asked(runs=6), 6, 10.0, Reason.RUNS, "all 6 runs made, ±"),
        (DRIFTING, asked(budget_s=600.0), 6, 600.0, Reason.TIME, "budget of 10 min spent after 6 runs, ±"),
        (DRIFTING, asked(), 6, 59.0, Reason.OPEN, "6 of 20 runs made so far, ±"),
        (STEADY, asked(half_width=None, runs=6), 6, 10.0, Reason.RUNS, "all 6 runs made, ±0 %"),
        ({}, asked(runs=2), 2, 0.0, Reason.RUNS, "all 2 runs made"),
    ],
)
def test_an_arm_ends_for_one_reason(
    runs: dict[int, dict[str, float]], design: Design, made: int, spent_s: float, reason: Reason, words: str
) -> None:
    found = judge(design, runs, None, made=made, spent_s=spent_s)
    assert found.reason is reason
    assert found.words.startswith(words)
    assert isinstance(found, Stop)


def test_what_drifts_is_narrow_as_a_ratio_of_the_same_blocks() -> None:
    ratio = asked(of=PrecisionOf.RATIO, reference="first")
    slower = {number: {name: 2 * value for name, value in run.items()} for number, run in DRIFTING.items()}
    assert judge(asked(), slower, None, made=6, spent_s=0).reason is Reason.OPEN
    found = judge(ratio, slower, DRIFTING, made=6, spent_s=0)
    assert found.reason is Reason.NARROW
    assert found.words == "narrow after 6 runs, ±0 % as a ratio"
    # A block that only one of them has is no pair.
    pairs = {number: DRIFTING[number] for number in range(4)}
    assert judge(ratio, slower, pairs, made=6, spent_s=0).reason is Reason.OPEN
    assert judge(ratio, DRIFTING, None, made=6, spent_s=0).reason is Reason.REFERENCE


def test_a_metric_that_some_run_lacks_has_no_interval() -> None:
    runs = {0: {"prefill_s": 1.0, "decode_s": 0.1}, 1: {"prefill_s": 1.0}, 2: {"prefill_s": 1.0}}
    assert half_widths(runs) == [0.0]
    assert half_widths({0: {"prefill_s": 1.0}}) == []


def test_replicates_are_of_one_arm_and_other_settings_of_another() -> None:
    assert arm_id("a", {"n_prompt": 8, "energy": True}) == arm_id("a", {"n_prompt": 8})
    assert len({arm_id("a", {"n_prompt": 8}), arm_id("b", {"n_prompt": 8}), arm_id("a", {"n_prompt": 9})}) == 3
