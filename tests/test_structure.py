"""The house rules that a machine can check: which way imports go, sizes, docstrings, exports, the README's tree.

The README holds one fenced block that opens with the lines ```` ```text ```` and `src/slm_atlas/`. Each line after
them is a file or a folder (which ends with a slash) of `src/slm_atlas`, indented below the folder that holds it, then
two spaces or more and a phrase that says what it is. Every module stands there; `__init__.py` and data may.
"""

from __future__ import annotations

import ast
import importlib
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "slm_atlas"
NAME = "slm_atlas"

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 40

BOTTOM = {"__init__", "errors", "home", "stats", "units"}
MEASURING = {"catalog", "anatomy", "models", "engines", "store"}
ALLOWED = {
    "__main__": {"cli"},
    **{name: set[str]() for name in BOTTOM},
    "store": set[str](),
    "catalog": set[str](),
    "anatomy": {"catalog"},
    "survey": {"catalog", "anatomy"},
    "engines": set[str](),
    "models": {"catalog", "anatomy", "engines", "store"},
    "bench": MEASURING,
    "evals": MEASURING,
    "studies": MEASURING | {"bench", "evals"},
    "insights": {"store", "catalog", "anatomy", "survey"},
    "advisor": {"store", "catalog", "anatomy", "insights"},
    "report": {"store", "catalog", "anatomy", "survey", "insights", "advisor"},
    "cli": MEASURING | {"bench", "evals", "studies", "survey", "insights", "report", "advisor"},
}
"""What each part may import, beside itself and the bottom modules."""

MODULES = sorted(PACKAGE.rglob("*.py"))
LOADED_BY_PATH = PACKAGE / "evals" / "tasks"
"""Helpers of lm-eval tasks, which lm-eval loads by their path."""
WRITTEN = [
    *MODULES,
    *(path for folder in ("tests", "docs", "benchmarks", "tools") for path in sorted((ROOT / folder).rglob("*.py"))),
]
FOLDERS = sorted({path.parent for path in MODULES if LOADED_BY_PATH not in path.parents})
EXPORTING = [path for path in MODULES if path.name == "__init__.py" and "__all__" in path.read_text()]


def shown(path: Path) -> str:
    """A file's name in what a failure says."""
    return str(path.relative_to(ROOT))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


# ---- imports ------------------------------------------------------------------------------------------------------


def part(path: Path) -> str:
    """The part of the package a module belongs to: its folder, or its own name at the bottom."""
    inside = path.relative_to(PACKAGE)
    return inside.parts[0].removesuffix(".py")


def imported_parts(tree: ast.AST) -> set[str]:
    """The parts of the package that a module imports, at its top or inside a function.

    `from slm_atlas import x` names the part x where there is one, else what `__init__` defines.
    """
    parts = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names = [f"{base}.{alias.name}" for alias in node.names] if base == NAME else [base]
        else:
            continue
        parts |= {name.split(".")[1] for name in names if name.startswith(f"{NAME}.")}
        parts |= {name for name in names if name.startswith(".")}  # never allowed: relative
    return {name if name in ALLOWED or name.startswith(".") else "__init__" for name in parts}


def test_imports_go_one_way() -> None:
    for path in MODULES:
        here = part(path)
        assert here in ALLOWED, f"{here} is a new part: say in ALLOWED what it may import"
        wrong = imported_parts(parsed(path)) - ALLOWED[here] - BOTTOM - {here}
        assert not wrong, f"{shown(path)}: {here} must not import {', '.join(sorted(wrong))}"


def test_imports_inside_functions_count() -> None:
    code = "import json\ndef f():\n    from slm_atlas.store.db import Store\n    from slm_atlas import cli, __version__"
    assert imported_parts(ast.parse(code)) == {"store", "cli", "__init__"}
    assert imported_parts(ast.parse("import slm_atlas.evals.lm as lm\nfrom .db import x")) == {"evals", ".db"}


def native(path: Path) -> bool:
    """Whether importing a module loads native code that may abort, itself or through a module beside it."""
    top = parsed(path).body
    names = [alias.name for node in top if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in top if isinstance(node, ast.ImportFrom)]
    beside = [path.with_name(f"{name.rpartition('.')[2]}.py") for name in names if name.startswith(f"{NAME}.engines.")]
    return any(name.partition(".")[0] in ("llama_cpp", "torch", "transformers") for name in names) or any(
        other != path and other.is_file() and native(other) for other in beside
    )


def test_modules_that_load_native_code_are_not_collected_for_doctests() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["addopts"]
    left_out = {word.removeprefix("--ignore=") for word in options.split() if word.startswith("--ignore=src/")}
    assert {shown(path) for path in MODULES if native(path)} == left_out


def test_the_allowed_imports_have_no_cycle() -> None:
    seen: set[str] = set()
    while len(seen) < len(ALLOWED):
        ready = {name for name, below in ALLOWED.items() if below <= seen}
        assert ready > seen, f"a cycle among {', '.join(sorted(set(ALLOWED) - seen))}"
        seen = ready


