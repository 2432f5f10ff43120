"""Which model suits a device and a task: each candidate held against what is asked, then put in order, with reasons.

Pure arithmetic on plain values, so that the report's page gives the same answer from the same data: its script
(`report/templates/choose.js`) follows this module function by function, and a test in a browser compares the two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Literal

import msgspec

MOST = 10
"""How many models an answer names when nothing else is asked."""

CostName = Literal["context", "memory", "decode", "ttft"]


class Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of what travels into the page: plain, and without what is empty."""


class Basis(StrEnum):
    """Where a number comes from."""

    MEASURED = "measured"
    """From runs of this very file on this machine."""
    PREDICTED = "predicted"
    """From the architecture, and the models that were measured."""


class Subject(StrEnum):
    """What a model is to be good at, as the survey divides it."""

    ANY = "any"
    COMMONSENSE = "commonsense"
    PROBLEM_SOLVING = "problem solving"
    MATHS = "maths"


class Fit(StrEnum):
    """How a candidate stands to what is asked."""

    YES = "yes"
    """It keeps every limit, to the far end of each interval."""
    UNSURE = "unsure"
    """A limit lies within an interval, or a number or its interval is not known."""
    NO = "no"
    """It breaks a limit, even at the near end of the interval; where there is none, by its value."""


class Cost(Struct, frozen=True, kw_only=True):
    """A number of a candidate with its 95 % interval."""

    value: float
    """The number: bytes, tokens a second, or seconds."""
    low: float | None = None
    """Lower end; None: not known."""
    high: float | None = None
    """Upper end; None: not known."""
    text: str
    """The same for people."""


class Score(Struct, frozen=True, kw_only=True):
    """How good a candidate is at a subject."""

    value: float
    """From 0 to 1."""
    scale: str
    """What was asked, and by whom; scores of two scales cannot be compared."""
    text: str
    """The same for people."""


class Candidate(Struct, frozen=True, kw_only=True):
    """A model file, measured on a machine or predicted for it."""

    id: str
    """No other candidate has it."""
    model: str
    """The model; of several files of one, and engines, the best is named."""
    name: str
    """The name shown."""
    machine: str
    """Id of the machine its costs are of; empty where nothing was measured anywhere."""
    basis: Basis
    """Where its costs come from."""
    params: int
    """Parameters; 0: not told."""
    conditions: str = ""
    """How its costs were measured, or for which way of measuring they are predicted."""
    file: str = ""
    """Which file was measured: its weights and the beginning of its hash; empty: none was."""
    engine: str = ""
    """What ran it."""
    context: int = 0
    """Tokens of context that its costs are of."""
    prompt: int = 0
    """Tokens of the prompt that its costs are of."""
    depth: int = 0
    """Tokens that stood before the prompt."""
    runs: int = 0
    """Runs behind its costs."""
    made_for: Cost | None = None
    """The longest context it is made for; None: not known."""
    memory: Cost | None = None
    """Bytes the process needs; None: not known."""
    decode: Cost | None = None
    """Tokens a second."""
    ttft: Cost | None = None
    """Seconds until an answer begins."""
    scores: dict[str, Score] = {}
    """By subject; those not known are absent."""


class Query(Struct, frozen=True, kw_only=True):
    """What is asked; what is None does not matter."""

    machine: str
    """Id of the machine."""
    memory_bytes: float | None = None
    """Most memory."""
    decode: float | None = None
    """Fewest tokens a second."""
    ttft_s: float | None = None
    """Longest time until an answer begins."""
    subject: Subject = Subject.ANY
    """What it is to be good at."""
    context: int | None = None
    """Tokens of context that are needed; None: as most models were measured."""
    prompt: int | None = None
    """Tokens of the prompt; None: as most models were measured."""
    most: int = MOST
    """How many models to name."""


class Reason(Struct, frozen=True, kw_only=True):
    """One thing asked, and how a candidate stands to it."""

    what: str
    """`context`, `memory`, `decode`, `ttft`, or `score`."""
    fit: Fit
    """How it stands."""
    text: str
    """The number with its interval."""


