"""llama.cpp's own llama-bench, linked against the libraries our engine runs: `python benchmarks/llama_bench.py`.

pip fetches the sources of the installed llama-cpp-python; of those, llama-bench and the few files of llama.cpp's
`common` that it needs are compiled (under a minute of one core) and linked against the shared libraries of the
installed package, so that both tools run the same machine code. The program is kept in the atlas's folder and never
built twice; its path is printed. Needs a C++ compiler.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from slm_atlas import home

PACKAGE = "llama-cpp-python"
SOURCES = (
    "tools/llama-bench/main.cpp",
    "tools/llama-bench/llama-bench.cpp",
    "common/common.cpp",
    "common/log.cpp",
    "common/fit.cpp",
    "common/json.cpp",
)
LEFT_OUT = Path(__file__).with_name("llama_bench_left_out.cpp")
"""Stands in for the parts of `common` that are not compiled."""
FOLDERS = ("common", "include", "ggml/include", "src", "tools/llama-bench", "vendor")
INCLUDES = ("common", "include", "ggml/include", "vendor")
FLAGS = ("-std=c++17", "-O3", "-DNDEBUG", "-ffunction-sections", "-fdata-sections")
MAC = sys.platform == "darwin"


class Built(NamedTuple):
    """The program."""

    path: Path
    commit: str
    """llama.cpp's commit, as the sources' change log names it."""


def library_folder() -> Path:
    """Where the installed package keeps its shared libraries; the package is not imported."""
    found = importlib.util.find_spec("llama_cpp")
    assert found is not None, f"{PACKAGE} is not installed"
    assert found.origin is not None
    return Path(found.origin).parent / "lib"


def libraries(folder: Path) -> list[Path]:
    """The libraries to link, without the versioned copies beside them."""
    suffix = "dylib" if MAC else "so"
    names = ("llama", "ggml", "ggml-base", "ggml-cpu")
    return [path for name in names if (path := folder / f"lib{name}.{suffix}").exists()]


def build() -> Built:
    """The program for the libraries installed now: built if it is not there."""
    version, folder = importlib.metadata.version(PACKAGE), library_folder()
    digest = hashlib.sha256(str(folder).encode() + LEFT_OUT.read_bytes())
    for path in libraries(folder):
        digest.update(path.read_bytes())
    program = home.home() / "llama-bench" / f"{version}-{digest.hexdigest()[:12]}" / "llama-bench"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=program.parent) as scratch:
            compiled = _compile(_sources(version, Path(scratch)), Path(scratch), folder)
            compiled.replace(program)
    return Built(program, commit_of(program))


def commit_of(program: Path) -> str:
    """llama.cpp's commit the program was built from, kept beside it."""
    return program.with_name("commit").read_text().strip()


def _sources(version: str, scratch: Path) -> Path:
    """llama.cpp as the package of that version brings it; pip checks the download and its metadata."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", PACKAGE]
    _run([*command, "--dest", str(scratch), f"{PACKAGE}=={version}"])
    (archive,) = scratch.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        if hasattr(tarfile, "data_filter"):  # from Python 3.11.4 on
            packed.extraction_filter = tarfile.data_filter
        packed.extractall(scratch, members=_wanted(packed))
    (tree,) = scratch.glob("*/vendor/llama.cpp")
    return tree


def _wanted(packed: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """The folders that are compiled or included from, and the change log."""
    pattern = re.compile(rf"[^/]+/(CHANGELOG\.md|vendor/llama\.cpp/({'|'.join(FOLDERS)})/.*)")
    return [member for member in packed.getmembers() if member.isfile() and pattern.fullmatch(member.name)]


def _commit(tree: Path) -> str:
    """The commit that the newest entry of the package's change log names; `unknown` where it names none."""
    found = re.search(r"ggml-org/llama\.cpp@([0-9a-f]{7,40})", (tree.parents[1] / "CHANGELOG.md").read_text())
    return found.group(1) if found else "unknown"


def _build_info(tree: Path, commit: str) -> Path:
    """The source file that CMake would have filled in."""
    compiler = _run([_compiler(), "--version"]).splitlines()[0]
    values = {"LLAMA_BUILD_NUMBER": "0", "LLAMA_BUILD_COMMIT": commit, "BUILD_COMPILER": compiler}
    values["BUILD_TARGET"] = platform.platform()
    text = (tree / "common/build-info.cpp.in").read_text()
    written = tree / "common/build-info.cpp"
    written.write_text(re.sub(r"@(\w+)@", lambda found: values[found.group(1)], text))
    return written


def _compile(tree: Path, scratch: Path, folder: Path) -> Path:
    commit = _commit(tree)
    files = [*(tree / name for name in SOURCES), LEFT_OUT, _build_info(tree, commit)]
    includes = [f"-I{tree / name}" for name in INCLUDES]
    objects = [scratch / f"{path.stem}.o" for path in files]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        commands = [
            [_compiler(), *FLAGS, *includes, "-c", str(path), "-o", str(compiled)]
            for path, compiled in zip(files, objects, strict=True)
        ]
        list(pool.map(_run, commands))
    _run(_link(objects, scratch / "llama-bench", folder))
    (scratch.parent / "commit").write_text(commit)
    return scratch / "llama-bench"


def _link(objects: Sequence[Path], program: Path, folder: Path) -> list[str]:
    """What the linker throws away (functions nobody calls) need not be resolved, so most of `common` may be missing."""
    dead = "-Wl,-dead_strip" if MAC else "-Wl,--gc-sections"
    shared = [str(path) for path in libraries(folder)]
    return [_compiler(), *map(str, objects), *shared, dead, f"-Wl,-rpath,{folder}", "-pthread", "-o", str(program)]


def on_core_clock() -> Path:
    """The library that shows a program the time it had the core (on_core_clock.c), built if it is not there."""
    source = Path(__file__).with_name("on_core_clock.c")
    name = f"on_core_clock-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}.so"
    library = home.home() / "llama-bench" / name
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        _run([_compiler(), "-x", "c", "-O2", "-shared", "-fPIC", str(source), "-o", str(library)])
    return library


def _compiler() -> str:
    return os.environ.get("CXX", "c++")


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def run(program: Path, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """The tests of one run of llama-bench, as its JSON has them."""
    tests: list[dict[str, Any]] = msgspec.json.decode(_run([str(program), *arguments, "-o", "json"]))
    return tests


if __name__ == "__main__":
    print(build().path)