# ---- sizes --------------------------------------------------------------------------------------------------------


class Size(NamedTuple):
    """The size of a function."""

    name: str
    lines: int


def function_sizes(tree: ast.AST) -> Iterator[Size]:
    """Each function and the lines of its body; its signature and its docstring do not count."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            yield Size(node.name, lines)


def test_files_and_functions_are_small() -> None:
    lines = {shown(path): len(path.read_text().splitlines()) for path in WRITTEN}
    assert {name: size for name, size in lines.items() if size > MAX_FILE_LINES} == {}
    long = [(shown(path), size) for path in WRITTEN for size in function_sizes(parsed(path))]
    assert [(name, size) for name, size in long if size.lines > MAX_FUNCTION_LINES] == []


def test_a_function_is_measured_without_signature_and_docstring() -> None:
    code = 'def f(\n    a,\n):\n    """One.\n\n    Two.\n    """\n    x = 1\n\n    return x\ndef g():\n    """One."""'
    assert list(function_sizes(ast.parse(code))) == [("f", 3), ("g", 0)]


# ---- docstrings and exports ---------------------------------------------------------------------------------------


def test_modules_open_with_a_sentence() -> None:
    for path in WRITTEN:
        if path.name == "__init__.py" and path not in MODULES:
            continue
        docstring = ast.get_docstring(parsed(path))
        assert docstring, f"{shown(path)} has no docstring"
        first = docstring.splitlines()[0]
        assert first.endswith("."), f"{shown(path)} opens with no sentence: {first}"
        assert len(first.split()) >= 3, f"{shown(path)} says too little: {first}"


def test_a_folder_of_modules_is_a_package() -> None:
    assert [shown(folder) for folder in FOLDERS if not (folder / "__init__.py").exists()] == []


def test_exports_exist_and_none_is_named_twice() -> None:
    for path in EXPORTING:
        module = importlib.import_module(".".join(path.parent.relative_to(PACKAGE.parent).parts))
        assert [name for name in module.__all__ if not hasattr(module, name)] == [], shown(path)
        assert len(module.__all__) == len(set(module.__all__)), shown(path)  # their order is ruff's rule RUF022


# ---- the README's tree ----------------------------------------------------------------------------------------------


def readme_tree(text: str) -> str:
    """The lines of the README's tree below its root.

    Raises:
        ValueError: there is not exactly one.
    """
    opening = f"```text\nsrc/{NAME}/\n"
    if text.count(opening) != 1:
        raise ValueError(f"the README needs one block that opens with {opening!r}")
    return text.split(opening)[1].split("```", 1)[0]


def parse_tree(text: str) -> dict[str, str]:
    """The paths of an indented tree, each with its phrase; a folder's path ends with a slash.

    Raises:
        ValueError: an entry without a phrase, one named twice, or one indented below a file.
    """
    found: dict[str, str] = {}
    open_folders: list[tuple[int, str]] = []
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip(" "))
        name, _, phrase = line.strip().partition("  ")
        if not name:
            continue
        while open_folders and open_folders[-1][0] >= indent:
            open_folders.pop()
        path = (open_folders[-1][1] if open_folders else "") + name
        if not phrase.strip() or path in found or not (path.endswith("/") or "/" not in name):
            raise ValueError(f"one name and one phrase a line, each once: {line!r}")
        if open_folders and not open_folders[-1][1].endswith("/"):
            raise ValueError(f"below a file: {line!r}")
        found[path] = phrase.strip()
        open_folders.append((indent, path))
    return found


def test_the_readmes_tree_is_complete() -> None:
    named = set(parse_tree(readme_tree((ROOT / "README.md").read_text())))
    modules = {str(path.relative_to(PACKAGE)) for path in MODULES if path.name != "__init__.py"}
    assert not modules - named, "not in the README's tree"
    gone = {path for path in named if not (PACKAGE / path).exists() or path.endswith("/") != (PACKAGE / path).is_dir()}
    assert not gone, "in the README's tree, but not there"


def test_a_tree_is_read_by_its_indentation() -> None:
    tree = "  errors.py    errors\n  store/       what is kept\n    db.py      the database\n  units.py     units\n"
    text = f"# Title\n```text\nsrc/{NAME}/\n{tree}```\nmore"
    assert list(parse_tree(readme_tree(text))) == ["errors.py", "store/", "store/db.py", "units.py"]
    assert parse_tree(tree)["store/db.py"] == "the database"


@pytest.mark.parametrize(
    "tree", ["  errors.py\n", "a.py  one\na.py  two\n", "a.py  one\n  b.py  two\n", "a/b.py  one\n"]
)
def test_a_tree_that_is_not_clear_is_refused(tree: str) -> None:
    with pytest.raises(ValueError, match=r"a line|below a file"):
        parse_tree(tree)


def test_a_readme_without_a_tree_is_refused() -> None:
    with pytest.raises(ValueError, match="needs one block"):
        readme_tree("# Title")
