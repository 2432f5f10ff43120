"""The statistics of every number shown: an estimate, its interval and its n.

The fresh process is the statistical unit of a cost (tokens within a run are not independent), the item that of a
score. An interval of one arm takes its runs for independent; a ratio within blocks holds under drift too. What is not
a line of arithmetic is scipy's, imported when first needed.
"""

from slm_atlas.stats.estimates import (
    LEVEL,
    MIN_RUNS,
    Estimate,
    Trend,
    mean_estimate,
    median_estimate,
    paired_ratio,
    power_law,
    relative_half_width,
    trend,
    weighted_mean_estimate,
    wilson,
)
from slm_atlas.stats.hypotheses import (
    BorderTest,
    below,
    mean_above,
    mean_difference,
    rank_correlation_above,
    share_above,
    share_difference,
    slope_above,
    slope_difference,
    slope_error,
    spread_above,
    spread_ratio_above,
    t_above,
    within,
)
from slm_atlas.stats.regression import Regression, determined, regress
from slm_atlas.stats.scores import Comparison, average, chance_corrected, compare, half_width, items_for, mcnemar
from slm_atlas.stats.student import t_quantile

__all__ = [
    "LEVEL",
    "MIN_RUNS",
    "BorderTest",
    "Comparison",
    "Estimate",
    "Regression",
    "Trend",
    "average",
    "below",
    "chance_corrected",
    "compare",
    "determined",
    "half_width",
    "items_for",
    "mcnemar",
    "mean_above",
    "mean_difference",
    "mean_estimate",
    "median_estimate",
    "paired_ratio",
    "power_law",
    "rank_correlation_above",
    "regress",
    "relative_half_width",
    "share_above",
    "share_difference",
    "slope_above",
    "slope_difference",
    "slope_error",
    "spread_above",
    "spread_ratio_above",
    "t_above",
    "t_quantile",
    "trend",
    "weighted_mean_estimate",
    "wilson",
    "within",
]
