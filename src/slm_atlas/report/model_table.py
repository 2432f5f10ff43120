"""The table of models: a line for every file that was measured and for every other model, with all a reader may filter.

The numbers are the chooser's (`advisor.candidates`), so that the table, the chooser and the command say the same.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from slm_atlas import units
from slm_atlas.advisor.candidates import row_id, survey_scores
from slm_atlas.advisor.recommend import Basis, Candidate, Cost, Subject
from slm_atlas.catalog import Model, models
from slm_atlas.catalog.entities import datasets
from slm_atlas.insights.frame import Row
from slm_atlas.report import settings
from slm_atlas.report.tables import NOT_MEASURED, Cell


class Column(NamedTuple):
    """A column of the table."""

    key: str
    """Its name in the page's script."""
    label: str
    """Its heading."""
    shown: bool = True
    """A reader sees it before choosing columns."""


COLUMNS = (
    Column("model", "Model"),
    Column("basis", "Costs"),
    Column("params", "Parameters"),
    Column("memory", "Memory"),
    Column("decode", "Decode"),
    Column("ttft", "Answer begins"),
    Column("commonsense", "Commonsense"),
    Column("solving", "Problem solving", shown=False),
    Column("maths", "Maths", shown=False),
    Column("released", "Released"),
    Column("licence", "Licence"),
    Column("data", "Training data"),
    Column("tokens", "Training tokens", shown=False),
    Column("context", "Context", shown=False),
    Column("attention", "Attention", shown=False),
    Column("vocabulary", "Vocabulary", shown=False),
    Column("layers", "Layers", shown=False),
    Column("family", "Family", shown=False),
    Column("runs", "Runs", shown=False),
)
"""The columns, in their order; the first names the line."""

OPEN, PARTLY, NAMED, UNNAMED = "open", "partly open", "named, not open", "not named"


class Line(NamedTuple):
    """A line of the table."""

    id: str
    """Id of its candidate."""
    anchor: str
    """Where the page tells of its model."""
    machine: str
    """Id of the machine."""
    facts: Mapping[str, str]
    """What filters look at, by name; a value that is not known is empty."""
    cells: Sequence[Cell]
    """A cell a column."""


def anchor(model: str) -> str:
    """The address of a model inside the page.

    >>> anchor("qwen2-0.5b"), anchor("My <model>")
    ('model-qwen2-0.5b', 'model-2fc2c4996a')
    """
    plain = model if re.fullmatch(r"[a-z0-9.-]+", model) else hashlib.sha256(model.encode()).hexdigest()[:10]
    return f"model-{plain}"


def openness(model: Model) -> str:
    """Whether anyone can have the data a model was trained on, as far as it is named."""
    known = {entity.name: entity.open for entity in datasets()}
    found = [known.get(name, False) for name in model.training.datasets]
    if not found:
        return UNNAMED
    return OPEN if all(found) else PARTLY if any(found) else NAMED


def lines(candidates: Sequence[Candidate], rows: Sequence[Row]) -> list[Line]:
    """A line for each candidate, those measured first, small models before large ones; then all other models."""
    catalogue = {model.id: model for model in models()}
    by_id = {row_id(row): row for row in rows}
    order = sorted(candidates, key=lambda found: (found.basis is Basis.PREDICTED, found.params, found.name, found.id))
    ways = _ways(order, by_id)
    told = [_line(found, catalogue.get(found.model), by_id.get(found.id), ways.get(found.id, "")) for found in order]
    named = {found.model for found in candidates}
    return [*told, *(_not_run(model) for model in catalogue.values() if model.id not in named)]


def _ways(found: Sequence[Candidate], rows: Mapping[str, Row]) -> dict[str, str]:
    """By id, the settings that tell a candidate from others of its name that were measured at the same lengths."""
    alike: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for each in found:
        if each.id in rows:
            alike[each.machine, each.name, each.conditions].append(each.id)
    groups = [ids for ids in alike.values() if len(ids) > 1]
    told = [zip(ids, settings.apart([rows[id_].settings for id_ in ids]), strict=True) for ids in groups]
    return {id_: way for group in told for id_, way in group}


