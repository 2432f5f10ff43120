"""Any text as it must be written in LaTeX and in Markdown, so that it is shown as it is and does nothing."""

from __future__ import annotations

import re

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "–": "--",
    "µ": r"\textmu{}",
} | {char: f"\\{char}" for char in "{}#$%&_"}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|~&$#!])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def latex(text: str) -> str:
    r"""A text in LaTeX.

    >>> latex("50 % of Qwen_2\\input{x}")
    '50 \\% of Qwen\\_2\\textbackslash{}input\\{x\\}'
    """
    plain = _one_line(text)
    # After the end of a row of a table, these would belong to it.
    first = f"{{{plain[0]}}}" if plain.startswith(("[", "*")) else _LATEX.get(plain[:1], plain[:1])
    return first + "".join(_LATEX.get(char, char) for char in plain[1:])


def markdown(text: str) -> str:
    r"""A text in a cell or a line of Markdown.

    >>> markdown("a|b <script>")
    'a\\|b \\<script\\>'
    """
    return _MARKDOWN.sub(r"\\\1", _one_line(text))


def _one_line(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()
