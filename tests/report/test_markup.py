"""Any text in LaTeX and Markdown is shown as it is, and does nothing."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from slm_atlas.report.markup import latex, markdown

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_SHOWN = {
    "textbackslash": "\\",
    "textasciitilde": "~",
    "textasciicircum": "^",
    "textless": "<",
    "textgreater": ">",
    "textbar": "|",
    "textquotedbl": '"',
    "textasciigrave": "`",
    "textmu": "µ",
}
_PART = re.compile(
    r"\\(?P<name>[a-z]+)\{\}|\\(?P<char>[{}#$%&_])|\{(?P<first>[\[*])\}|(?P<dash>--)|(?P<plain>[^\\{}#$%&_])"
)


def as_latex_shows(text: str) -> str:
    """What LaTeX would print; AssertionError where a character would do something else."""
    shown, place = "", 0
    while place < len(text):
        part = _PART.match(text, place)
        assert part, f"{text[place:]!r} is not plain text"
        found = part.groupdict()
        shown += "–" if found["dash"] else _SHOWN.get(found["name"] or "") or next(filter(None, found.values()))
        place = part.end()
    return shown


def plain(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text).strip()


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('\\{}$&#^_%~[]*|<>`"\n')))
def test_latex_shows_any_text_as_it_is(text: str) -> None:
    assert as_latex_shows(latex(text)) == plain(text).replace("--", "–")


@given(st.text(st.sampled_from("ab\\`*_{}[]()<>|~&$#!\n;x"), max_size=20))
def test_markdown_shows_any_text_of_a_cell_as_it_is(text: str) -> None:
    tokens = PARSER.parse(f"| head | other |\n| --- | --- |\n| {markdown(text)} | x |\n")
    inline = [token for token in tokens if token.type == "inline"]
    assert len(inline) == 4, "no cell more, no cell less"
    children = inline[2].children or []
    assert {child.type for child in children} <= {"text", "text_special"}
    assert "".join(child.content for child in children) == plain(text)


def test_a_row_that_begins_like_an_option_is_none() -> None:
    assert latex("[2cm] x") == "{[}2cm] x"
    assert latex("*") == "{*}"
