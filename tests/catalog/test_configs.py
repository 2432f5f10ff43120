"""The configurations of the catalogue's models: each in its family's file, and in line with what was verified."""

from __future__ import annotations

import json
from importlib import resources

from slm_atlas.catalog import draft, load
from slm_atlas.catalog.configs import config_of, configs
from slm_atlas.catalog.schema import Verified

FILES = sorted((resources.files("slm_atlas.catalog") / "data" / "configs").iterdir(), key=lambda file: file.name)


def test_a_model_without_a_configuration_has_none() -> None:
    assert config_of("no-such-model") is None


def test_each_stands_in_the_file_of_its_family() -> None:
    for file in FILES:
        for model_id in json.loads(file.read_text()):
            family = load.get(model_id).family
            assert file.name == draft.file_name(family).replace(".toml", ".json"), model_id


def test_each_model_is_a_line_so_that_changes_can_be_read() -> None:
    for file in FILES:
        text = file.read_text()
        assert len(text.splitlines()) == len(json.loads(text)) + 2, file.name


def test_how_a_model_was_verified_fits_what_can_be_built() -> None:
    for model_id, known in configs().items():
        verified = load.get(model_id).verified
        if verified is Verified.INSTANTIATED:
            assert known.native, model_id
        elif verified is Verified.EQUIVALENT:
            assert known.native or known.equivalent is not None or known.note is not None, model_id


def test_what_was_seen_to_be_built_can_be() -> None:
    for model_id, known in configs().items():
        assert not known.transformers or known.native or known.equivalent is not None, model_id
