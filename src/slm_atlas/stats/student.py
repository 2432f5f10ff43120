"""Quantiles and tails of Student's t, from `scipy.special`.

They are what `scipy.stats.t` calls, without its import (twice as long) and its checks of each call.
"""

from __future__ import annotations


def t_quantile(share: float, freedom: float) -> float:
    """The value below which a share of Student's t lies.

    Args:
        share: between 0 and 1.
        freedom: degrees of freedom.

    >>> round(t_quantile(0.975, 4), 3)
    2.776
    """
    from scipy.special import stdtrit

    return float(stdtrit(freedom, share))


def t_below(at: float, freedom: float) -> float:
    """The share of Student's t below a value; that above it is the share below its negative.

    >>> round(t_below(2.776, 4), 3)
    0.975
    """
    from scipy.special import stdtr

    return float(stdtr(freedom, at))
