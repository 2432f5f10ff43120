"""The data sets and algorithms are valid and sourced; what is wrong in a file is named by file, entity and key."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.catalog.architecture import Architecture
from slm_atlas.catalog.entities import (
    UnknownEntity,
    algorithms,
    datasets,
    get_algorithm,
    get_dataset,
    models_using,
    parse_algorithms,
    parse_datasets,
    unknown_entities,
)
from slm_atlas.catalog.load import models
from slm_atlas.catalog.schema import Algorithm, Dataset, Model, SourceKind, Training, Variant, Verified
from slm_atlas.errors import UserError

DATASETS = """
[[datasets]]
name = "Alpha"
organization = "Nobody"
year = 2023
tokens_billion = 1.5
license = "MIT"
open = true
content = "Text."
filtered = "Not at all."
source = { kind = "reported", where = "here" }

[[datasets]]
name = "beta"
organization = "Nobody"
year = 2024
open = false
content = "More text."
filtered = "Not published."
source = { kind = "recalled", where = "there" }
"""

ALGORITHMS = """
[[algorithms]]
name = "guessing"
what = "Guesses."
paper = "On Guessing, arXiv 2401.00000"
year = 2024
source = { kind = "recalled", where = "arXiv 2401.00000" }
"""

ENTITIES: list[Dataset | Algorithm] = [*datasets(), *algorithms()]


def complaint(parse: Callable[[str, str], object], text: str, old: str, new: str) -> str:
    assert text.count(old) == 1
    with pytest.raises(UserError) as caught:
        parse(text.replace(old, new), "some.toml")
    return caught.value.message


def trained(arch: Architecture, model_id: str, training: Training) -> Model:
    return Model(
        id=model_id,
        name=model_id,
        family="Tiny",
        organization="Nobody",
        release="2024-07",
        license="MIT",
        variant=Variant.BASE,
        params=1,
        verified=Verified.FORMULA,
        architecture=arch,
        training=training,
        sources={},
    )


# ---- what is shipped ------------------------------------------------------------------------------------------------


def test_the_catalogue_ships_entities() -> None:
    assert len(datasets()) >= 50
    assert len(algorithms()) >= 20


def test_a_shipped_entity_says_something() -> None:
    for entity in ENTITIES:
        texts = (entity.content, entity.filtered) if isinstance(entity, Dataset) else (entity.what, entity.paper)
        assert all(len(text) > 10 for text in (*texts, entity.source.where)), entity.name
        assert not re.search(r"https?://|(^|[\s(])/?(work|shared|home|tmp)/", entity.source.where), entity.name


def test_sentences_end() -> None:
    for entity in ENTITIES:
        for sentence in (entity.content, entity.filtered) if isinstance(entity, Dataset) else (entity.what,):
            assert sentence[0].isupper() or sentence[0].isdigit(), entity.name
            assert sentence.endswith("."), entity.name
            assert not re.search(r"\s\s", sentence), entity.name


def test_what_the_survey_names_is_there() -> None:
    for name in ("The Pile", "RefinedWeb", "RedPajama", "DCLM-baseline", "FineWeb-Edu", "SlimPajama", "Dolma"):
        assert get_dataset(name).open
    for name in ("muP", "knowledge distillation", "two-stage pre-training"):
        assert get_algorithm(name).year < 2025


def test_a_data_set_that_cannot_be_had_says_so() -> None:
    assert not get_dataset("WebText").open
    assert not get_dataset("phi-1 textbooks").open


def test_all_names_that_models_use_are_known() -> None:
    assert unknown_entities(models()) == ()


def test_every_entity_is_used_by_a_model() -> None:
    assert [entity.name for entity in ENTITIES if not models_using(entity.name)] == []


# ---- finding --------------------------------------------------------------------------------------------------------


def test_finding_forgives_upper_case() -> None:
    assert get_dataset("fineweb-EDU") is get_dataset("FineWeb-Edu")
    assert get_algorithm("MUP").name == "muP"


def test_an_unknown_name_is_answered_with_those_spelled_nearly_the_same() -> None:
    with pytest.raises(UserError, match=r"No data set 'FinWeb-Edu' in the catalogue\. .*FineWeb-Edu") as caught:
        get_dataset("FinWeb-Edu")
    assert caught.value.fix == "slm models datasets"
    with pytest.raises(UserError, match=r"No algorithm .*knowledge distillation") as caught:
        get_algorithm("knowlege distilation")
    assert caught.value.fix == "slm models algorithms"


def test_nothing_near_nothing_suggested() -> None:
    with pytest.raises(UserError) as caught:
        get_dataset("zzzzzzzz")
    assert "Did you mean" not in caught.value.message


def test_models_are_found_by_what_they_were_trained_on(tiny_arch: Architecture) -> None:
    first = trained(tiny_arch, "first", Training(datasets=("C4", "The Pile"), algorithms=("PPO",)))
    second = trained(tiny_arch, "second", Training(datasets=("The Pile",), finetune_datasets=("UltraChat",)))
    assert models_using("The Pile", (first, second)) == (first, second)
    assert models_using("UltraChat", (first, second)) == (second,)
    assert models_using("PPO", (first, second)) == (first,)
    assert models_using("WebText", (first, second)) == ()


def test_names_that_the_files_lack_are_told_with_model_and_key(tiny_arch: Architecture) -> None:
    training = Training(datasets=("The Pile", "pile"), finetune_datasets=("chat",), algorithms=("The Pile", "DPO"))
    assert unknown_entities([trained(tiny_arch, "tiny", training)]) == (
        UnknownEntity("tiny", "training.datasets", "pile"),
        UnknownEntity("tiny", "training.finetune_datasets", "chat"),
        UnknownEntity("tiny", "training.algorithms", "The Pile"),
    )


# ---- reading --------------------------------------------------------------------------------------------------------


def test_what_is_not_known_is_left_out() -> None:
    alpha, beta = parse_datasets(DATASETS, "some.toml")
    assert (alpha.tokens_billion, alpha.license, alpha.source.kind) == (1.5, "MIT", SourceKind.REPORTED)
    assert (beta.tokens_billion, beta.license, beta.open) == (None, None, False)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("year = 2023", "year = '2023'", "some.toml: Alpha: $.year: Expected `int`, got `str`"),
        ("year = 2023", "", "some.toml: Alpha: $: Object missing required field `year`"),
        ("year = 2023", "when = 2023\nyear = 2023", "some.toml: Alpha: $: Object contains unknown field `when`"),
        ('source = { kind = "recalled", where = "there" }', "", "some.toml: beta: $: Object missing required field"),
        ('kind = "recalled"', 'kind = "guessed"', "some.toml: beta: $.source.kind: Invalid enum value 'guessed'"),
        (', where = "there"', "", "some.toml: beta: $.source: Object missing required field `where`"),
        ('where = "there"', 'where = " "', "some.toml: beta: $.source.where: is empty"),
        ('name = "beta"', "", "some.toml: dataset 2: $: Object missing required field `name`"),
        ('name = "beta"', 'name = "Alpha"', "some.toml: Alpha: $.name: stands there more than once"),
        ('name = "beta"', 'name = "ALPHA"', "some.toml: Alpha: $.name: stands there more than once"),
        ('name = "beta"', 'name = "aleph"', "some.toml: aleph: $.name: belongs before Alpha"),
        ("year = 2023", "year = 1066", "some.toml: Alpha: $.year: 1066 is not from 1970 to 2030"),
        ("year = 2024", "year = 20240", "some.toml: beta: $.year: 20240 is not"),
        ("tokens_billion = 1.5", "tokens_billion = 0", "some.toml: Alpha: $.tokens_billion: 0.0 is not positive"),
        ("year = 2023", "year = ", "some.toml: Invalid value (at line 5, column 8)"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_data_set_is_named(old: str, new: str, says: str) -> None:
    assert complaint(parse_datasets, DATASETS, old, new).startswith(says)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('what = "Guesses."', "", "some.toml: guessing: $: Object missing required field `what`"),
        ('name = "guessing"', "", "some.toml: algorithm 1: $: Object missing required field `name`"),
        ("year = 2024", "year = 1066", "some.toml: guessing: $.year: 1066 is not from 1970 to 2030"),
        ("[[algorithms]]", "[[algorithm]]", "some.toml: Object contains unknown field `algorithm`"),
    ],
)
def test_what_is_wrong_with_an_algorithm_is_named(old: str, new: str, says: str) -> None:
    assert complaint(parse_algorithms, ALGORITHMS, old, new).startswith(says)


def test_all_problems_are_told_at_once() -> None:
    message = complaint(parse_datasets, DATASETS.replace("2023", "1066"), "year = 2024", "year = 3000")
    assert (message.count("$.year"), message.count("some.toml")) == (2, 1)


@given(st.text(max_size=200))
def test_any_text_gives_entities_or_one_clear_error(text: str) -> None:
    try:
        answer = repr(parse_datasets(text, "any.toml"))
    except UserError as error:
        answer = error.message
    assert answer == "()" or answer.startswith("any.toml: ")
