"""The candidates for a device: every file measured on a machine, and the catalogue's other models as predicted for it.

A score belongs to a model whatever machine it was found on. One's own evaluations come before the survey's, whose
Figure 5 was read off its picture; the two are different scales and never mixed.
"""

from __future__ import annotations

import hashlib
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from slm_atlas import units
from slm_atlas.advisor.predict import CONTEXT, Like, Predicted, base, like, predict
from slm_atlas.advisor.recommend import Basis, Candidate, Cost, Score, Subject
from slm_atlas.catalog import models, paper
from slm_atlas.insights.domains import DOMAINS
from slm_atlas.insights.frame import PAPER_TOKENS, Row
from slm_atlas.insights.scores import Score as Scored
from slm_atlas.stats import Estimate

TASKS: dict[Subject, frozenset[str]] = {
    Subject.COMMONSENSE: frozenset(("smoke_commonsense", *DOMAINS["commonsense"])),
    Subject.PROBLEM_SOLVING: frozenset(DOMAINS["problem solving"]),
    Subject.MATHS: frozenset(("smoke_arithmetic", *DOMAINS["mathematics"])),
}
"""The tasks of each subject: the survey's domains, and the bundled suite's."""

_SURVEY = {
    Subject.COMMONSENSE: "commonsense",
    Subject.PROBLEM_SOLVING: "problem_solving",
    Subject.MATHS: "math",
}
"""The survey's names of the subjects, in Figure 5."""


def candidates(rows: Sequence[Row]) -> list[Candidate]:
    """Every file that was measured, and for each machine the models that were not; without numbers, of no machine.

    Args:
        rows: as `insights.frame.rows` gives them.
    """
    scores = _scores(rows)
    machines = list(dict.fromkeys(row.host for row in rows if row.settings and row.metrics)) or [""]
    return [found for machine in machines for found in _of(machine, rows, scores)]


def main_machine(found: Iterable[Candidate]) -> str:
    """The machine on which most was measured; the first among equals, empty where there is none."""
    counted = Counter(each.machine for each in found if each.basis is Basis.MEASURED)
    return max(counted, key=lambda machine: counted[machine], default="")


def row_id(row: Row) -> str:
    """What names a row for as long as its file, machine, engine and settings stay."""
    way = (row.artifact, row.host, row.engine, sorted(row.settings.items()))
    return hashlib.sha256(str(way).encode()).hexdigest()[:12]


def predicted_id(machine: str, model_id: str) -> str:
    """What names a prediction."""
    return f"{model_id}-{machine[:6] or 'nowhere'}"


def conditions(settings: Mapping[str, Any]) -> str:
    """How costs were measured, in a few words; empty where they were not."""
    if not settings:
        return ""
    depth = f" after {settings['depth']} tokens" if settings.get("depth") else ""
    return f"prompt of {settings.get('n_prompt', PAPER_TOKENS)}{depth}, context of {settings.get('context', CONTEXT)}"


def _of(machine: str, rows: Sequence[Row], scores: Mapping[str, dict[str, Score]]) -> list[Candidate]:
    here = [row for row in rows if row.host == machine and row.settings and row.metrics]
    seen = {row.model_id for row in here}
    chosen = base(here)
    others = predict(chosen, [model for model in models() if model.id not in seen and model.open_weights])
    way = like(chosen)
    return [*(_measured(row, scores) for row in here), *(_predicted(machine, each, way, scores) for each in others)]


def _measured(row: Row, scores: Mapping[str, dict[str, Score]]) -> Candidate:
    model, own = row.model_id or row.model, _own(row)
    begin = row.metrics.get("ttft_s") or row.metrics.get("prefill_s")
    return Candidate(
        id=row_id(row),
        model=model,
        name=f"{row.name} {row.quantization}",
        machine=row.host,
        basis=Basis.MEASURED,
        params=row.params or 0,
        conditions=conditions(row.settings),
        file=f"file {row.artifact[:8]}, {'random' if row.forged else 'real'} weights",
        engine=engine_name(row.engine),
        context=int(row.settings.get("context") or 0),
        prompt=_prompt(row.settings),
        depth=int(row.settings.get("depth") or 0),
        runs=row.n_runs,
        made_for=_made_for(row.model_id),
        memory=_cost(row.metrics.get("peak_rss_bytes"), units.format_bytes),
        decode=_cost(row.metrics.get("decode_tokens_per_s"), units.format_rate, " tok/s"),
        ttft=_cost(begin, units.format_seconds),
        scores={**scores.get(model, {}), **own},
    )


