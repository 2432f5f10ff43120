"""Tables for a paper: costs and scores in Markdown and LaTeX, a line a model, a column a metric with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from slm_atlas import stats, units
from slm_atlas.errors import UserError
from slm_atlas.insights import frame
from slm_atlas.insights.differences import differences
from slm_atlas.insights.frame import Dataset, Row
from slm_atlas.insights.scores import Score
from slm_atlas.report.citing import cite, sentence
from slm_atlas.report.files import write
from slm_atlas.report.markup import latex, markdown
from slm_atlas.stats import Estimate
from slm_atlas.store.db import Attempt
from slm_atlas.units import MIB

MISSING = "–"
"""What stands where there is no number; never a zero."""


class Cell(NamedTuple):
    """A number and its interval, or words."""

    text: str
    """What is read first."""
    more: str = ""
    """The interval, and the n of a score; smaller in LaTeX."""


class PaperTable(NamedTuple):
    """A table, in no markup yet."""

    name: str
    """The name of its files."""
    caption: str
    """What it shows, in a sentence or two."""
    columns: list[str]
    """Headings."""
    words: int
    """How many of the columns, the first ones, are words; the others are numbers."""
    lines: list[list[Cell]]
    """A cell a column."""


def paper_tables(dataset: Dataset) -> list[PaperTable]:
    """The tables of costs and of scores; one without lines is left out."""
    found = frame.rows(dataset)
    return [table for table in (_costs(found), _scores(found)) if table.lines]


_COSTS: dict[str, tuple[str, Callable[[float], str]]] = {
    "prefill_tokens_per_s": ("Prefill (tokens/s)", units.format_rate),
    "decode_tokens_per_s": ("Decode (tokens/s)", units.format_rate),
    "ttft_s": ("First token (ms)", lambda seconds: f"{1e3 * seconds:.3g}"),
    "peak_rss_bytes": ("Peak memory (MiB)", lambda size: f"{size / MIB:,.0f}"),
    "decode_token_j": ("Decode (J/token)", "{:.3g}".format),
}
"""Heading and form of each metric; one that nobody measured has no column."""


def _costs(rows: Sequence[Row]) -> PaperTable:
    tried = [row for row in rows if row.settings]
    metrics = [metric for metric in _COSTS if any(metric in row.metrics for row in tried)]
    numbers = [
        [*(_number(row.metrics.get(metric), _COSTS[metric][1]) for metric in metrics), Cell(str(row.n_runs))]
        for row in tried
    ]
    caption = (
        f"Costs: medians over fresh processes, with {stats.LEVEL:.0%} intervals between order statistics; "
        "a dash is a number that was not measured."
    )
    headings = [*(_COSTS[metric][0] for metric in metrics), "Runs"]
    return _table("costs", caption, headings, tried, numbers, differences(tried))


def _scores(rows: Sequence[Row]) -> PaperTable:
    files = list({(row.artifact, row.host, row.compute): row for row in rows if row.scores}.values())
    known = {task: score for row in reversed(files) for task, score in row.scores.items()}
    numbers = [[_score(row.scores.get(task)) for task in known] for row in files]
    own = [task for task, score in known.items() if not score.comparable]
    caption = f"Scores with {stats.LEVEL:.0%} intervals over items (Wilson's for right or wrong), and how many."
    caption += f" Not comparable with published scores: {', '.join(own)}." if own else ""
    headings = [_heading(score) for score in known.values()]
    return _table("scores", caption, headings, files, numbers, differences(files, settings=False))


def _table(
    name: str,
    caption: str,
    headings: list[str],
    rows: Sequence[Row],
    numbers: Sequence[list[Cell]],
    apart: Sequence[str | None],
) -> PaperTable:
    """A table whose lines open with the model, and with what tells it from the others where anything does."""
    words = [_identity(row) for row in rows]
    columns = ["Model", "Format"]
    if any(apart):
        columns.append("Settings")
        words = [[*cells, Cell(told or MISSING)] for cells, told in zip(words, apart, strict=True)]
    lines = [[*left, _params(row), *right] for left, row, right in zip(words, rows, numbers, strict=True)]
    return PaperTable(name, caption, [*columns, "Parameters", *headings], len(columns), lines)


def _heading(score: Score) -> str:
    unit = "%" if score.is_share else score.metric.replace("_", " ")
    return f"{score.task} ({unit})"


def _identity(row: Row) -> list[Cell]:
    name = f"{row.name} (random weights)" if row.forged else row.name
    return [Cell(name), Cell(f"{row.quantization} in {row.compute}" if row.compute else row.quantization)]


def _params(row: Row) -> Cell:
    return Cell(MISSING if row.params is None else units.format_count(row.params))


def _number(estimate: Estimate | None, shown: Callable[[float], str]) -> Cell:
    if estimate is None:
        return Cell(MISSING)
    if estimate.low is None or estimate.high is None:
        return Cell(shown(estimate.value))
    return Cell(shown(estimate.value), f"[{shown(estimate.low)}, {shown(estimate.high)}]")


def _score(score: Score | None) -> Cell:
    if score is None:
        return Cell(MISSING)
    found = _number(score.estimate, (lambda share: f"{100 * share:.1f}") if score.is_share else "{:.3g}".format)
    return found._replace(more=f"{found.more} n = {score.estimate.n}".strip())


def as_markdown(table: PaperTable, source: str) -> str:
    """The table in Markdown, its caption and source below it."""
    rule = ["---" if place < table.words else "---:" for place in range(len(table.columns))]
    lines = [[markdown(name) for name in table.columns], rule]
    lines += [[markdown(f"{cell.text} {cell.more}") for cell in line] for line in table.lines]
    rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([*rows, "", markdown(table.caption), "", markdown(source), ""])


def as_latex(table: PaperTable, source: str) -> str:
    r"""The table as a `tabular` of the package booktabs, to be put into a `table`; caption and source as comments."""
    head = [f"% {latex(table.caption)}", f"% {latex(source)}", r"% \usepackage{booktabs}, \usepackage[T1]{fontenc}"]
    begin = rf"\begin{{tabular}}{{{'l' * table.words}{'r' * (len(table.columns) - table.words)}}}"
    lines = [" & ".join(map(_latex_cell, line)) + r" \\" for line in table.lines]
    headings = " & ".join(map(latex, table.columns)) + r" \\"
    return "\n".join([*head, begin, r"\toprule", headings, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}", ""])


def _latex_cell(cell: Cell) -> str:
    return latex(cell.text) + (rf" {{\scriptsize {latex(cell.more)}}}" if cell.more else "")


def write_tables(dataset: Dataset, folder: Path, *, source: str) -> list[Path]:
    """Write each table as `NAME.md` and `NAME.tex`; none where nothing was measured.

    Args:
        dataset: what was measured.
        folder: where to; made if it is missing.
        source: names the measurements; below the Markdown, a comment of the LaTeX.

    Raises:
        UserError: the folder cannot be written.
    """
    paths = []
    for table in paper_tables(dataset):
        for ending, text in (("md", as_markdown(table, source)), ("tex", as_latex(table, source))):
            path = folder / f"{table.name}.{ending}"
            try:
                write(path, text.encode())
            except OSError as error:
                raise UserError(f"{path} cannot be written: {error.strerror}.", "another folder") from error
            paths.append(path)
    return paths


def source_of(dataset: Dataset) -> str:
    """The citation of a dataset's runs, in a sentence; empty where there are none."""
    if not dataset.runs:
        return ""
    attempts = [Attempt(run, dataset.samples.get(run.key, [])) for run in dataset.runs]
    return sentence(cite(attempts, dataset.artifacts, dataset.hosts))