class Choice(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """A model that may suit, and why."""

    id: str
    """Id of the candidate."""
    name: str
    """Its name."""
    basis: Basis
    """Where its costs come from."""
    conditions: str
    """How its costs were measured."""
    file: str
    """Which file was measured."""
    engine: str
    """What ran it."""
    fit: Fit
    """Whether all limits are kept for certain."""
    reasons: list[Reason]
    """One for each thing asked, and the score."""


class Answer(Struct, frozen=True, kw_only=True):
    """What is recommended."""

    choices: list[Choice]
    """The best first."""
    scale: str
    """The scale of scores they are ordered by; empty: no score is known, and larger models stand first."""
    suited: int
    """How many models suit, or may; more than are named."""
    refused: dict[str, int]
    """How many models break each limit for certain."""


_UNKNOWN = "not known"


def recommend(candidates: Iterable[Candidate], query: Query) -> Answer:
    """The models for a device and a task, the best first.

    Those that keep every limit for certain stand before those that may; then measured before predicted; then, on the
    scale that scores most of them, the higher score, and those without one after; then the larger model. A file that
    was measured in several ways counts as in the one that fits what is asked; of several files of a model, and engines,
    which one can choose among, the first is named.
    """
    asked = fitting([candidate for candidate in candidates if candidate.machine == query.machine], query)
    judged = [(candidate, reasons(candidate, query)) for candidate in asked]
    suited = [(candidate, found) for candidate, found in judged if overall(found) is not Fit.NO]
    scale = common_scale([candidate for candidate, _ in suited], query.subject)
    suited.sort(key=lambda pair: _rank(pair[0], overall(pair[1]), scale, query.subject))
    best = {pair[0].model: pair for pair in reversed(suited)}
    first = [pair for pair in suited if best[pair[0].model] is pair]
    broken = [(pair[0].model, reason.what) for pair in judged for reason in pair[1] if reason.fit is Fit.NO]
    refused = Counter(what for model, what in dict.fromkeys(broken) if model not in best)
    return Answer(
        choices=[_choice(*pair, scale, query.subject) for pair in first[: query.most]],
        scale=scale,
        suited=len(first),
        refused=dict(sorted(refused.items())),
    )


def fitting(candidates: Sequence[Candidate], query: Query) -> list[Candidate]:
    """Of each file in each engine the measurement that fits what is asked, whatever came of it.

    That is one with enough context before one without, then the nearest context, prompt and depth, then the most runs.
    What is not asked is as most models were measured, so that they are compared alike.
    """
    context, prompt = usual(candidates)
    context, prompt = query.context or context, query.prompt or prompt
    nearest: dict[tuple[str, str, str, str], tuple[tuple[bool, int, int, int, int, str], Candidate]] = {}
    for one in candidates:
        gap = abs(one.context - context), abs(one.prompt - prompt)
        rank = (one.context < context, *gap, one.depth, -one.runs, one.id)
        key = (one.model, one.name, one.file, one.engine)
        if key not in nearest or rank < nearest[key][0]:
            nearest[key] = (rank, one)
    return [one for _, one in nearest.values()]


def usual(candidates: Iterable[Candidate]) -> tuple[int, int]:
    """The context and prompt that most models were measured at; the least among equals, 0 where there are none."""
    seen = {(one.model, one.context, one.prompt) for one in candidates if one.basis is Basis.MEASURED}
    counted = Counter((context, prompt) for _, context, prompt in seen)
    return min(counted, key=lambda way: (-counted[way], *way), default=(0, 0))


def reasons(candidate: Candidate, query: Query) -> list[Reason]:
    """How a candidate stands to each limit."""
    found = []
    if query.context is not None:
        found.append(_reason("context", candidate.made_for, least=query.context))
    if query.memory_bytes is not None:
        memory = _reason("memory", candidate.memory, most=query.memory_bytes)
        found.append(_at(memory, candidate.context, query.context))
    if query.decode is not None:
        found.append(_reason("decode", candidate.decode, least=query.decode))
    if query.ttft_s is not None:
        ttft = _reason("ttft", candidate.ttft, most=query.ttft_s)
        found.append(_at(ttft, candidate.prompt, query.prompt))
    return found


def _at(reason: Reason, measured: int, asked: int | None) -> Reason:
    """A cost that grows: it may be too much for more than was measured, and enough for less."""
    if asked is None or asked == measured:
        return reason
    doubtful = Fit.YES if asked > measured else Fit.NO
    return Reason(what=reason.what, fit=Fit.UNSURE, text=reason.text) if reason.fit is doubtful else reason


def overall(found: Sequence[Reason]) -> Fit:
    """How a candidate stands to all limits: as to the worst."""
    fits = {reason.fit for reason in found}
    return Fit.NO if Fit.NO in fits else Fit.UNSURE if Fit.UNSURE in fits else Fit.YES


def common_scale(candidates: Iterable[Candidate], subject: Subject) -> str:
    """The scale that scores most models on a subject, by name among equals; empty where there is none."""
    pairs = {(found.model, found.scores[subject].scale) for found in candidates if subject in found.scores}
    counted = Counter(scale for _, scale in pairs)
    return min(counted, key=lambda scale: (-counted[scale], scale), default="")


def _reason(what: CostName, cost: Cost | None, *, most: float | None = None, least: float | None = None) -> Reason:
    if cost is None:
        return Reason(what=what, fit=Fit.UNSURE, text=_UNKNOWN)
    fit = at_most(cost, most) if most is not None else at_least(cost, least or 0.0)
    return Reason(what=what, fit=fit, text=cost.text)


def at_most(cost: Cost, limit: float) -> Fit:
    """Whether a number is no more than a limit.

    >>> at_most(Cost(value=3, low=2, high=4, text=""), 3.5)
    <Fit.UNSURE: 'unsure'>
    """
    if cost.low is None or cost.high is None:
        return Fit.NO if cost.value > limit else Fit.UNSURE
    return Fit.YES if cost.high <= limit else Fit.NO if cost.low > limit else Fit.UNSURE


def at_least(cost: Cost, limit: float) -> Fit:
    """Whether a number is no less than a limit."""
    if cost.low is None or cost.high is None:
        return Fit.NO if cost.value < limit else Fit.UNSURE
    return Fit.YES if cost.low >= limit else Fit.NO if cost.high < limit else Fit.UNSURE


def _rank(candidate: Candidate, fit: Fit, scale: str, subject: Subject) -> tuple[bool, bool, float, int, str]:
    score = candidate.scores.get(subject)
    value = score.value if score is not None and score.scale == scale else -1.0
    return fit is Fit.UNSURE, candidate.basis is Basis.PREDICTED, -value, -candidate.params, candidate.id


def _choice(candidate: Candidate, found: list[Reason], scale: str, subject: Subject) -> Choice:
    score = candidate.scores.get(subject)
    told = Fit.YES if score is not None and score.scale == scale else Fit.UNSURE
    why = [*found, Reason(what="score", fit=told, text=_UNKNOWN if score is None else score.text)]
    return Choice(
        id=candidate.id,
        name=candidate.name,
        basis=candidate.basis,
        conditions=candidate.conditions,
        file=candidate.file,
        engine=candidate.engine,
        fit=overall(found),
        reasons=why,
    )
