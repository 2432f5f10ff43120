"""From results to verdicts: all claims tested on one data set are one family, and its error is bounded as a whole.

Each test has two p values: of the null that the claim is false, and of the null that it is true. Exactly one of them is
so, and among the 2m nulls of m claims m are, whatever was rejected already: Holm's procedure with these logical
restrictions (Shaffer 1986, doi 10.1080/01621459.1986.10478341) multiplies each p value by m. The probability that any
verdict of a data set, be it *holds* or *fails*, is wrong then stays at 5% or below, however the tests depend on each
other; and they do, since they share models. (Benjamini and Hochberg's would find more, but bounds only the share of
wrong verdicts among many; here there are about twenty, and each is read by itself.)

A claim of several parts holds if all do, so that its p value is the largest of theirs (intersection-union, which needs
no correction); it fails if any does, so that the p value against it is the smallest of theirs times their number.
"""

from __future__ import annotations

from collections.abc import Sequence

from slm_atlas import stats
from slm_atlas.insights.claims.evidence import Evidence
from slm_atlas.insights.claims.vocabulary import Claim, Data, Finding, Part, Result, Verdict, no_data

ALPHA = 1 - stats.LEVEL
"""How often any verdict of a data set may be wrong."""


def findings(claims: Sequence[Claim], evidence: Evidence, data: Data) -> list[Finding]:
    """The verdict of a data set on each claim, in their order."""
    return judged(claims, [_result(claim, evidence, data) for claim in claims], data)


def _result(claim: Claim, evidence: Evidence, data: Data) -> Result:
    test = claim.tests.get(data)
    if test is None:
        need = claim.needs.get(data, "another data set")
        return no_data(SILENT[data], need)
    return test(evidence)


SILENT = {
    Data.PAPER: "The survey's figures do not speak to it.",
    Data.CATALOGUE: "How models are built and trained does not speak to it.",
    Data.MINE: "Measurements do not speak to it.",
}
"""Of a data set without a test."""


def judged(claims: Sequence[Claim], results: Sequence[Result], data: Data) -> list[Finding]:
    """Findings from the results of a family of tests."""
    tested = [place for place, result in enumerate(results) if result.parts]
    pairs = {place: adjusted(p_values(results[place].parts), len(tested)) for place in tested}
    return [
        _finding(claim, result, data, pairs.get(place), len(tested))
        for place, (claim, result) in enumerate(zip(claims, results, strict=True))
    ]


def p_values(parts: Sequence[Part]) -> tuple[float, float]:
    """The p values for a claim of several parts, and against it."""
    p_for = max(part.tested.p_for for part in parts)
    return p_for, min(1.0, len(parts) * min(part.tested.p_against for part in parts))


def adjusted(pair: tuple[float, float], family: int) -> tuple[float, float]:
    """The p values for and against one of so many claims."""
    return min(1.0, family * pair[0]), min(1.0, family * pair[1])


def _finding(claim: Claim, result: Result, data: Data, pair: tuple[float, float] | None, family: int) -> Finding:
    verdict = _verdict(result, pair)
    deciding = _deciding(result.parts, verdict)
    return Finding(
        claim=claim,
        data=data,
        verdict=verdict,
        effect=deciding.tested.effect if deciding else None,
        meaning=f"{deciding.what} ({deciding.asked})" if deciding else "",
        form=deciding.form if deciding else "{:.2f}",
        n=result.n,
        unit=result.unit,
        reason=_reason(result, verdict, pair, family),
        parts=result.parts,
        p_for=pair[0] if pair else None,
        p_against=pair[1] if pair else None,
        family=family,
        lacking=result.lacking,
        caveats=result.caveats,
        wording=_wording(claim, result, verdict, deciding) if data is Data.PAPER else None,
    )


def _verdict(result: Result, pair: tuple[float, float] | None) -> Verdict:
    if pair is None:
        return Verdict.NO_DATA if result.lacking else Verdict.UNDECIDED
    if pair[0] <= ALPHA:
        return Verdict.HOLDS
    return Verdict.FAILS if pair[1] <= ALPHA else Verdict.UNDECIDED


def _deciding(parts: Sequence[Part], verdict: Verdict) -> Part | None:
    """The part that the verdict hangs on: the one most against it where it fails, else the least supported."""
    if verdict is Verdict.FAILS:
        return min(parts, key=lambda part: part.tested.p_against)
    return max(parts, key=lambda part: part.tested.p_for, default=None)


def _reason(result: Result, verdict: Verdict, pair: tuple[float, float] | None, family: int) -> str:
    if pair is None:
        return result.summary
    body, among = result.summary.rstrip("."), f"adjusted for {family} claim{'s' if family > 1 else ''}"
    if verdict is not Verdict.UNDECIDED:
        return f"{body} (p {_p(pair[verdict is Verdict.FAILS])}, {among})."
    alone = p_values(result.parts)
    if min(alone) <= ALPHA:
        word = "supported" if alone[0] < alone[1] else "contradicted"
        return f"{body} (alone it would be {word}, p {_p(min(alone))}; {among}, {_p(min(pair))})."
    return f"{body} (p {_p(pair[0])} for it and {_p(pair[1])} against it, {among})."


def _p(value: float) -> str:
    """A p value in words.

    >>> _p(0.0321), _p(1e-9)
    ('0.032', 'below 0.001')
    """
    return "below 0.001" if value < 0.001 else f"{value:.2g}"


def _wording(claim: Claim, result: Result, verdict: Verdict, deciding: Part | None) -> str | None:
    """What the survey's own figures have against its wording; what alone would be supported follows."""
    said = [text for text in (claim.doubt, result.contradiction) if text]
    if verdict is Verdict.FAILS and deciding is not None:
        said.insert(0, f"Its own figures contradict it: {deciding.what} is {deciding.shown}, claimed {deciding.asked}.")
    elif verdict is Verdict.UNDECIDED and deciding is not None and p_values(result.parts)[0] > ALPHA:
        said.insert(0, f"Its own figures leave it open: {deciding.what} is {deciding.shown}, claimed {deciding.asked}.")
    return " ".join(said) or None
