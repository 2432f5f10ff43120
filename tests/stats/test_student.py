"""What is reckoned without `scipy.stats` is what `scipy.stats` says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.stats import t_quantile, wilson
from slm_atlas.stats.student import t_below

FREEDOM = st.floats(0.5, 1000)


@given(st.floats(0.001, 0.999), FREEDOM)
def test_a_quantile_is_scipys(share: float, freedom: float) -> None:
    from scipy.stats import t

    assert t_quantile(share, freedom) == t.ppf(share, freedom)


@given(st.floats(-50, 50), FREEDOM)
def test_tails_are_scipys(at: float, freedom: float) -> None:
    from scipy.stats import t

    assert (t_below(at, freedom), t_below(-at, freedom)) == (t.cdf(at, freedom), t.sf(at, freedom))


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0.5, 0.999))
def test_wilsons_interval_is_scipys(n: int, share: float, level: float) -> None:
    from scipy.stats import binomtest

    successes = round(share * n)
    found, expected = wilson(successes, n, level=level), binomtest(successes, n).proportion_ci(level, "wilson")
    assert found.low == pytest.approx(expected.low, abs=1e-12)
    assert found.high == pytest.approx(expected.high, abs=1e-12)
