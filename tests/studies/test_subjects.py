"""Model files under study: known without the file, made when needed, and never taken for another."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from slm_atlas import catalog
from slm_atlas.anatomy import Quantization
from slm_atlas.catalog import Model
from slm_atlas.errors import UserError
from slm_atlas.models import fetch
from slm_atlas.studies import StudyModel, Subject, discard, ensure, made_bytes, prepare


@pytest.fixture
def tiny(tiny_arch: catalog.Architecture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StudyModel:
    """A model of the catalogue that is small enough to be forged in a test."""
    model: Model = msgspec.structs.replace(catalog.get("smollm-135m"), id="tiny", name="Tiny", architecture=tiny_arch)
    monkeypatch.setenv("SLM_ATLAS_HOME", str(tmp_path))
    monkeypatch.setattr(catalog, "get", lambda _: model)
    return StudyModel(model="tiny")


def path_of(subject: Subject) -> Path:
    assert isinstance(subject.path, Path)
    return subject.path


def test_what_was_forged_is_known_when_the_file_is_gone(tiny: StudyModel) -> None:
    first = prepare(tiny)
    assert path_of(first).exists()
    discard(first)
    assert not path_of(first).exists()
    assert prepare(tiny) == first
    assert not path_of(first).exists()


def test_a_file_that_is_needed_is_made_again_as_it_was(tiny: StudyModel) -> None:
    first = prepare(tiny)
    assert not ensure(first)
    before = path_of(first).read_bytes()
    discard(first)
    assert ensure(first)
    assert path_of(first).read_bytes() == before


def test_a_file_of_another_size_is_looked_at_anew(tiny: StudyModel) -> None:
    first = prepare(tiny)
    with path_of(first).open("ab") as file:
        file.write(bytes(64))
    assert prepare(tiny).artifact.sha256 != first.artifact.sha256


def test_a_file_forged_otherwise_is_not_taken_for_the_first(tiny: StudyModel) -> None:
    first = prepare(tiny)
    discard(first)
    other = first._replace(artifact=msgspec.structs.replace(first.artifact, sha256="0" * 64))
    with pytest.raises(UserError, match="made otherwise"):
        ensure(other)


def test_notes_that_are_not_whole_are_made_anew(tiny: StudyModel) -> None:
    first = prepare(tiny)
    path_of(first).with_suffix(".json").write_text("{")
    assert prepare(tiny) == first


def test_a_file_of_the_users_is_never_removed(tiny_model: Path) -> None:
    found = prepare(StudyModel(model=str(tiny_model)))
    discard(found)
    assert tiny_model.exists()
    assert made_bytes(StudyModel(model=str(tiny_model))) == 0


@pytest.mark.engine
def test_a_requantized_file_is_known_when_it_is_gone_and_made_again_as_it_was(tiny_model: Path) -> None:
    model = StudyModel(model=str(tiny_model), quantization=Quantization.Q8_0)
    expected, first = made_bytes(model), prepare(model)
    assert (first.artifact.name, first.artifact.quantization) == ("Tiny (from Q4_K_M)", "Q8_0")
    assert first.artifact.origin == f"requantize:{tiny_model}@Q8_0"
    assert sum(first.artifact.tensor_bytes.values()) == expected
    discard(first)
    assert not path_of(first).exists()
    assert tiny_model.exists()
    assert prepare(model) == first
    assert ensure(first)
    assert path_of(first).exists()


def test_a_file_asked_for_as_it_is_is_neither_made_nor_removed(tiny_model: Path, own_home: Path) -> None:
    model = StudyModel(model=str(tiny_model), quantization=Quantization.Q4_K_M)
    found = prepare(model)
    assert (found.path, found.artifact.origin, found.artifact.requantized_from) == (tiny_model, str(tiny_model), None)
    discard(found)
    assert tiny_model.exists()
    assert made_bytes(model) == 0
    assert not own_home.exists()


def test_the_size_is_known_before_the_file_is_made(tiny: StudyModel) -> None:
    expected = made_bytes(tiny)
    size = path_of(prepare(tiny)).stat().st_size
    assert expected <= size <= 1.05 * expected + 8192
    assert fetch.is_forged("tiny")
