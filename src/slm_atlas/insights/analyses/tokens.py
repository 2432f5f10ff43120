"""What more training tokens a parameter bring, by kind of data."""

from __future__ import annotations

import math

from slm_atlas import stats
from slm_atlas.catalog import paper
from slm_atlas.insights.analyses.insight import Answer, Insight
from slm_atlas.insights.claims import Data, Evidence, written
from slm_atlas.insights.claims.abilities import is_curated
from slm_atlas.insights.claims.training import scored_tokens


def _in_figure(_: Evidence) -> Answer:
    groups: dict[str, list[tuple[float, float, float]]] = {"curated data": [], "other data": []}
    for point in paper.fig4().points:
        one = scored_tokens(point)
        ratio = math.log10(point.tokens_billion / point.params_billion)
        groups["curated data" if is_curated(one) else "other data"].append((ratio, math.log10(one.params), one.score))
    lines, told = [], []
    for name, found in groups.items():
        fit = stats.regress({"ratio": [f[0] for f in found], "size": [f[1] for f in found]}, [f[2] for f in found])
        bought, size = fit.coefficients["ratio"], fit.coefficients["size"]
        told.append(f"{name} {written(bought, '{:+.3f}')}")
        lines.append(
            (
                name,
                str(len(found)),
                written(bought, "{:+.3f}"),
                written(size, "{:+.3f}"),
                written(fit.left_out, "{:.2f}"),
            )
        )
    text = f"Accuracy for ten times the tokens a parameter, at equal size: {', '.join(told)}."
    columns = ("data", "models", "ten times the tokens a parameter", "ten times the parameters", "left-out R²")
    caveats = ("Models of a family are not independent; who trains longer also trains later, on better data.",)
    return Answer(text=text, columns=columns, lines=tuple(lines), n=len(paper.fig4().points), caveats=caveats)


TOKENS = Insight(
    id="tokens",
    question="What do more training tokens a parameter bring, on curated and on other data?",
    method="Least squares of Figure 4's accuracy on the logs of tokens a parameter and of parameters, in each group; "
    "Student's t intervals. Groups as in claim D2.",
    answers={Data.PAPER: _in_figure},
)
