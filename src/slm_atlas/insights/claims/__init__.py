"""Claims as code: the survey's statements, and one's own, tested on its figures, the catalogue and the store.

A claim of one's own is a `Claim` whose tests look at `Evidence` and return a `Result` of `Part`s, each an estimate with
its two p values from `slm_atlas.stats` (`mean_above`, `slope_above`, `share_above`, ...).
"""

from slm_atlas.insights.claims.evidence import Evidence, Release, of_catalogue, of_paper, releases
from slm_atlas.insights.claims.judging import findings, judged
from slm_atlas.insights.claims.registry import CLAIMS, GROUP, all_claims, load
from slm_atlas.insights.claims.vocabulary import (
    Claim,
    Data,
    Finding,
    Part,
    Result,
    Verdict,
    no_data,
    number,
    too_few,
    written,
)

__all__ = [
    "CLAIMS",
    "GROUP",
    "Claim",
    "Data",
    "Evidence",
    "Finding",
    "Part",
    "Release",
    "Result",
    "Verdict",
    "all_claims",
    "findings",
    "judged",
    "load",
    "no_data",
    "number",
    "of_catalogue",
    "of_paper",
    "releases",
    "too_few",
    "written",
]
