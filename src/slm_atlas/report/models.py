"""What the page tells of each model: facts with their sources, its anatomy, costs, scores, and the runs behind them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from slm_atlas import units
from slm_atlas.advisor.recommend import Basis, Candidate
from slm_atlas.catalog import Model, models, runs
from slm_atlas.catalog.words import architecture_fields
from slm_atlas.errors import Outcome
from slm_atlas.insights.frame import Dataset, Row, summarise
from slm_atlas.report.anatomy import Share, drawing, shares
from slm_atlas.report.model_table import anchor, openness
from slm_atlas.report.settings import settings_text
from slm_atlas.report.tables import NOT_MEASURED, Table, cost_table, score_table
from slm_atlas.store.records import Run, RunKind
from slm_atlas.store.stops import shape


class Facts(NamedTuple):
    """Facts of one kind, and where they come from."""

    title: str
    """What they are about."""
    facts: Mapping[str, str]
    """By what they are called."""
    sources: Sequence[str]
    """Where they come from."""


class RunLine(NamedTuple):
    """A run, and what it gave."""

    id: str
    """The beginning of its key."""
    cells: Sequence[str]
    """Replicate, when it began, how long it took, how it ended, and its numbers."""


class Arm(NamedTuple):
    """The runs of one file, on one machine and engine, in one way."""

    title: str
    """File and settings."""
    where: str
    """Machine and engine."""
    runs: Sequence[RunLine]
    """Its runs, in the order they were made."""

    @property
    def n_runs(self) -> int:
        """How many."""
        return len(self.runs)


def _title(arm: Arm) -> tuple[str, str]:
    return arm.title, arm.where


class Entry(NamedTuple):
    """All that the page tells of a model."""

    anchor: str
    """Its address inside the page."""
    name: str
    """Its name."""
    params: int
    """Parameters, to draw models side by side; 0: not told."""
    facts: Sequence[Facts]
    """What the catalogue knows; empty: it is not there."""
    anatomy: Markup | None
    """Drawn to scale; None: its shape is not known."""
    shares: Sequence[Share]
    """The legend of the drawing."""
    tables: Sequence[Table]
    """What it costs and can do, as measured."""
    predicted: Sequence[Candidate]
    """What it would cost, where it was not measured."""
    arms: Sequence[Arm]
    """The runs behind the numbers."""


RUN_COLUMNS = ("Run", "No.", "Began (UTC)", "Took", "Ended", "Prefill", "Decode", "Peak memory", "Score")


def entries(dataset: Dataset, rows: Sequence[Row], candidates: Sequence[Candidate]) -> list[Entry]:
    """Every model of the catalogue, and every other file that was measured, by name."""
    by_model: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_model[row.model_id or row.model].append(row)
    predicted: dict[str, list[Candidate]] = defaultdict(list)
    for found in candidates:
        if found.basis is Basis.PREDICTED:
            predicted[found.model].append(found)
    arms = _by_arm(dataset)
    known = {model.id: model for model in models()}
    names = [*known, *(name for name in by_model if name not in known)]
    told = [_entry(dataset, name, known.get(name), by_model[name], predicted[name], arms) for name in names]
    return sorted(told, key=lambda entry: entry.name.lower())


_Arms = Mapping[tuple[str, str, str, str], list[Run]]


def _by_arm(dataset: Dataset) -> _Arms:
    """Runs by file, machine, engine and settings; a task's by file and machine alone, as its scores are."""
    found: dict[tuple[str, str, str, str], list[Run]] = defaultdict(list)
    for run in dataset.runs:
        way = "" if run.kind is RunKind.EVAL else f"{run.kind}, {settings_text(shape(run.settings))}"
        found[run.artifact, run.host, run.engine, way].append(run)
    return found


