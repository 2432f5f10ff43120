"""What more training tokens a parameter bring, by kind of data."""

from __future__ import annotations

import math
from collections.abc import Sequence

from slm_atlas import stats
from slm_atlas.catalog import paper
from slm_atlas.insights.analyses.insight import Answer, Insight, mark
from slm_atlas.insights.claims import Data, Evidence, written
from slm_atlas.insights.claims.abilities import is_curated
from slm_atlas.insights.claims.training import scored_tokens

COLUMNS = ("data", "models", "ten times the tokens a parameter", "ten times the parameters", "left-out R²")


def _in_figure(_: Evidence) -> Answer:
    groups: dict[str, list[tuple[float, float, float]]] = {"curated data": [], "other data": []}
    for point in paper.fig4().points:
        one = scored_tokens(point)
        ratio = math.log10(point.tokens_billion / point.params_billion)
        groups["curated data" if is_curated(one) else "other data"].append((ratio, math.log10(one.params), one.score))
    fits = {name: _fit(found) for name, found in groups.items()}
    both = {name: [fit.coefficients[of] for of in ("ratio", "size")] for name, fit in fits.items()}
    told = ", ".join(f"{name} {written(points[0], '{:+.3f}')}" for name, points in both.items())
    lines = tuple(
        (
            name, str(len(groups[name])), *(written(each, "{:+.3f}") for each in both[name]),
            written(fit.left_out, "{:.2f}"),
        )
        for name, fit in fits.items()
    )  # fmt: skip
    marks = tuple(
        mark(panel[0].upper() + panel[1:], name, both[name][place])
        for place, panel in enumerate(COLUMNS[2:4])
        for name in both
    )
    text = f"Accuracy for ten times the tokens a parameter, at equal size: {told}."
    caveats = ("Models of a family are not independent; who trains longer also trains later, on better data.",)
    n = len(paper.fig4().points)
    return Answer(text=text, columns=COLUMNS, lines=lines, marks=marks, n=n, caveats=caveats)


def _fit(found: Sequence[tuple[float, float, float]]) -> stats.Regression:
    """Accuracy on the logs of tokens a parameter and of parameters."""
    return stats.regress({"ratio": [one[0] for one in found], "size": [one[1] for one in found]}, [f[2] for f in found])


TOKENS = Insight(
    id="tokens",
    question="What do more training tokens a parameter bring, on curated and on other data?",
    method="Least squares of Figure 4's accuracy on the logs of tokens a parameter and of parameters, in each group; "
    "Student's t intervals. Groups as in claim D2.",
    answers={Data.PAPER: _in_figure},
    axis="Change of accuracy",
    form="+.2f",
    reference=0.0,
)
