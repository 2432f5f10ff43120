"""A model as transformers saves one, for the engines `torch` and `hf`: a folder, or a repository of the Hub."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from slm_atlas.errors import UnusableModel, UserError
from slm_atlas.models import hub
from slm_atlas.models.built import PREFIX
from slm_atlas.models.identify import sha256_of
from slm_atlas.store.records import Artifact

EXAMPLE = "--engine torch transformers:FOLDER, hf:OWNER/REPO, or a GGUF file"
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_TOLD = ("config.json", "tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "generation_config.json")
"""Files beside the weights that an answer depends on."""


def is_folder(model: str) -> bool:
    """Whether it names a folder or a repository, rather than one file.

    >>> is_folder("transformers:models/mine"), is_folder("hf:owner/repo"), is_folder("hf:owner/repo/file.gguf")
    (True, True, False)
    """
    if model.endswith(".gguf") or model.startswith("pypi:"):
        return False
    return model.startswith((PREFIX, "hf:")) or Path(model).expanduser().is_dir()


def locate_folder(model: str) -> Path:
    """The folder of a model; a repository is downloaded if it is not in the Hub's cache.

    Raises:
        UserError: there is no such folder or repository, or it holds no model.
        OfflineError: a download was needed and failed.
        MissingExtra: `hf:` without the extra `hf`.
    """
    name = model.removeprefix(PREFIX)
    path = hub.snapshot(name.removeprefix("hf:")) if name.startswith("hf:") else Path(name).expanduser()
    if not path.is_dir():
        raise UserError(f"There is no folder {path}.", EXAMPLE)
    if not (path / "config.json").is_file() or not _files(path, _WEIGHTS):
        raise UnusableModel(f"{path} holds no model: it needs config.json and weights.", EXAMPLE)
    return path


def identify_folder(path: Path, origin: str) -> Artifact:
    """The record of a folder, known by the content of its configuration, weights and tokenizer.

    Raises:
        UnusableModel: its configuration is not JSON.
    """
    config = _config(path)
    files = [*_files(path, _TOLD), *_files(path, _WEIGHTS)]
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {sha256_of(file)}\n".encode())
    size = sum(file.stat().st_size for file in _files(path, _WEIGHTS))
    label = str(config.get("dtype") or config.get("torch_dtype") or "unknown")
    return Artifact(
        sha256=digest.hexdigest(),
        name=path.resolve().name if not origin.startswith("hf:") else origin.removeprefix("hf:"),
        model_id=None,
        origin=origin,
        forged=False,
        architecture=str(config.get("model_type", "unknown")),
        quantization=label,
        params=None,
        size_bytes=size,
        tensor_bytes={label: size},
    )


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads((path / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UnusableModel(f"{path / 'config.json'} cannot be read: {error}.", EXAMPLE) from None
    if not isinstance(config, dict):
        raise UnusableModel(f"{path / 'config.json'} is no configuration.", EXAMPLE)
    return config


def _files(path: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted({file for pattern in patterns for file in path.glob(pattern) if file.is_file()})