def _predicted(machine: str, found: Predicted, way: Like, scores: Mapping[str, dict[str, Score]]) -> Candidate:
    model, metrics = found.model, found.metrics
    decode = _inverse(metrics["decode_s"]) if "decode_s" in metrics else None
    return Candidate(
        id=predicted_id(machine, model.id),
        model=model.id,
        name=f"{model.name} {way.quantization}",
        machine=machine,
        basis=Basis.PREDICTED,
        params=model.params,
        conditions=conditions(way.settings),
        context=way.context,
        prompt=_prompt(way.settings),
        made_for=_made_for(model.id),
        memory=_cost(metrics.get("peak_rss_bytes"), units.format_bytes),
        decode=_cost(decode, units.format_rate, " tok/s"),
        ttft=_cost(metrics.get("prefill_s"), units.format_seconds),
        scores=scores.get(model.id, {}),
    )


def engine_name(engine: str) -> str:
    """An engine without what it was built for: `llama-cpp-python 0.3.36, llama.cpp 0.5.0-dev`."""
    parts = engine.split(" | ")
    return parts[1] if len(parts) > 2 else parts[0]


def _prompt(settings: Mapping[str, Any]) -> int:
    return int(settings.get("n_prompt") or PAPER_TOKENS)


def _made_for(model_id: str | None) -> Cost | None:
    tokens = _contexts().get(model_id or "")
    return None if tokens is None else Cost(value=tokens, low=tokens, high=tokens, text=f"{tokens:,} tokens of context")


@cache
def _contexts() -> dict[str, int]:
    return {model.id: model.architecture.context for model in models()}


def _inverse(time: Estimate) -> Estimate:
    """A rate from a time."""
    low, high = (None if end is None else 1 / end for end in (time.high, time.low))
    return Estimate(value=1 / time.value, low=low, high=high, n=time.n, method=time.method)


def _cost(estimate: Estimate | None, shown: Callable[[float], str], unit: str = "") -> Cost | None:
    if estimate is None:
        return None
    low, high = estimate.low, estimate.high
    between = "no interval" if low is None or high is None else _between(shown(low), shown(high))
    value, low, high = (None if end is None else float(f"{end:.6g}") for end in (estimate.value, low, high))
    return Cost(value=value or 0.0, low=low, high=high, text=f"{shown(estimate.value)}{unit} ({between})")


def _between(low: str, high: str) -> str:
    return f"{low} to {high}" if low != high else "within rounding"


# ---- scores --------------------------------------------------------------------------------------------------------


def _scores(rows: Iterable[Row]) -> dict[str, dict[str, Score]]:
    """By model and subject: one's own of any of its files, else the survey's."""
    found: dict[str, dict[str, Score]] = defaultdict(dict)
    for id_, subjects in survey_scores().items():
        found[id_].update(subjects)
    for row in rows:
        own = {subject: _of_file(score, row) for subject, score in _own(row).items()}
        found[row.model_id or row.model].update(own)
    return found


def _own(row: Row) -> dict[str, Score]:
    """The scores measured of a file, by subject; anything: the tasks of the subjects, or where there are none, all."""
    found = {}
    every = frozenset[str]().union(*TASKS.values()) & row.scores.keys()
    for subject, tasks in ((Subject.ANY, every or frozenset(row.scores)), *TASKS.items()):
        asked = [row.scores[task] for task in sorted(tasks & row.scores.keys())]
        chosen = [score for score in asked if score.is_share]
        if chosen:
            found[str(subject)] = _mean(chosen)
    return found


def _mean(scores: Sequence[Scored]) -> Score:
    """The mean of tasks; its interval, the mean of theirs, is wider than it need be."""
    found = [score.estimate for score in scores]
    value = statistics.fmean(estimate.value for estimate in found)
    low = statistics.fmean(0.0 if estimate.low is None else estimate.low for estimate in found)
    high = statistics.fmean(1.0 if estimate.high is None else estimate.high for estimate in found)
    tasks = ", ".join(score.task for score in scores)
    return Score(value=value, scale=f"measured: {tasks}", text=f"{value:.0%} ({low:.0%} to {high:.0%}), {tasks}")


def _of_file(score: Score, row: Row) -> Score:
    return Score(value=score.value, scale=score.scale, text=f"{score.text}, of its {row.quantization} file")


@cache
def survey_scores() -> dict[str, dict[str, Score]]:
    """The survey's scores by model id and subject: those points of its Figure 5 whose model is known for certain."""
    ids = {_plain(name): model.id for model in models() for name in (model.name, model.id)}
    found: dict[str, dict[str, Score]] = defaultdict(dict)
    for subject, panel in _SURVEY.items():
        for point in paper.figure(5)[panel]["points"]:
            id_ = ids.get(_plain(point["inferred_model"] or ""))
            if id_ is not None:
                found[id_][subject] = _survey_score(f"the survey, {subject}", point["accuracy"])
    for scores in found.values():
        mean = statistics.fmean(score.value for score in scores.values())
        scores[Subject.ANY] = _survey_score("the survey, mean of three subjects", mean)
    return dict(found)


def _survey_score(scale: str, value: float) -> Score:
    return Score(value=value, scale=scale, text=f"{value:.0%}, {scale} (Figure 5; no interval)")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9.]", "", name.lower())
