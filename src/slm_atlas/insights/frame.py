"""From stored samples to one row a model: each number with its interval and n, each failure with its cause.

A run is summarised by the median of each of its series; the runs (fresh processes) of a row are the sample its
estimates stand on. A run that did not end well gives no number, and is kept in sight as a failure.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from slm_atlas import stats
from slm_atlas.errors import Outcome
from slm_atlas.insights.scores import Score, score
from slm_atlas.insights.sustained import PREFIX, Sustained, sustained
from slm_atlas.stats import Estimate
from slm_atlas.store.records import Artifact, Host, Run, RunKind, Sample
from slm_atlas.store.stops import Design, Stop, arm_id, design_of, judge, shape

if TYPE_CHECKING:
    from slm_atlas.store.db import Store

PAPER_TOKENS = 50
"""Tokens of the paper's prompts and answers: what settings mean that do not say."""

ENGINE_PARTS = ("model_bytes", "kv_bytes", "compute_bytes", "output_bytes")
"""What the engine allocates for a model; their sum is `engine_bytes`."""

MIN_TOKENS = 20
"""Fewer decoded tokens than this have no 95th percentile."""

_FLOATS = ("F32", "F16", "BF16")
"""Labels that lose nothing to speak of."""


class Dataset(NamedTuple):
    """All that a report is made of, as plain values."""

    artifacts: dict[str, Artifact]
    """Model files by sha256."""
    hosts: dict[str, Host]
    """Machines by id."""
    runs: list[Run]
    """All runs, whatever their outcome."""
    samples: dict[str, list[Sample]]
    """The numbers of a run, by its key."""
    designs: Mapping[str, Design] = MappingProxyType({})
    """What is asked of a run's arm now, by the run's key; of other runs counts what was asked when they were made."""

    @property
    def real(self) -> Dataset:
        """Without the runs of the fake engine, whose times are made up, where there are others."""
        runs = [run for run in self.runs if not run.engine.startswith("fake ")]
        return self._replace(runs=runs) if runs else self


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """The base of a row's values."""


class Failure(Struct, frozen=True):
    """A run that gave no number."""

    kind: RunKind
    """Cost, capability or profile."""
    replicate: int
    """Which repetition."""
    task: str | None
    """The task, of a capability run."""
    outcome: Outcome
    """How it ended."""
    cause: str
    """Why."""


class Row(Struct, frozen=True):
    """One file measured on one machine, by one engine, in one way."""

    artifact: str
    """sha256 of the file."""
    name: str
    """The name shown."""
    architecture: str
    """`general.architecture` of the file."""
    params: int | None
    """Parameters; None behind a server, which does not say."""
    quantization: str
    """The label of the file's mix of types."""
    forged: bool
    """Random weights: costs are real, capability is not."""
    host: str
    """Id of the machine."""
    engine: str
    """Engine, version and build."""
    settings: dict[str, Any]
    """The settings all its cost runs share; empty if only capability was measured."""
    n_runs: int
    """Cost runs that ended well."""
    metrics: dict[str, Estimate]
    """Estimates by metric, in the unit the name ends with. A metric no run gave is absent, never zero."""
    scores: dict[str, Score]
    """Scores by task, of several runs as `by_weight` has them. Empty for random weights."""
    failures: tuple[Failure, ...]
    """The runs that gave no number."""
    stop: Stop | None = None
    """Why there are no more cost runs; None where nobody said how many there should be."""
    disturbed: int = 0
    """Of the cost runs that count, those that something disturbed."""
    set_aside: int = 0
    """Cost runs that do not count, since their block was disturbed and repeated; the store keeps them."""
    knee: dict[str, Any] | None = None
    """How its number of threads was found, where it was looked for."""
    sustained: tuple[Sustained, ...] = ()
    """What each run with a sustained pass says of it; their medians over runs stand among the metrics."""
    requantized_from: str | None = None
    """The labels its weights had before, one after the other; None: it was not made from another file here."""
    model_id: str | None = None
    """The catalogue's model, where it matches one."""
    compute: str | None = None
    """The precision its scores were computed in; None: as the file is stored."""

    @property
    def model(self) -> str:
        """The model's name, without what its file was made from."""
        return self.name.removesuffix(f" (from {self.requantized_from})")

    @property
    def losses(self) -> tuple[str, ...]:
        """The labels whose roundings its weights went through, where there is more than its own; else empty."""
        before = self.requantized_from.split(", ") if self.requantized_from else []
        lossy = tuple(dict.fromkeys(each for each in (*before, self.quantization) if each not in _FLOATS))
        return lossy if before and lossy != (self.quantization,) else ()


