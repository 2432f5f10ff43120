"""`slm models`: listing, filtering, showing."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from slm_atlas.catalog import load
from slm_atlas.catalog.architecture import Attention, BlockKind, Mla, PositionKind, QkNorm, SlidingWindow
from slm_atlas.catalog.schema import Model
from slm_atlas.cli.main import cli
from slm_atlas.cli.models import architecture_fields, attention_words


def slm(*args: str) -> Result:
    return CliRunner().invoke(cli, ["models", *args], catch_exceptions=False)


def listed(*args: str) -> list[str]:
    result = slm("list", "--json", *args)
    assert result.exit_code == 0
    return [model["id"] for model in json.loads(result.stdout)]


def test_the_list_has_a_line_for_every_model() -> None:
    lines = slm("list").stdout.splitlines()
    assert [line.split()[0] for line in lines[2:]] == [model.id for model in load.models()]


def test_json_is_the_catalogue() -> None:
    found = msgspec.json.decode(slm("list", "--json").stdout, type=tuple[Model, ...])
    assert found == load.models()


def test_filters_narrow_the_list() -> None:
    models = {model.id: model for model in load.models()}
    small, paper, others = listed("--max-params", "200M"), listed("--in-paper"), listed("--not-in-paper")
    assert small
    assert all(models[model].params <= 200_000_000 for model in small)
    assert sorted(paper + others) == sorted(models)
    assert set(listed("--family", "smollm", "--max-params", "200M")) == {"smollm-135m"}


def test_no_match_is_said_and_is_no_error() -> None:
    result = slm("list", "--family", "none")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No model" in result.stderr
    assert listed("--family", "none") == []


@pytest.mark.parametrize("model", [model.id for model in load.models()])
def test_every_model_can_be_shown_with_its_sources(model: str) -> None:
    result = slm("show", model)
    assert result.exit_code == 0
    found = load.get(model)
    for text in (found.name, found.organization, f"{found.params:,}", found.architecture.gguf or found.id):
        assert text in result.stdout
    for source in found.sources.values():
        assert source.where in result.stdout


def test_show_json_is_the_model() -> None:
    assert msgspec.json.decode(slm("show", "smollm-135m", "--json").stdout, type=Model) == load.get("smollm-135m")


def test_an_unknown_model_is_one_line_and_2() -> None:
    result = slm("show", "smollm-136m")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "slm models list" in result.stderr


def test_attention_in_words() -> None:
    window = SlidingWindow(size=512, full_every=6, theta=10_000.0)
    gemma = Attention(heads=4, kv_heads=1, head_dim=256, qk_norm=QkNorm.HEAD, window=window)
    assert attention_words(gemma) == (
        "MQA: 4 query heads, 1 key-value heads, 256 wide, norm on queries and keys (head), "
        "window of 512 tokens, every 6th layer sees all, theta 10,000 in the window"
    )
    mla = Mla(kv_lora_rank=256, q_lora_rank=768, qk_nope_head_dim=64, qk_rope_head_dim=32, v_head_dim=64)
    assert "latent 256 wide" in attention_words(Attention(heads=40, kv_heads=40, head_dim=96, mla=mla))


def test_unusual_architectures_are_told() -> None:
    shape = load.get("smollm-135m").architecture
    unusual = msgspec.structs.replace(
        shape,
        gguf=None,
        layers=3,
        norm=msgspec.structs.replace(shape.norm, bias=True, final=False),
        repeat=2,
        parallel=True,
        attention=Attention(heads=(3, 4, 5), kv_heads=1, head_dim=64),
        position=msgspec.structs.replace(shape.position, kind=PositionKind.LEARNED),
        embedding=msgspec.structs.replace(shape.embedding, tied=False, dim=512),
        blocks=(BlockKind.RECURRENT, BlockKind.RECURRENT, BlockKind.ATTENTION),
    )
    fields = architecture_fields(unusual)
    assert fields["layers"] == "3, each run 2 times in a row"
    assert "3 to 5 query heads" in str(fields["attention"])
    assert fields["in llama.cpp"] == "cannot run"
    assert str(fields["norm"]).endswith("learned: scale, offset, none before the head")
    assert fields["position"] == "learned"
    assert fields["embedding"] == "untied, 512 wide"
    assert fields["blocks"] == "2 recurrent, 1 attention"
    assert "side by side" in str(fields["block"])


class TestFile:
    def test_a_file_is_shown_type_by_type(self, tiny_model: Path) -> None:
        result = slm("show", str(tiny_model))
        assert result.exit_code == 0
        for words in ("llama", "1.31M (1,312,000)", "random (forged)", "Q4_K_M", "sha256"):
            assert words in result.stdout
        types = [line.split()[0] for line in result.stdout.splitlines()[-3:]]
        assert types == ["Q4_K", "Q6_K", "F32"]

    def test_json_adds_up(self, tiny_model: Path) -> None:
        found = json.loads(slm("show", str(tiny_model), "--json").stdout)
        assert found["path"] == str(tiny_model)
        assert found["file"]["size_bytes"] == tiny_model.stat().st_size
        assert sum(kind["share"] for kind in found["types"]) == pytest.approx(1)
        assert sum(kind["params"] for kind in found["types"]) == found["file"]["params"]
        bits = sum(8 * kind["size_bytes"] for kind in found["types"])
        assert found["bits_per_weight"] == pytest.approx(bits / found["file"]["params"])
        assert {kind["type"]: kind["bits_per_weight"] for kind in found["types"]}["Q4_K"] == 4.5

    def test_the_catalogue_knows_the_real_one(self, real_model: Path) -> None:
        found = json.loads(slm("show", str(real_model), "--json").stdout)["file"]
        assert found["model_id"] == "smollm2-135m"
        assert found["params"] == load.get("smollm2-135m").params
        assert not found["forged"]
        assert "smollm2-135m" in slm("show", str(real_model)).stdout

    @pytest.mark.parametrize("content", [None, b"", b"no model"])
    def test_a_file_that_is_missing_or_something_else_is_one_line(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "model.gguf"
        if content is not None:
            path.write_bytes(content)
        result = slm("show", str(path))
        assert (result.exit_code, result.stdout) == (2, "")
        assert len(result.stderr.splitlines()) == 1
