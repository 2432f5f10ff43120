"""Compositions over time: every model is counted once, shares stand in their intervals, nothing missing is zero."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slm_atlas.catalog import Model
from slm_atlas.survey.composition import NOT_PUBLISHED, Period, by_period, composition, summary
from slm_atlas.survey.facets import FACETS, MEASURES, Facet, Measure

from .made import made

BY_NAME = {facet.name: facet for facet in FACETS}
TOKENS = next(measure for measure in MEASURES if measure.name == "tokens")

MONTHS = st.builds("{}-{:02}".format, st.integers(2022, 2025), st.integers(1, 12))
MODELS = st.lists(
    st.builds(
        made,
        release=MONTHS,
        tokens_billion=st.none() | st.floats(0.1, 1e5),
        vocab=st.integers(1000, 300_000),
        datasets=st.lists(st.sampled_from(["The Pile", "DCLM", "Dolma"]), unique=True).map(tuple),
    ),
    max_size=12,
)


def test_the_half_year_ends_with_june() -> None:
    found = by_period([made(release=month) for month in ("2024-07", "2023-12", "2024-06", "2024-01")], Period.HALF_YEAR)
    assert {period: len(group) for period, group in found.items()} == {"2023H2": 1, "2024H1": 2, "2024H2": 1}
    assert list(found) == sorted(found)


def test_counts_and_shares_of_a_period() -> None:
    group = [made(vocab=size) for size in (32_000, 50_257, 151_936)]
    rows = {row.label: row for row in composition(group, BY_NAME["vocabulary"])}
    assert {label: row.count for label, row in rows.items()} == {
        "<=50k": 2,
        "50k~100k": 0,
        "100k~150k": 0,
        "150k~200k": 1,
        ">200k": 0,
    }
    small = rows["<=50k"]
    assert (small.period, small.n) == ("2024H1", 3)
    assert small.share == pytest.approx(2 / 3)
    assert small.low == pytest.approx(0.2077, abs=1e-4), "Wilson's interval"
    assert small.high == pytest.approx(0.9385, abs=1e-4)


def test_what_is_not_published_stands_apart() -> None:
    group = [made(tokens_billion=10.0), made(tokens_billion=None), made(tokens_billion=None)]
    rows = {row.label: row for row in composition(group, BY_NAME["tokens-bins"])}
    assert (rows["<20"].count, rows["<20"].n, rows["<20"].share) == (1, 1, 1.0)
    assert (rows[NOT_PUBLISHED].count, rows[NOT_PUBLISHED].share) == (2, None)


def test_a_period_of_which_nothing_is_published_has_no_shares() -> None:
    (row,) = composition([made(tokens_billion=None)], BY_NAME["tokens-bins"])
    assert (row.label, row.count, row.n, row.share) == (NOT_PUBLISHED, 1, 0, None)


def test_several_labels_count_each_and_the_most_frequent_first() -> None:
    group = [made(datasets=("b", "a")), made(datasets=("a",)), made()]
    rows = composition(group, BY_NAME["datasets"])
    assert [(row.label, row.count, row.n) for row in rows] == [("a", 2, 2), ("b", 1, 2), (NOT_PUBLISHED, 1, 2)]


def test_a_label_that_no_one_has_heard_of_is_a_bug() -> None:
    strange = Facet(name="strange", title="Strange", labels=lambda _: ("new",), order=("old",))
    with pytest.raises(ValueError, match="strange has no label new"):
        composition([made()], strange)


@given(MODELS, st.sampled_from(FACETS), st.sampled_from(list(Period)))
@settings(deadline=None, max_examples=50)
def test_every_model_is_counted(models: list[Model], facet: Facet, period: Period) -> None:
    rows = composition(models, facet, period)
    sizes = {name: len(group) for name, group in by_period(models, period).items()}
    known, missing = Counter[str](), Counter[str]()
    for row in rows:
        if row.label == NOT_PUBLISHED:
            missing[row.period] += row.count
            continue
        known[row.period] += row.count
        assert row.share is not None
        assert row.low is not None
        assert row.high is not None
        assert 0 <= row.low <= row.share + 1e-12
        assert row.share - 1e-12 <= row.high <= 1
        assert row.n + missing[row.period] <= sizes[row.period]
    n = {row.period: row.n for row in rows}
    for name, size in sizes.items():
        assert n[name] + missing[name] == size
        assert known[name] >= n[name] if facet.several else known[name] == n[name]


def test_a_median_has_its_interval_from_three_models_on() -> None:
    group = [made(tokens_billion=tokens) for tokens in (100.0, 300.0)]
    (row,) = summary(group, TOKENS)
    assert (row.n, row.missing, row.median, row.low) == (2, 0, 200.0, None)
    (row,) = summary([*group, made(tokens_billion=200.0), made(tokens_billion=None)], TOKENS)
    assert (row.n, row.missing, row.median, row.least, row.most) == (3, 1, 200.0, 100.0, 300.0)
    assert row.low is not None
    assert row.high is not None
    assert row.low <= 200.0 <= row.high


def test_a_median_of_nothing_is_nothing() -> None:
    (row,) = summary([made(tokens_billion=None)], TOKENS)
    assert (row.n, row.missing, row.median, row.least) == (0, 1, None, None)


@given(MODELS, st.sampled_from(MEASURES))
@settings(deadline=None, max_examples=25)
def test_medians_stand_between_the_ends(models: list[Model], measure: Measure) -> None:
    for row in summary(models, measure, Period.YEAR):
        if row.median is not None:
            assert row.least is not None
            assert row.most is not None
            assert row.least <= row.median <= row.most