def read_dataset(store: Store) -> Dataset:
    """All that a store holds."""
    runs = list(store.runs())
    samples = store.samples_of([run.key for run in runs])
    return Dataset(store.artifacts(), store.hosts(), runs, samples)


def rows(dataset: Dataset) -> list[Row]:
    """One row a (file, machine, engine, settings), by parameters and name.

    Capability belongs to the file: its scores stand on each row of the file on the machine they were measured on, and
    on a row of their own where no cost was measured, or where they were computed in another precision than stored.
    """
    costs, evals = _grouped(dataset.runs)
    found = [_row(dataset, *key, runs, evals.get((*key[:2], None), [])) for key, runs in costs.items()]
    measured = {(artifact, host, None) for artifact, host, *_ in costs}
    for artifact, host, compute in evals.keys() - measured:
        runs = evals[artifact, host, compute]
        newest = max(runs, key=lambda run: run.started_at)
        row = _row(dataset, artifact, host, newest.engine, b"{}", [], runs)
        found.append(msgspec.structs.replace(row, compute=compute))
    return sorted(found, key=_order)


def _order(row: Row) -> tuple[int, str, str, str, str, tuple[int, ...], int]:
    how = tuple(int(row.settings.get(name) or 0) for name in ("context", "depth", "n_prompt", "n_gen"))
    return (row.params or 0, row.name, row.quantization, row.compute or "", row.host, how, row.n_runs)


_Costs = dict[tuple[str, str, str, bytes], list[Run]]
_Evals = dict[tuple[str, str, str | None], list[Run]]


def _grouped(runs: Iterable[Run]) -> tuple[_Costs, _Evals]:
    """Cost runs by file, machine, engine and shape; capability runs by file, machine and precision."""
    costs: _Costs = defaultdict(list)
    evals: _Evals = defaultdict(list)
    for run in runs:
        if run.kind is RunKind.EVAL:
            evals[run.artifact, run.host, precision(run)].append(run)
        elif run.kind is RunKind.BENCH:
            key = msgspec.json.encode(shape(run.settings), order="sorted")
            costs[run.artifact, run.host, run.engine, key].append(run)
    return costs, evals


def precision(run: Run) -> str | None:
    """The precision a capability run was computed in; None: as the file is stored."""
    if run.engine.startswith("hf |"):
        return run.engine.split(" | ")[-1].partition(",")[0]
    compute = run.settings.get("compute")
    return None if compute is None else str(compute)


def _row(
    dataset: Dataset, sha256: str, host: str, engine: str, key: bytes, costs: Sequence[Run], evals: Sequence[Run]
) -> Row:
    artifact = dataset.artifacts[sha256]
    ended_well = [run for run in costs if run.outcome is Outcome.OK]
    samples = [dataset.samples.get(run.key, []) for run in ended_well]
    passes = [sustained(found, run.replicate) for run, found in zip(ended_well, samples, strict=True)]
    summaries = [
        summarise(run, found) | (of_pass.summary() if of_pass else {})
        for run, found, of_pass in zip(ended_well, samples, passes, strict=True)
    ]
    return Row(
        artifact=sha256,
        name=artifact.name,
        architecture=artifact.architecture,
        params=artifact.params,
        quantization=artifact.quantization,
        forged=artifact.forged,
        host=host,
        engine=engine,
        settings=msgspec.json.decode(key),
        n_runs=len(ended_well),
        metrics=_estimates(summaries),
        scores={} if artifact.forged else _scores(evals, dataset.samples),
        failures=tuple(failure(run) for run in (*costs, *evals) if run.outcome is not Outcome.OK),
        stop=_stop(dataset, costs),
        disturbed=sum(bool(run.notes.get("disturbed")) for run in ended_well),
        set_aside=sum("repeats" in run.notes for run in ended_well),
        knee=next((run.notes["knee"] for run in reversed(costs) if "knee" in run.notes), None),
        requantized_from=artifact.requantized_from,
        sustained=tuple(of_pass for of_pass in passes if of_pass),
        model_id=artifact.model_id,
    )


