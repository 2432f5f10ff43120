"""The claims and insights of a report: what each data set says of them, side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from slm_atlas.insights.analyses import INSIGHTS, Answer, Insight
from slm_atlas.insights.claims import (
    Claim,
    Data,
    Evidence,
    Finding,
    Verdict,
    all_claims,
    findings,
    of_catalogue,
    of_paper,
    written,
)
from slm_atlas.report.figures import Figure
from slm_atlas.report.insight_figures import insight_figures
from slm_atlas.units import counted

HEADINGS = {
    Data.PAPER: "In the survey's own figures",
    Data.CATALOGUE: "In the catalogue, to 2026",
    Data.MINE: "In these measurements",
}
"""What a data set is called above what it says."""


class Said(NamedTuple):
    """What one data set says of a claim."""

    where: str
    """The data set."""
    finding: Finding
    """Verdict, reason, and what is behind them."""
    effect: str
    """The effect that decides with its interval and n; empty where nothing was tested."""
    behind: Sequence[str]
    """Every effect that was tested, where there is more than the one shown, and the caveats."""


class Told(NamedTuple):
    """A claim, and what each data set says of it."""

    claim: Claim
    """The claim."""
    said: Sequence[Said]
    """By data set."""
    wording: str | None
    """Why the survey's wording does not follow from its own figures."""


class Tally(NamedTuple):
    """The verdicts of a data set."""

    where: str
    """The data set."""
    verdicts: Sequence[tuple[Verdict, Sequence[str]]]
    """By verdict, the ids of its claims."""


class Asked(NamedTuple):
    """An insight, and what each data set answers."""

    insight: Insight
    """The question."""
    answers: Mapping[str, Answer]
    """By data set."""
    figures: Sequence[Figure]
    """The answers, drawn."""


Evidences = Mapping[Data, Evidence]


def evidences(mine: Evidence) -> Evidences:
    """The three data sets: the survey's figures, the catalogue, and the store's measurements."""
    return {Data.PAPER: of_paper(), Data.CATALOGUE: of_catalogue(), Data.MINE: mine}


def claims(found: Evidences) -> list[Told]:
    """Every claim on every data set, in the order of the survey."""
    asked = all_claims()
    by_data = [findings(asked, evidence, data) for data, evidence in found.items()]
    return [_told(of_claim) for of_claim in zip(*by_data, strict=True)]


def _told(of_claim: Sequence[Finding]) -> Told:
    wording = next((finding.wording for finding in of_claim if finding.wording), None)
    said = [Said(HEADINGS[finding.data], finding, _effect(finding), _behind(finding)) for finding in of_claim]
    return Told(of_claim[0].claim, said, wording)


def _effect(finding: Finding) -> str:
    if finding.effect is None:
        return ""
    n = counted(finding.n, finding.unit)
    return f"{finding.meaning}: {written(finding.effect, finding.form)}, {n}"


def _behind(finding: Finding) -> list[str]:
    parts = [f"{part.what}: {part.shown}, claimed {part.asked} ({part.tested.effect.method})" for part in finding.parts]
    return [*parts, *finding.caveats]


def tallies(told: Sequence[Told]) -> list[Tally]:
    """The verdicts of each data set, with the ids of their claims; those of which it holds nothing last."""
    found: dict[str, dict[Verdict, list[str]]] = defaultdict(lambda: {verdict: [] for verdict in Verdict})
    for each in told:
        for said in each.said:
            found[said.where][said.finding.verdict].append(each.claim.id)
    return [Tally(where, [pair for pair in by.items() if pair[1]]) for where, by in found.items()]


def insights(found: Evidences) -> list[Asked]:
    """Every insight on the data sets that can answer it."""
    asked = []
    for insight in INSIGHTS:
        answers = {data: insight.answers[data](each) for data, each in found.items() if data in insight.answers}
        shown = {HEADINGS[data]: answer for data, answer in answers.items()}
        asked.append(Asked(insight, shown, insight_figures(insight, answers)))
    return asked
