"""A folder of transformers' is known by what is in it, and said to be none where it is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slm_atlas.errors import UnusableModel, UserError
from slm_atlas.models.folder import identify_folder, locate_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "mine"
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"model_type": "llama", "dtype": "bfloat16"}))
    (path / "model.safetensors").write_bytes(b"weights")
    (path / "tokenizer.json").write_text("{}")
    return path


def test_it_says_what_its_configuration_says(folder: Path) -> None:
    assert locate_folder(f"transformers:{folder}") == folder
    found = identify_folder(folder, f"transformers:{folder}")
    assert (found.name, found.architecture, found.quantization, found.size_bytes) == ("mine", "llama", "bfloat16", 7)
    assert not found.forged


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_whatever_an_answer_depends_on_makes_it_another_model(folder: Path, name: str) -> None:
    before = identify_folder(folder, "mine").sha256
    assert identify_folder(folder, "mine").sha256 == before
    (folder / name).write_text('{"other": 1}')
    assert identify_folder(folder, "mine").sha256 != before


def test_where_it_lies_does_not_matter(folder: Path, tmp_path: Path) -> None:
    before = identify_folder(folder, "mine").sha256
    assert identify_folder(folder.rename(tmp_path / "other"), "mine").sha256 == before


def test_what_is_none_is_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        locate_folder(f"transformers:{tmp_path / 'absent'}")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UnusableModel, match=r"config\.json and weights"):
        locate_folder(str(folder))
    (folder / "config.json").write_text("[")
    with pytest.raises(UnusableModel, match="cannot be read"):
        identify_folder(folder, "mine")
