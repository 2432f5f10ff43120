"""A claim of one's own: grouped-query attention makes decode cheaper than size lets expect."""

from slm_atlas import stats
from slm_atlas.insights.claims import Claim, Data, Evidence, Part, Result, no_data, too_few
from slm_atlas.insights.claims.shapes import measured_points
from slm_atlas.insights.trends import residuals

MIN_MODELS = 5


def cheaper(evidence: Evidence) -> Result:
    """Compare how far models with and without lie from the trend of decode with size."""
    found = measured_points(evidence, "decode_s")
    if not found:
        return no_data("No catalogued model was measured.", "slm study run paper-runtime")
    off = residuals([point for point, _ in found])
    kinds = [str(model.architecture.attention_kind) for _, model in found]
    pairs = list(zip(off, kinds, strict=True))
    grouped, others = ([value for value, kind in pairs if (kind == "GQA") is it] for it in (True, False))
    if min(len(grouped), len(others)) < MIN_MODELS:
        return too_few(
            f"{len(grouped)} models with and {len(others)} without; {MIN_MODELS} of each are needed.", len(found)
        )
    tested = stats.below(stats.mean_difference(grouped, others))
    part = Part(what="log time off the trend, grouped less others", asked="below 0", tested=tested, form="{:+.0%}")
    return Result(parts=(part,), summary=f"Models with grouped-query attention are {part.shown} off", n=len(found))


CLAIMS = [
    Claim(
        id="U1",
        sentence="Grouped-query attention makes decode cheaper than size lets expect.",
        source="a hunch of ours",
        rule="The mean residual around the trend is lower with it (Welch's t). Fails if it is higher.",
        tests={Data.MINE: cheaper},
        needs={Data.PAPER: "a test that reads Figure 7", Data.CATALOGUE: "measurements"},
    )
]
