"""`slm models add`: the table of a new model, drafted from a configuration or a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slm_atlas.anatomy import inventory
from slm_atlas.catalog import Architecture, load
from slm_atlas.models import hub

from .atlas import slm, wrong

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A `config.json` in a folder called as its model."""
    path = tmp_path / "Tiny-135M" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(CONFIG))
    return path


def test_a_configuration_becomes_a_table(config: Path) -> None:
    result = slm("models", "add", "--from", config)
    assert result.exit_code == 0, result.stderr
    (model,) = load.parse(result.stdout, "draft")
    assert (model.id, model.name, model.family, model.hub_id) == ("tiny-135m", "Tiny-135M", "Tiny", None)
    assert model.params == 134_515_008
    assert (model.architecture.layers, model.architecture.gguf) == (30, "llama")
    assert model.source("architecture").where == "config.json"
    assert slm("models", "add", "--from", config.parent).stdout == result.stdout


def test_what_is_given_is_taken(config: Path) -> None:
    names = ("--id", "own-1", "--name", "Own 1", "--family", "Own Models")
    (model,) = load.parse(slm("models", "add", "--from", config, *names).stdout, "draft")
    assert (model.id, model.name, model.family) == ("own-1", "Own 1", "Own Models")


def test_a_file_becomes_a_table(tiny_model: Path, tiny_arch: Architecture) -> None:
    (model,) = load.parse(slm("models", "add", "--from", tiny_model).stdout, "draft")
    assert model.architecture == tiny_arch
    assert model.params == sum(tensor.size for tensor in inventory(tiny_arch))
    assert model.source("architecture").where == tiny_model.name


def test_a_repository_is_asked_for_its_configuration_alone(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def download(repo: str, file: str) -> Path:
        asked.append((repo, file))
        return config

    monkeypatch.setattr(hub, "download", download)
    (model,) = load.parse(slm("models", "add", "--from", "hf:lab/Small.2-1.5B-Chat").stdout, "draft")
    assert asked == [("lab/Small.2-1.5B-Chat", "config.json")]
    assert (model.id, model.family, model.hub_id) == ("small.2-1.5b-chat", "Small.2", "lab/Small.2-1.5B-Chat")
    assert model.source("architecture").where == "lab/Small.2-1.5B-Chat:config.json"


def test_tables_are_appended_to_the_file_of_the_family(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for model_id in ("tiny-1", "tiny-2"):
        result = slm("models", "add", "--from", config, "--write", folder, "--id", model_id)
        assert result.stdout == ""
        assert f"Appended to {folder / 'tiny.toml'}" in result.stderr
    text = (folder / "tiny.toml").read_text()
    assert [model.id for model in load.parse(text, "tiny.toml")] == ["tiny-1", "tiny-2"]
    assert "has a model called tiny-2 already" in wrong(
        "models", "add", "--from", config, "--write", folder, "--id", "tiny-2"
    )
    assert (folder / "tiny.toml").read_text() == text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not a configuration in JSON"),
        ("[" * 100_000, "is not a configuration in JSON"),
        ("[1]", "is not a configuration, but a list or a value"),
        ("{}", "The configuration has no model_type"),
        (json.dumps(CONFIG | {"hidden_size": 0}), "hidden_size: 0 is not a whole number"),
        (json.dumps(CONFIG | {"num_key_value_heads": 2}), "9 heads are not divisible by 2"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_told_in_a_line(config: Path, content: str, says: str) -> None:
    config.write_text(content)
    assert says in wrong("models", "add", "--from", config)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("/nowhere/config.json", "Cannot read /nowhere/config.json: No such file or directory"),
        ("/nowhere/x.gguf", "There is no file /nowhere/x.gguf"),
        ("hf:owner", "'hf:owner' names no repository. Try: hf:OWNER/REPO"),
        ("hf:owner/repo/other.json", "names no repository"),
    ],
)
def test_what_is_not_there_is_told_in_a_line(source: str, says: str) -> None:
    assert says in wrong("models", "add", "--from", source)


def test_an_id_that_is_none_is_refused(config: Path) -> None:
    assert "'Tiny!' is not lower-case words" in wrong("models", "add", "--from", config, "--id", "Tiny!")
