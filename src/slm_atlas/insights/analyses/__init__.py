"""Questions beyond the survey's claims: what explains costs, which models are on the front, what a choice buys."""

from slm_atlas.insights.analyses.anatomy import SHARING, VOCABULARY
from slm_atlas.insights.analyses.insight import Answer, Insight
from slm_atlas.insights.analyses.pareto import PARETO
from slm_atlas.insights.analyses.shape import SHAPE_INSIGHT
from slm_atlas.insights.analyses.tokens import TOKENS

INSIGHTS = (SHAPE_INSIGHT, PARETO, TOKENS, VOCABULARY, SHARING)
"""All of them."""

__all__ = ["INSIGHTS", "Answer", "Insight"]
