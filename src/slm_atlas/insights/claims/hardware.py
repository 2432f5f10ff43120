"""What another machine changes (claims H1 and H2)."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations, pairwise

from slm_atlas import stats
from slm_atlas.catalog import paper
from slm_atlas.insights.claims.evidence import Evidence
from slm_atlas.insights.claims.vocabulary import Claim, Data, Part, Result, no_data, number, too_few

PHONE, JETSON = "Meizu 18 Pro", "Jetson Orin NX 16GB"
SLOWER = 0.1
"""By how much a token must take longer at the end of a figure than at its start to be called throttling."""
SECOND_HOST = "the same study on another machine: slm results merge OTHER.jsonl"
SUSTAINED = "slm bench MODEL --sustained 3m, on two machines"
MIN_MODELS = 3
"""Fewer files measured on both machines are no test."""
FIGURE_9 = "One model, one run on each device; a GPU of one is compared with the processor of another."


def _factors(_: Evidence) -> Result:
    """How many times faster the Jetson is, at each length of the prompt, and in decode."""
    figure = paper.fig9()
    phone, jetson = dict(figure.prefill[PHONE]), dict(figure.prefill[JETSON])
    logs = {tokens: math.log(phone[tokens] / jetson[tokens]) for tokens in phone if tokens in jetson}
    decode = math.log(statistics.fmean(phone_tokens()) / statistics.fmean(ms for _, ms in figure.decode[JETSON]))
    parts = (
        Part(
            what="log of the GPU's factor, prefill less decode",
            asked="above 0",
            tested=stats.mean_above([value - decode for value in logs.values()]),
        ),
        Part(
            what="change of the log factor in prefill as the prompt doubles",
            asked="above 0",
            tested=stats.slope_above([math.log2(tokens) for tokens in logs], list(logs.values())),
        ),
    )
    first, last = min(logs), max(logs)
    summary = (
        f"The Jetson is {math.exp(logs[first]):.0f} times faster in prefill at {first} tokens and "
        f"{math.exp(logs[last]):.0f} "
        f"times at {last}; in decode {math.exp(decode):.1f} times"
    )
    caveats = (FIGURE_9, "Lengths of the prompt are the observations, and not independent.")
    return Result(parts=parts, summary=summary, n=len(logs), unit="lengths", caveats=caveats)


def phone_tokens() -> list[float]:
    """Milliseconds of each token on the phone: the differences of what its running mean was made of."""
    total = [ms for _, ms in paper.fig9().derived.phone_total]
    return [after - before for before, after in pairwise(total)]


def _factors_measured(evidence: Evidence) -> Result:
    """The two machines that share the most files: the faster one's factor in prefill over that in decode."""
    found: dict[str, dict[tuple[str, str], tuple[float, float]]] = defaultdict(dict)
    for row in evidence.rows:
        if {"prefill_s", "decode_s"} <= set(row.metrics):
            way = json.dumps({name: row.settings.get(name) for name in ("n_prompt", "n_gen")})
            found[row.host][row.artifact, way] = (row.metrics["prefill_s"].value, row.metrics["decode_s"].value)
    pairs = list(combinations(found, 2))
    if not pairs:
        return no_data("Everything was measured on one machine." if found else "Nothing was measured.", SECOND_HOST)
    one, other = max(pairs, key=lambda pair: len(found[pair[0]].keys() & found[pair[1]].keys()))
    shared = sorted(found[one].keys() & found[other].keys())
    if len(shared) < MIN_MODELS:
        return too_few(
            f"{len(shared)} files measured alike on two machines; a verdict needs {MIN_MODELS}.", len(shared), "files"
        )
    ratios = [tuple(math.log(a / b) for a, b in zip(found[one][k], found[other][k], strict=True)) for k in shared]
    sign = 1 if statistics.fmean(decode for _, decode in ratios) >= 0 else -1
    tested = stats.mean_above([sign * (prefill - decode) for prefill, decode in ratios])
    part = Part(what="log of the faster machine's factor, prefill less decode", asked="above 0", tested=tested)
    means = [math.exp(sign * statistics.fmean(of)) for of in zip(*ratios, strict=True)]
    summary = f"The faster of two machines is {means[0]:.1f} times faster in prefill and {means[1]:.1f} times in decode"
    caveats = ("Whichever machines were measured; that one has a GPU is not checked.",)
    return Result(parts=(part,), summary=summary, n=len(shared), unit="files", caveats=caveats)


