"""What commands print: one JSON document, tables that lose nothing, messages apart from data."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.cli import output


class Point(msgspec.Struct):
    """A value to print."""

    x: float
    y: int | None


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"points": (Point(1.5, None),), "where": PurePosixPath("/a"), "none": float("nan")})
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"points": [{"x": 1.5, "y": None}], "where": "/a", "none": None}
    assert captured.err == ""


def test_json_of_what_has_none_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="object"):
        output.print_json(object())


def test_a_table_shows_cells_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("Name", "Size"), [("a[red]", 5), (":smile:", None)], right=("Size",))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Name     Size"
    assert lines[2:] == ["a[red]      5", ":smile:     –"]


def test_a_wide_table_in_a_pipe_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    cells = [letter * 200 for letter in "abc"]
    output.print_table(("A", "B", "C"), [cells])
    assert capsys.readouterr().out.splitlines()[2] == "  ".join(cells)


def test_a_narrow_terminal_breaks_only_the_last_column(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    output.print_table(("Name", "Found"), [("a-name-of-24-characters--", "one two three four five six")])
    out = capsys.readouterr().out
    assert "a-name-of-24-characters--" in out
    assert "…" not in out
    assert out.split()[-6:] == ["one", "two", "three", "four", "five", "six"]


@given(st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), min_size=1, max_size=4))
def test_every_cell_is_there(cells: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("click.echo", lambda line: lines.append(line))
        output.print_table([f"c{number}" for number in range(len(cells))], [cells])
    assert "".join("".join(lines[2:]).split()) == "".join(cells)


def test_fields_are_aligned_and_missing_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_fields("Title", {"a": 1, "longer": None})
    assert capsys.readouterr().out == "Title\n  a       1\n  longer  –\n\n"


def test_messages_do_not_mix_with_data(capsys: pytest.CaptureFixture[str]) -> None:
    output.say("Hello.")
    assert capsys.readouterr() == ("", "Hello.\n")
