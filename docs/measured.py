"""The page of what the project's own machine measured, made of the results that come with the package."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from slm_atlas.insights.capability import capability
from slm_atlas.insights.claims import Data, Evidence, Verdict, all_claims, findings, written
from slm_atlas.insights.frame import PAPER_TOKENS, Dataset, read_dataset, rows
from slm_atlas.report.markup import markdown
from slm_atlas.report.paper_tables import as_markdown, paper_tables, source_of
from slm_atlas.report.score_tables import score_tables
from slm_atlas.report.tables import Cell, Table
from slm_atlas.store import Store, import_jsonl
from slm_atlas.store.records import RunKind
from slm_atlas.store.reference import PREFIX, reference_names, reference_path
from slm_atlas.units import counted

FORMAT = "Q4_K_M"
"""The format of the forged models that the page shows."""
PAGE = """# What one machine measured

{note}

`slm results merge {prefix}{name}` puts all of it into your store, beside your own: {runs} runs of {files} model files.
Every number has an interval; scores are on a random half or so of each task's rows, so they estimate the published
ones. Costs are medians over fresh processes (prompt {tokens}, {tokens} generated tokens, as the survey's), of random
weights unless a model is named as a real file.

{source}"""


def measured(note: str) -> str:
    """The page, of the newest of those results."""
    name = reference_names()[-1]
    dataset = _dataset(reference_path(name))
    head = PAGE.format(
        note=note,
        prefix=PREFIX,
        name=name,
        runs=len(dataset.runs),
        files=len(dataset.artifacts),
        tokens=PAPER_TOKENS,
        source=markdown(source_of(dataset)),
    )
    scores = [f"### {table.title}\n\n{_table(table)}" for table in score_tables(capability(dataset)) if table.lines]
    costs = [as_markdown(table, "") for table in paper_tables(_as_the_survey(dataset)) if table.name == "costs"]
    claims = ["## The survey's claims, on these measurements", "\n".join(_claims(dataset))]
    return "\n\n".join([head, "## What a real model can do", *scores, "## What models cost", *costs, *claims]) + "\n"


def _dataset(path: Path) -> Dataset:
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "store.sqlite") as store:
        import_jsonl(store, path)
        return read_dataset(store)


def _as_the_survey(dataset: Dataset) -> Dataset:
    """The cost runs with the survey's prompt and answer in its usual format, and those of real files."""
    files = dataset.artifacts
    runs = [
        run
        for run in dataset.runs
        if run.kind is RunKind.BENCH
        and all(run.settings.get(name, PAPER_TOKENS) == PAPER_TOKENS for name in ("n_prompt", "n_gen"))
        and (files[run.artifact].quantization == FORMAT or not files[run.artifact].forged)
    ]
    return dataset._replace(runs=runs)


def _table(table: Table) -> str:
    """A table of the report, in Markdown."""
    lines = [[markdown(name) for name in table.columns], ["---"] * len(table.columns)]
    lines += [[markdown(_cell(cell)) for cell in line] for line in table.lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(cell: Cell) -> str:
    return f"{cell.text} ({', '.join(cell.more)})" if cell.more else cell.text


def _claims(dataset: Dataset) -> Iterator[str]:
    """What the measurements say of each claim that they speak to."""
    evidence = Evidence(dataset=dataset, rows=rows(dataset))
    for found in findings(all_claims(), evidence, Data.MINE):
        if found.verdict is not Verdict.NO_DATA:
            effect = f" ({written(found.effect, found.form)}, {counted(found.n, found.unit)})" if found.effect else ""
            told = f"{markdown(found.claim.sentence)} {markdown(found.reason)}"
            yield f"- **{found.claim.id} {found.verdict}**{effect}: {told}"
