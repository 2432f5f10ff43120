"""What storing weights in fewer bits buys (claims Q1 to Q3)."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from slm_atlas import stats
from slm_atlas.catalog import paper
from slm_atlas.insights.claims.evidence import Evidence
from slm_atlas.insights.claims.vocabulary import Claim, Data, Part, Result, no_data, too_few
from slm_atlas.insights.frame import Row

FULL = ("FP16", "F16", "BF16")
"""Names of the format that others are compared with."""
REGULAR = {"Q4_0": 4.5, "Q4_1": 5.0, "Q4_K": 4.5, "Q4_K_S": 4.5, "Q4_K_M": 4.5, "Q8_0": 8.5}
"""Formats of 4 and 8 bits: bits of a weight in a block of the main type (ggml's layouts); mixes keep some in others."""
IRREGULAR = {"Q3_K": 3.4375, "Q3_K_S": 3.4375, "Q3_K_M": 3.4375, "Q3_K_L": 3.4375} | {
    "Q5_0": 5.5, "Q5_1": 6.0, "Q5_K": 5.5, "Q5_K_S": 5.5, "Q5_K_M": 5.5, "Q6_K": 6.5625
}  # fmt: skip
"""Formats of 3, 5 and 6 bits, likewise."""
BITS = REGULAR | IRREGULAR | dict.fromkeys(FULL, 16.0)
"""All of them. Of a format that is not here, the time a bit is not told."""
MIN_FORMATS = 3
"""Fewer formats beside the full one are no test."""
MEASURE = "slm study run paper-quantization --model MODEL.gguf"
SWEEP = "slm bench MODEL --sweep quant=F16,Q8_0,Q6_K,Q5_K_M,Q4_K_M --sweep prompt=8,16,32,64"
ONE_MODEL = "One model on one device; formats are the observations."
SERIES = "Points of one run are not independent: the intervals are narrower than they should be."


class Costs(NamedTuple):
    """One model in several formats."""

    prefill: Mapping[str, Mapping[int, float]]
    """By format and tokens of the prompt: time to the first token."""
    decode: Mapping[str, Sequence[float]]
    """By format: times of a token."""

    def full(self) -> str | None:
        """The format that others are compared with."""
        return next((name for name in FULL if name in self.prefill and name in self.decode), None)

    def others(self) -> list[str]:
        """The other formats that both phases have."""
        return [name for name in self.prefill if name in self.decode and name not in FULL]


def in_figure() -> Costs:
    """Figure 8."""
    figure = paper.fig8()
    decode = {name: [ms for _, ms in points] for name, points in figure.decode.items()}
    return Costs({name: dict(points) for name, points in figure.prefill.items()}, decode)


def measured(evidence: Evidence) -> Costs | None:
    """The model that was measured alike in the most formats; None: none was in any."""
    groups: dict[tuple[str, str, str, str, int | None], list[Row]] = defaultdict(list)
    for row in evidence.rows:
        if {"prefill_s", "decode_s"} <= set(row.metrics):
            way = json.dumps(
                {name: value for name, value in row.settings.items() if name != "n_prompt"}, sort_keys=True
            )
            groups[row.model, row.host, row.engine, way, row.params].append(row)
    rows = max(groups.values(), key=lambda each: len({row.quantization for row in each}), default=[])
    if not rows:
        return None
    prefill: dict[str, dict[int, float]] = defaultdict(dict)
    decode: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        prefill[row.quantization][int(row.settings.get("n_prompt", 50))] = row.metrics["prefill_s"].value
        decode[row.quantization].append(row.metrics["decode_s"].value)
    return Costs(prefill, decode)


def _lacking(costs: Costs | None) -> Result | None:
    """Why there is no test of these costs; None: there is one."""
    if costs is None or (costs.full() is None and not costs.others()):
        return no_data("No model was measured in several formats.", MEASURE)
    if costs.full() is None or len(costs.others()) < MIN_FORMATS:
        known = ", ".join(costs.prefill)
        if len(costs.prefill) == 1:
            return no_data(f"No model was measured in more than one format ({known}).", MEASURE)
        return too_few(
            f"A verdict needs F16 and {MIN_FORMATS} other formats of a model, not {known}.",
            len(costs.prefill),
            "formats",
        )
    return None


def _gain(costs: Costs, name: str, tokens: int | None = None) -> float:
    """Log of how many times faster prefill is than in the full format, over all prompts or at one."""
    full, own = costs.prefill[costs.full() or ""], costs.prefill[name]
    places = [place for place in own if place in full and tokens in (None, place)]
    return statistics.fmean(math.log(full[place] / own[place]) for place in places)


def _decode_gain(costs: Costs, name: str) -> float:
    full = costs.decode[costs.full() or ""]
    return math.log(statistics.fmean(full) / statistics.fmean(costs.decode[name]))


def _more_in_decode(costs: Costs | None, caveats: tuple[str, ...]) -> Result:
    lacking = _lacking(costs)
    if lacking or costs is None:
        return lacking or no_data("Nothing was measured.", MEASURE)
    names = costs.others()
    gains = {name: (_decode_gain(costs, name), _gain(costs, name)) for name in names}
    tested = stats.mean_above([decode - prefill for decode, prefill in gains.values()])
    part = Part(what="log of the gain, decode less prefill", asked="above 0", tested=tested, form="{:+.2f}")
    told = ", ".join(f"{name} {math.exp(d):.2f} and {math.exp(p):.2f}" for name, (d, p) in gains.items())
    return Result(
        parts=(part,),
        summary=f"Speed over that of 16 bits, decode and prefill: {told}",
        n=len(names),
        unit="formats",
        caveats=caveats,
    )


def _fastest(costs: Costs | None, caveats: tuple[str, ...]) -> Result:
    lacking = _lacking(costs)
    if lacking or costs is None:
        return lacking or no_data("Nothing was measured.", MEASURE)
    medians = {name: statistics.median(costs.decode[name]) for name in (*costs.others(), costs.full() or "")}
    a_bit = {name: medians[name] / BITS[name] for name in medians if name in BITS}
    regular, irregular = ([math.log(a_bit[name]) for name in a_bit if name in of] for of in (REGULAR, IRREGULAR))
    if "Q4_K_M" not in medians or min(len(regular), len(irregular)) < 2 or len(regular) + len(irregular) < 5:
        return too_few("A verdict needs Q4_K_M, Q8_0 and three of the irregular formats.", len(medians), "formats")
    rival = min((name for name in medians if name != "Q4_K_M"), key=lambda name: medians[name])
    ahead = [math.log(other / own) for own, other in zip(costs.decode["Q4_K_M"], costs.decode[rival], strict=False)]
    if len(ahead) < stats.MIN_RUNS:
        return too_few(f"A verdict needs {stats.MIN_RUNS} measurements of Q4_K_M and of {rival}.", len(ahead), "pairs")
    parts = (
        Part(
            what=f"log of the time of {rival}, the fastest other, over Q4_K_M's",
            asked="above 0",
            tested=stats.mean_above(ahead),
            form="{:+.2f}",
        ),
        Part(
            what="log of time a bit, irregular formats less regular",
            asked="above 0",
            tested=stats.mean_difference(irregular, regular),
            form="{:+.2f}",
        ),
    )
    per_bit = ", ".join(f"{name} {time / min(a_bit.values()):.2f}" for name, time in sorted(a_bit.items(), key=_second))
    lead = -math.expm1(-parts[0].tested.effect.value)
    summary = f"Q4_K_M takes {_less(lead)} a token than {rival}; time a bit, relative: {per_bit}"
    return Result(parts=parts, summary=summary, n=len(medians), unit="formats", caveats=caveats)


def _second(pair: tuple[str, float]) -> float:
    return pair[1]


def _less(share: float) -> str:
    """How much less time: 12% less, or 12% more."""
    return f"{abs(share):.0%} {'less' if share >= 0 else 'more'}"


def _shrinks(costs: Costs | None, caveats: tuple[str, ...]) -> Result:
    lacking = _lacking(costs)
    if lacking or costs is None:
        return lacking or no_data("Nothing was measured.", MEASURE)
    prompts = sorted(set.intersection(*(set(of) for of in costs.prefill.values())))
    if len(prompts) < stats.MIN_RUNS:
        return no_data(
            f"No model was measured in several formats at {stats.MIN_RUNS} or more lengths of the prompt.", SWEEP
        )
    logs = [math.log2(tokens) for tokens in prompts]
    slopes = {n: stats.trend(logs, [_gain(costs, n, tokens) for tokens in prompts]).slope.value for n in costs.others()}
    tested = stats.below(stats.mean_above(list(slopes.values())))
    part = Part(what="change of the log gain as the prompt doubles", asked="below 0", tested=tested, form="{:+.3f}")
    first, last = (statistics.fmean(math.exp(_gain(costs, n, at)) for n in slopes) for at in (prompts[0], prompts[-1]))
    summary = (
        f"Prefill is {first:.2f} times as fast as in 16 bits with a prompt of {prompts[0]}, {last:.2f} times with one "
        f"of {prompts[-1]} (mean of {len(slopes)} formats)"
    )
    return Result(parts=(part,), summary=summary, n=len(slopes), unit="formats", caveats=caveats)


NEEDS = {Data.CATALOGUE: "measurements, which are one's own"}

CLAIMS = (
    Claim(
        id="Q1",
        figure="fig8",
        sentence="Quantization helps decode more than prefill.",
        source="arXiv 2409.15790, runtime cost, quantization, Figure 8",
        rule="Over the formats of a model, the mean of the log gain over 16 bits is larger in decode than in prefill "
        "(paired t test). Fails if it is smaller.",
        tests={
            Data.PAPER: lambda _: _more_in_decode(in_figure(), (ONE_MODEL,)),
            Data.MINE: lambda evidence: _more_in_decode(measured(evidence), (ONE_MODEL,)),
        },
        needs=NEEDS,
    ),
    Claim(
        id="Q2",
        figure="fig8",
        sentence="Q4_K_M is the fastest in decode, and formats of 4 and 8 bits beat those of 3, 5 and 6 bits for each "
        "bit moved.",
        source="arXiv 2409.15790, runtime cost, quantization, Figure 8b",
        rule="Q4_K_M takes less time a token than the fastest other format (paired t test), and the mean log of time a "
        "bit is larger in the irregular formats (Welch's t). Fails if one is not so.",
        tests={
            Data.PAPER: lambda _: _fastest(in_figure(), (ONE_MODEL, SERIES)),
            Data.MINE: lambda evidence: _fastest(measured(evidence), (ONE_MODEL,)),
        },
        needs=NEEDS,
    ),
    Claim(
        id="Q3",
        figure="fig8",
        sentence="The gain of quantization in prefill shrinks as the prompt grows.",
        source="arXiv 2409.15790, runtime cost, quantization, Figure 8a",
        rule="The slope of the log gain on the log of the prompt's tokens, averaged over formats, is below 0 (t test "
        "over formats). Fails if it is above.",
        tests={
            Data.PAPER: lambda _: _shrinks(in_figure(), (ONE_MODEL, "Q3_K at 50 tokens is an outlier of the figure.")),
            Data.MINE: lambda evidence: _shrinks(measured(evidence), (ONE_MODEL,)),
        },
        needs=NEEDS,
    ),
)
"""The claims about quantization."""
