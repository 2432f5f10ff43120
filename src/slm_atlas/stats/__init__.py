"""The statistics of every number shown: an estimate, its interval and its n.

The fresh process is the statistical unit of a cost (tokens within a run are not independent), the item that of a
score. An interval of one arm takes its runs for independent; a ratio within blocks holds under drift too. What is not
a line of arithmetic is scipy's, imported when first needed (0.5 s).
"""

from slm_atlas.stats.estimates import (
    LEVEL,
    MIN_RUNS,
    Estimate,
    Trend,
    mean_estimate,
    median_estimate,
    paired_ratio,
    relative_half_width,
    trend,
    weighted_mean_estimate,
    wilson,
)
from slm_atlas.stats.scores import Comparison, average, chance_corrected, compare, half_width, items_for, mcnemar

__all__ = [
    "LEVEL",
    "MIN_RUNS",
    "Comparison",
    "Estimate",
    "Trend",
    "average",
    "chance_corrected",
    "compare",
    "half_width",
    "items_for",
    "mcnemar",
    "mean_estimate",
    "median_estimate",
    "paired_ratio",
    "relative_half_width",
    "trend",
    "weighted_mean_estimate",
    "wilson",
]
