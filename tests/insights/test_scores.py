"""A run's score: the metric it names, means of texts weighted by their bytes or words, the others beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from slm_atlas.errors import Outcome
from slm_atlas.insights.scores import score
from slm_atlas.store.records import Run, RunKind, Sample


def run(**settings: Any) -> Run:
    return Run(
        key="k", kind=RunKind.EVAL, artifact="a", host="h", engine="e", settings={"task": "t", **settings}, replicate=0,
        outcome=Outcome.OK, cause=None, log_tail="", started_at="", elapsed_s=1.0, notes={}, atlas_version="0",
    )  # fmt: skip


def samples(metric: str, values: Sequence[float], details: Sequence[dict[str, Any] | None] = ()) -> list[Sample]:
    found = details or [None] * len(values)
    return [
        Sample(metric=metric, index=index, value=value, detail=detail)
        for index, (value, detail) in enumerate(zip(values, found, strict=True))
    ]


def test_the_metric_a_run_names_is_the_main_one() -> None:
    found = score(run(metric="pass@1", chance=0.0), [*samples("acc", [1, 1]), *samples("pass@1", [0, 1])])
    assert found is not None
    assert (found.metric, found.estimate.value, found.others["acc"].value) == ("pass@1", 0.5, 1.0)
    assert found.is_share


def test_bits_per_byte_are_those_of_all_bytes() -> None:
    details = [{"bytes": 100, "words": 10}, {"bytes": 300, "words": 90}]
    found = score(
        run(metric="bits_per_byte"),
        [*samples("bits_per_byte", [2.0, 1.0], details), *samples("word_perplexity", [3.0, 2.0])],
    )
    assert found is not None
    assert found.estimate.value == pytest.approx((2.0 * 100 + 1.0 * 300) / 400)
    assert found.others["word_perplexity"].value == pytest.approx(math.exp((3.0 * 10 + 2.0 * 90) / 100))
    assert not found.is_share


def test_the_perplexity_of_last_words_is_the_exponential_of_their_mean_surprise() -> None:
    found = score(run(metric="perplexity"), samples("perplexity", [1.0, 2.0, 3.0, 6.0, 3.0, 3.0]))
    assert found is not None
    assert found.estimate.value == pytest.approx(math.exp(3))
    assert found.estimate.low is not None
    assert found.estimate.high is not None
    assert 0 < found.estimate.low < found.estimate.value < found.estimate.high


def test_no_item_is_no_score() -> None:
    assert score(run(), []) is None