def _entry(
    dataset: Dataset, name: str, model: Model | None, rows: Sequence[Row], predicted: Sequence[Candidate], arms: _Arms
) -> Entry:
    files = {(row.artifact, row.host) for row in rows}
    own = sorted((_arm(dataset, key, runs) for key, runs in arms.items() if key[:2] in files), key=_title)
    arch = None if model is None else model.architecture
    return Entry(
        anchor=anchor(name),
        name=name if model is None else model.name,
        params=model.params if model else max((row.params or 0 for row in rows), default=0),
        facts=[] if model is None else facts(model),
        anatomy=None if arch is None else drawing(arch, name),
        shares=() if arch is None else shares(arch),
        tables=[table for table in (cost_table(rows), score_table(rows)) if table.lines],
        predicted=predicted,
        arms=own,
    )


def facts(model: Model) -> list[Facts]:
    """What the catalogue knows of a model."""
    architecture = {name.strip(): str(value) for name, value in architecture_fields(model.architecture).items()}
    training = model.training
    data = {
        "tokens": _tokens(training.tokens_billion, model.params),
        "note": training.tokens_note or "",
        "data sets": ", ".join(training.datasets) or "not named",
        "data": openness(model),
        "tuned on": ", ".join(training.finetune_datasets),
        "algorithms": ", ".join(training.algorithms),
    }
    found = (("Identity", _identity(model), "identity"), ("Architecture", architecture, "architecture"))
    return [
        *(Facts(title, kept, _sources(model, section)) for title, kept, section in found),
        Facts("Training", {name: value for name, value in data.items() if value}, _sources(model, "training")),
        *([Facts("Doubts", {str(n): doubt for n, doubt in enumerate(model.doubts, 1)}, ())] if model.doubts else []),
    ]


_SECTIONS = ("architecture", "training")


def _identity(model: Model) -> dict[str, str]:
    tuned = f", from {model.base_model}" if model.base_model else ""
    return {
        "id": model.id,
        "family": f"{model.family}, by {model.organization}",
        "released": model.release,
        "licence": f"{model.license}{'' if model.open_weights else ', weights not open'}",
        "variant": f"{model.variant}{tuned}",
        "parameters": f"{units.format_count(model.params)} ({model.params:,}, {model.verified})",
        "runs in": str(runs(model)),
    }


def _tokens(billions: float | None, params: int) -> str:
    if billions is None:
        return "not published"
    return f"{units.format_count(billions * 1e9)}, {billions * 1e9 / params:,.0f} a parameter"


def _sources(model: Model, section: str) -> list[str]:
    """The sources of a section and of its fields; identity is all that is of no other."""
    own = {name: source for name, source in model.sources.items() if _section(name) == section}
    return [f"{'' if name == section else f'{name}: '}{source.kind}: {source.where}" for name, source in own.items()]


def _section(name: str) -> str:
    first = name.split(".")[0]
    return first if first in _SECTIONS else "identity"


def _arm(dataset: Dataset, key: tuple[str, str, str, str], found: Sequence[Run]) -> Arm:
    artifact, host, engine, settings = key
    file = dataset.artifacts[artifact]
    title = f"{file.name} {file.quantization}, {settings or 'tasks'}"
    build = engine.partition(" | CPU")[0]  # which instructions it was built for stands at the machine
    where = f"{dataset.hosts[host].cpu} (machine {host}); {build}; file {artifact[:12]}"
    return Arm(title, where, [_run(run, dataset) for run in found])


def _run(run: Run, dataset: Dataset) -> RunLine:
    ended_well = run.outcome is Outcome.OK
    task = run.settings.get("task")
    numbers = summarise(run, dataset.samples.get(run.key, [])) if ended_well and task is None else {}
    shown = {"prefill_s": units.format_seconds, "decode_s": units.format_seconds, "peak_rss_bytes": units.format_bytes}
    told = [form(numbers[name]) if name in numbers else NOT_MEASURED for name, form in shown.items()]
    score = str(task) if task is not None else NOT_MEASURED
    took, began = units.format_seconds(run.elapsed_s), run.started_at[:19].replace("T", " ")
    return RunLine(run.key[:12], [str(run.replicate + 1), began, took, str(run.outcome), *told, score])
