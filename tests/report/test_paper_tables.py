"""Tables for a paper: a line a model, each number with its interval, in Markdown and LaTeX that others can read."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from markdown_it import MarkdownIt

from slm_atlas.errors import UserError
from slm_atlas.insights.frame import Dataset
from slm_atlas.report.paper_tables import as_latex, as_markdown, paper_tables, source_of, write_tables

from .measured import MODELS, REAL, study

HOSTILE = r"[2cm]*\input{/etc/passwd}|</td><script>$x_1^2$ & 100% #1 ~`"


def cells(text: str) -> list[list[str]]:
    """The cells of the one table of a Markdown text."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    lines: list[list[str]] = []
    for token, inside in itertools.pairwise(tokens):
        if token.type == "tr_open":
            lines.append([])
        elif token.type in ("th_open", "td_open"):
            lines[-1].append("".join(child.content for child in inside.children or []))
    return lines


def latex_rows(text: str) -> list[list[str]]:
    """The cells of the rows of a `tabular`, split at what LaTeX would split at."""
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip()
    return [re.split(r"(?<!\\) & ", row.removesuffix(r"\\").strip()) for row in body.splitlines()]


def test_costs_have_a_line_a_model_and_intervals() -> None:
    costs, _ = paper_tables(study())
    heading, *lines = cells(as_markdown(costs, "source"))
    wanted = ["Prefill (tokens/s)", "Decode (tokens/s)", "Peak memory (MiB)", "Runs"]
    assert heading == ["Model", "Format", "Parameters", *wanted]
    names = {model.name + (" (random weights)" if model.forged else "") for model in MODELS}
    assert len(lines) == len(names)
    assert {line[0] for line in lines} == names
    for line in lines:
        assert re.fullmatch(r"[\d,.]+ \[[\d,.]+, [\d,.]+\]", line[4])
    pythia = next(line for line in lines if line[0].startswith("Pythia"))
    assert pythia[-1] == "4", "the run that crashed gives no number"


def test_scores_are_percent_with_n_and_the_smoke_suite_is_marked() -> None:
    _, scores = paper_tables(study())
    heading, line = cells(as_markdown(scores, "source"))
    assert line[0] == REAL.name, "random weights have no scores"
    place = heading.index("smoke_choice (%)")
    assert line[place].startswith("32.0 [")
    assert line[place].endswith("n = 25")
    assert "Not comparable with published scores" in scores.caption
    assert "smoke_choice" in scores.caption


def test_what_tells_models_apart_has_a_column() -> None:
    dataset = study((REAL,), tasks=False)
    longer = [
        msgspec.structs.replace(run, key=f"{run.key}/512", settings=run.settings | {"n_prompt": 512})
        for run in dataset.runs
    ]
    samples = dataset.samples | {run.key: dataset.samples[run.key.removesuffix("/512")] for run in longer}
    (costs,) = paper_tables(dataset._replace(runs=[*dataset.runs, *longer], samples=samples))
    heading, *lines = cells(as_markdown(costs, "source"))
    assert {line[heading.index("Settings")] for line in lines} == {"n_prompt 50", "n_prompt 512"}


def test_latex_and_markdown_say_the_same() -> None:
    for table in paper_tables(study()):
        heading, *lines = cells(as_markdown(table, "source"))
        rows = latex_rows(as_latex(table, "source"))
        assert {len(row) for row in rows} == {len(heading)}
        for line, row in zip(lines, rows, strict=True):
            shown = [re.sub(r"\{\\scriptsize (.*)\}$", r"\1", cell).replace("{[}", "[") for cell in row]
            assert [cell.replace("\\_", "_").replace("--", "–") for cell in shown] == line


def test_a_hostile_name_is_a_cell_like_any_other() -> None:
    dataset = study((MODELS[1]._replace(name=HOSTILE), *MODELS[2:]), tasks=False)
    (costs,) = paper_tables(dataset)
    heading, *lines = cells(as_markdown(costs, "source"))
    assert {len(line) for line in lines} == {len(heading)}
    assert f"{HOSTILE} (random weights)" in [line[0] for line in lines]
    text = as_latex(costs, "source")
    assert {len(row) for row in latex_rows(text)} == {len(heading)}
    assert "\\input" not in text
    assert not re.search(r"\\\\\s*[\[*]", text), "an end of a row takes no option"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_latex_compiles(tmp_path: Path) -> None:
    dataset = study((MODELS[1]._replace(name=HOSTILE), *MODELS[2:], REAL))
    tables = "\n\n".join(as_latex(table, source_of(dataset)) for table in paper_tables(dataset))
    head = r"\documentclass{article}\usepackage{booktabs}\usepackage[T1]{fontenc}\begin{document}"
    (tmp_path / "paper.tex").write_text(f"{head}\n\\small {tables}\n\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    assert (tmp_path / "paper.pdf").stat().st_size > 1000


def test_files_say_where_their_numbers_are_from(tmp_path: Path) -> None:
    dataset = study()
    paths = write_tables(dataset, tmp_path / "tables", source=source_of(dataset))
    assert [path.name for path in paths] == ["costs.md", "costs.tex", "scores.md", "scores.tex"]
    for path in paths:
        assert "sha256 " in path.read_text()
    comments = [line for line in paths[1].read_text().splitlines() if line.startswith("%")]
    assert any("sha256" in line for line in comments)


def test_nothing_measured_is_no_table(tmp_path: Path) -> None:
    assert paper_tables(Dataset({}, {}, [], {})) == []
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        write_tables(study(), tmp_path / "file" / "x", source="")