def _stop(dataset: Dataset, runs: Sequence[Run]) -> Stop | None:
    """What ended an arm, by what is asked of it now, or else was when its newest run was made."""
    asked = {run.started_at: design for run in runs if (design := _design(dataset, run)) is not None}
    if not asked:
        return None
    design = asked[max(asked)]
    spent_s = 0.0 if design.budget_s is None else _spent_s(dataset, design.plan)
    own, base = _by_replicate(dataset, runs), None
    if design.reference not in (None, arm_id(runs[0].artifact, runs[0].settings)):
        here = [run for run in dataset.runs if (run.host, run.engine) == (runs[0].host, runs[0].engine)]
        others = [run for run in here if run.kind is RunKind.BENCH]
        first = [run for run in others if arm_id(run.artifact, run.settings) == design.reference]
        base = _by_replicate(dataset, first)
    return judge(design, own, base, made=len(runs), spent_s=spent_s)


def _spent_s(dataset: Dataset, plan: str) -> float:
    """Seconds that the runs of a plan took: as far as they are here, or as far as one of them knew."""
    runs = [run for run in dataset.runs if (found := _design(dataset, run)) and found.plan == plan]
    here = sum(run.elapsed_s + float(run.notes.get("repeats", {}).get("elapsed_s", 0)) for run in runs)
    return max(here, *(float(run.notes.get("spent_s", 0)) for run in runs))


def _design(dataset: Dataset, run: Run) -> Design | None:
    return dataset.designs.get(run.key) or design_of(run)


def _by_replicate(dataset: Dataset, runs: Iterable[Run]) -> dict[int, dict[str, float]]:
    ended_well = [run for run in runs if run.outcome is Outcome.OK]
    return {run.replicate: summarise(run, dataset.samples.get(run.key, [])) for run in ended_well}


def summarise(run: Run, samples: Iterable[Sample]) -> dict[str, float]:
    """One number a metric: the median within the run, and what is derived from it.

    Derived: `prefill_tokens_per_s`, `decode_tokens_per_s`, `decode_p95_s` (95th percentile of the tokens), and
    `engine_bytes` (model, KV cache, compute and output buffers together), each only where all it is derived from was
    measured. The series of a sustained pass have no median that means anything: see `insights/sustained.py`.
    """
    series: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        if not sample.metric.startswith(PREFIX):
            series[sample.metric].append(sample.value)
    summary = {metric: statistics.median(values) for metric, values in series.items()}
    if summary.get("prefill_s"):
        summary["prefill_tokens_per_s"] = run.settings.get("n_prompt", PAPER_TOKENS) / summary["prefill_s"]
    if summary.get("decode_s"):
        summary["decode_tokens_per_s"] = 1 / summary["decode_s"]
    if len(series["decode_s"]) >= MIN_TOKENS:
        summary["decode_p95_s"] = statistics.quantiles(series["decode_s"], n=20)[-1]
    if all(part in summary for part in ENGINE_PARTS):
        summary["engine_bytes"] = sum(summary[part] for part in ENGINE_PARTS)
    return summary


def failure(run: Run) -> Failure:
    """What is shown of a run that did not end well."""
    cause = run.cause or "no cause was recorded"
    task = run.settings.get("task")
    return Failure(kind=run.kind, replicate=run.replicate, task=task, outcome=run.outcome, cause=cause)


def _estimates(summaries: Sequence[Mapping[str, float]]) -> dict[str, Estimate]:
    metrics = dict.fromkeys(metric for summary in summaries for metric in summary)
    values = {metric: [summary[metric] for summary in summaries if metric in summary] for metric in metrics}
    return {metric: stats.median_estimate(found) for metric, found in values.items()}


def by_weight(runs: Iterable[Run], samples: Mapping[str, Sequence[Sample]]) -> list[Run]:
    """Capability runs, the one that counts for its task last: that of the most items, the newest among equals.

    A try-out of a few items does not replace a whole evaluation that was made before.
    """
    return sorted(runs, key=lambda run: (len(samples.get(run.key, ())), run.started_at))


def _scores(runs: Iterable[Run], samples: Mapping[str, Sequence[Sample]]) -> dict[str, Score]:
    scores: dict[str, Score] = {}
    for run in by_weight(runs, samples):
        found = score(run, samples.get(run.key, [])) if run.outcome is Outcome.OK else None
        if found is not None:
            scores[found.task] = found
    return scores
