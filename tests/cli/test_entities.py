"""`slm models datasets` and `slm models algorithms`: listing, showing, and who uses what."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from slm_atlas.catalog import entities
from slm_atlas.catalog.architecture import Architecture
from slm_atlas.catalog.schema import Model, Training, Variant, Verified
from slm_atlas.cli.entities import families
from slm_atlas.cli.main import cli


def slm(*args: str) -> Result:
    return CliRunner().invoke(cli, ["models", *args], catch_exceptions=False)


def trained(arch: Architecture, model_id: str, family: str, training: Training) -> Model:
    return Model(
        id=model_id,
        name=model_id,
        family=family,
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


@pytest.fixture(autouse=True)
def three(tiny_arch: Architecture, monkeypatch: pytest.MonkeyPatch) -> tuple[Model, ...]:
    """A catalogue of three models."""
    both = Training(datasets=("The Pile",), algorithms=("muP",))
    one = Training(datasets=("The Pile", "WebText"))
    found = (
        trained(tiny_arch, "red-1m", "Red", both),
        trained(tiny_arch, "red-2m", "Red", both),
        trained(tiny_arch, "blue-1m", "Blue", one),
    )
    monkeypatch.setattr(entities, "models", lambda: found)
    return found


def test_the_list_has_a_line_for_every_data_set() -> None:
    lines = slm("datasets").stdout.splitlines()[2:]
    assert len(lines) == len(entities.datasets())
    assert all(line.startswith(entity.name) for line, entity in zip(lines, entities.datasets(), strict=True))
    (pile,) = (line for line in lines if line.startswith("The Pile"))
    assert "300.0B" in pile
    assert "yes" in pile
    assert pile.endswith("Red (2), Blue")


def test_the_list_has_a_line_for_every_algorithm() -> None:
    lines = slm("algorithms").stdout.splitlines()[2:]
    assert len(lines) == len(entities.algorithms())
    (mup,) = (line for line in lines if line.startswith("muP"))
    assert mup.split() == ["muP", "2022", "2", "Red", "(2)"]
    (ppo,) = (line for line in lines if line.startswith("PPO"))
    assert ppo.split() == ["PPO", "2017", "0", "–"]


def test_a_data_set_is_shown_with_its_source_and_its_models() -> None:
    result = slm("datasets", "the pile")
    assert result.exit_code == 0
    pile = entities.get_dataset("The Pile")
    for words in (pile.content, pile.filtered, f"{pile.source.kind}: {pile.source.where}", "red-1m, red-2m, blue-1m"):
        assert words in result.stdout


def test_what_is_not_known_is_a_dash() -> None:
    lines = slm("datasets", "WebText").stdout.splitlines()
    assert [line.split()[-1] for line in lines if line.strip().startswith(("tokens", "licence"))] == ["–", "–"]


def test_an_algorithm_is_shown_with_its_paper_and_its_models() -> None:
    result = slm("algorithms", "mup")
    assert "arXiv 2203.03466" in result.stdout
    assert "red-1m, red-2m" in result.stdout
    assert "blue" not in result.stdout


@pytest.mark.parametrize(("command", "name"), [("datasets", "The Pile"), ("algorithms", "muP")])
def test_json_has_the_models(command: str, name: str) -> None:
    one = json.loads(slm(command, name, "--json").stdout)
    assert one["name"] == name
    assert one["source"]["kind"] in {"reported", "derived", "recalled"}
    assert one["models"][:2] == ["red-1m", "red-2m"]
    assert one in json.loads(slm(command, "--json").stdout)


@pytest.mark.parametrize(("command", "name"), [("datasets", "Teh Pile"), ("algorithms", "mu-P")])
def test_an_unknown_name_is_one_line_and_2(command: str, name: str) -> None:
    result = slm(command, name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert "Did you mean" in result.stderr
    assert f"slm models {command}" in result.stderr


def test_families_are_counted(three: tuple[Model, ...]) -> None:
    assert families(three) == "Red (2), Blue"
    assert families(()) is None