def _not_run(model: Model) -> Line:
    """A model that is neither measured nor predicted: nobody can have it, or llama.cpp does not run it."""
    bare = Candidate(
        id=model.id,
        model=model.id,
        name=model.name,
        machine="",
        basis=Basis.PREDICTED,
        params=model.params,
        scores=survey_scores().get(model.id, {}),
    )
    line = _line(bare, model, None)
    why = "llama.cpp does not run it" if model.open_weights else "its weights are not open"
    cells = [line.cells[0], Cell("not known", (why,), "not known"), *line.cells[2:]]
    return line._replace(facts={**line.facts, "basis": "not known"}, cells=cells)


def _line(found: Candidate, model: Model | None, row: Row | None, way: str = "") -> Line:
    facts = {
        "basis": str(found.basis),
        "params": str(found.params or ""),
        "memory": "" if found.memory is None else f"{found.memory.value:.0f}",
        "decode": "" if found.decode is None else f"{found.decode.value:.6g}",
        "licence": "" if model is None else model.license,
        "year": "" if model is None else model.release[:4],
        "data": "" if model is None else openness(model),
        "text": " ".join((found.name, *((model.organization, model.family) if model else ()))).lower(),
    }
    return Line(
        found.id, anchor(found.model), found.machine, facts, [*_costs(found, row, way), *_identity(model), _runs(row)]
    )


def _costs(found: Candidate, row: Row | None, way: str) -> list[Cell]:
    weights = "" if row is None else "random weights" if row.forged else "real weights"
    return [
        Cell(found.name, (weights,) if weights else (), found.name.lower()),
        Cell(str(found.basis), tuple(filter(None, (found.conditions, way))), str(found.basis)),
        Cell(units.format_count(found.params), (), found.params) if found.params else Cell(NOT_MEASURED),
        _cost(found.memory),
        _cost(found.decode),
        _cost(found.ttft),
        *(_score(found, subject) for subject in (Subject.COMMONSENSE, Subject.PROBLEM_SOLVING, Subject.MATHS)),
    ]


def _cost(cost: Cost | None) -> Cell:
    if cost is None:
        return Cell(NOT_MEASURED, ("not known",))
    value, _, rest = cost.text.partition(" (")
    return Cell(value, (rest.rstrip(")"),), cost.value)


def _score(found: Candidate, subject: Subject) -> Cell:
    score = found.scores.get(subject)
    if score is None:
        return Cell(NOT_MEASURED)
    value, *interval = re.findall(r"\d+%(?: to \d+%)?", score.text)
    whose = score.scale.partition(", ")[0].partition(":")[0]
    return Cell(value, (", ".join([*interval, whose]),), score.value)


def _identity(model: Model | None) -> list[Cell]:
    if model is None:
        return [Cell(NOT_MEASURED)] * 9
    arch, tokens = model.architecture, model.training.tokens_billion
    return [
        Cell(model.release, (), model.release),
        Cell(model.license, (), model.license.lower()),
        Cell(openness(model), (), openness(model)),
        Cell(NOT_MEASURED) if tokens is None else Cell(units.format_count(tokens * 1e9), (), tokens),
        Cell(f"{arch.context:,}", (), arch.context),
        Cell(str(arch.attention_kind), (), str(arch.attention_kind)),
        Cell(f"{arch.vocab:,}", (), arch.vocab),
        Cell(str(arch.layers), (), arch.layers),
        Cell(model.family, (model.organization,), model.family.lower()),
    ]


def _runs(row: Row | None) -> Cell:
    return Cell(NOT_MEASURED) if row is None else Cell(str(row.n_runs), (), row.n_runs)
