"""Counts and sizes as people write them."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.cli.params import count, duration, size


@pytest.mark.parametrize(
    ("text", "value"), [("4096", 4096), ("135m", 135_000_000), (" 1.5B ", 1_500_000_000), ("0.5 K", 500)]
)
def test_counts(text: str, value: int) -> None:
    assert count(text) == value


@pytest.mark.parametrize("text", ["", "B", "-1", "1.5.2B", "1Gi", "many"])
def test_what_is_not_a_count_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="not a count"):
        count(text)


@given(st.integers(0, 10**13))
def test_a_count_in_digits_is_itself(value: int) -> None:
    assert count(str(value)) == value


def test_what_is_not_a_size_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="not a size"):
        size("1.5 apples")


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("3m", 180), ("1.5h", 5400), ("90", 90), (" 2 M ", 120)])
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-3m", "3 minutes", "m"])
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="not a duration"):
        duration(text)