def _rise(tokens: Sequence[float]) -> tuple[float, stats.BorderTest]:
    """How much longer a token takes at the end of a series than at its start, by a straight line, and its test."""
    line = stats.trend(list(range(len(tokens))), tokens)
    scale = (len(tokens) - 1) / line.intercept
    error = stats.slope_error(line) * scale
    rise = line.slope.value * scale
    method = "least squares, Student's t"
    return rise, stats.t_above(rise, error, len(tokens) - 2, SLOWER, n=len(tokens), method=method)


def _throttling(_: Evidence) -> Result:
    jetson = [ms for _, ms in paper.fig9().decode[JETSON]]
    (fast, of_jetson), (slow, of_phone) = _rise(jetson), _rise(phone_tokens())
    drawn = [ms for _, ms in paper.fig9().decode[PHONE]]
    parts = (
        Part(what="rise of the phone's time a token", asked=f"above {SLOWER:.0%}", tested=of_phone, form="{:+.0%}"),
        Part(
            what="rise of the Jetson's time a token",
            asked=f"below {SLOWER:.0%}",
            tested=stats.below(of_jetson),
            form="{:+.0%}",
        ),
    )
    return Result(
        parts=parts,
        summary=f"From the first to the last token the phone's time changes by {number(slow, '{:+.0%}')}, "
        f"the Jetson's by {number(fast, '{:+.0%}')}",
        n=len(jetson),
        unit="tokens",
        caveats=(
            FIGURE_9,
            "Fifty tokens are four seconds, too short to heat a device; a token's time grows with the cache too.",
        ),
        contradiction=f"The rise it draws for the phone, from {drawn[0]:.0f} to {drawn[-1]:.0f} ms, is that of a "
        f"running mean which counts the first token as 0 ms; undone, a token takes "
        f"{statistics.median(phone_tokens()):.0f} ms throughout.",
    )


def _steady(evidence: Evidence) -> Result:
    """Of two machines with a sustained pass, whether the faster keeps more of its speed."""
    kept: dict[str, list[float]] = defaultdict(list)
    speed: dict[str, list[float]] = defaultdict(list)
    for row in evidence.rows:
        for one in row.sustained:
            if one.steady_to_burst is not None and one.burst_tokens_per_s is not None:
                kept[row.host].append(one.steady_to_burst.value)
                speed[row.host].append(one.burst_tokens_per_s.value)
    if len(kept) < 2:
        return no_data("Sustained use was not measured on two machines.", SUSTAINED)
    fast, slow = sorted(kept, key=lambda host: -statistics.fmean(speed[host]))[:2]
    n = len(kept[fast]) + len(kept[slow])
    if min(len(kept[fast]), len(kept[slow])) < 2 or n < 5:
        return too_few("A verdict needs five sustained runs on two machines, two on each at least.", n, "runs")
    tested = stats.mean_difference(kept[fast], kept[slow])
    part = Part(
        what="share of its speed kept, faster machine less slower", asked="above 0", tested=tested, form="{:+.0%}"
    )
    return Result(parts=(part,), summary=f"The faster machine keeps {part.shown} more of its speed", n=n, unit="runs")


NEEDS = {Data.CATALOGUE: "measurements, which are one's own"}

CLAIMS = (
    Claim(
        id="H1",
        figure="fig9",
        sentence="The advantage of a GPU over a processor is larger in prefill than in decode, and grows with the "
        "prompt.",
        source="arXiv 2409.15790, runtime cost, hardware, Figure 9",
        rule="The log of the factor is larger in prefill than in decode (t test), and in prefill it rises with the log "
        "of the prompt's tokens (t test of the slope; not in one's own data). Fails if one is not so.",
        tests={Data.PAPER: _factors, Data.MINE: _factors_measured},
        needs=NEEDS,
    ),
    Claim(
        id="H2",
        figure="fig9",
        sentence="The larger device holds its speed while it decodes on and on; the phone throttles.",
        source="arXiv 2409.15790, runtime cost, hardware, Figure 9b",
        rule=f"By a straight line over the tokens, the phone's time a token rises by more than {SLOWER:.0%} and the "
        "Jetson's by less (t tests); in one's own data, the faster machine keeps more of its speed (Welch's t). Fails "
        "if one is not so.",
        tests={Data.PAPER: _throttling, Data.MINE: _steady},
        needs=NEEDS,
    ),
)
"""The claims about hardware."""
