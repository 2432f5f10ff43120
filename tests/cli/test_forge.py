"""`slm forge`: a whole file, said in one line, in a shape of the catalogue or one of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from slm_atlas import catalog
from slm_atlas.anatomy import Quantization, inventory
from slm_atlas.catalog import Architecture, Model, load
from slm_atlas.catalog.schema import Equivalent
from slm_atlas.models import locate
from slm_atlas.models.header import Header, read_header

from .atlas import document, slm, wrong

SHAPE = """
gguf = "llama"
layers = 2
hidden = 64
vocab = 128
context = 128
ffn = { intermediate = 96, gated = true, activation = "silu" }
norm = { kind = "rmsnorm", eps = 1e-5 }
position = { kind = "rope" }
embedding = { tied = true }
attention = { heads = 4, kv_heads = 2, head_dim = 16 }
"""
CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "vocab_size": 128,
    "tie_word_embeddings": True,
}
TENSORS = {("token_embd.weight", (128, 64)), ("blk.1.attn_k.weight", (32, 64)), ("blk.1.ffn_gate.weight", (96, 64))}


def tensors(path: Path) -> set[tuple[str, tuple[int, ...]]]:
    return {(tensor.name, tensor.shape) for tensor in read_header(path).tensors}


@pytest.fixture(autouse=True)
def tiny_catalogue(tiny_arch: Architecture, monkeypatch: pytest.MonkeyPatch) -> tuple[Model, ...]:
    """A catalogue of three models of two layers: one runs, one as an equivalent, one not at all."""
    foreign = msgspec.structs.replace(tiny_arch, gguf=None, repeat=2)
    changes: dict[str, str | int | float | bool] = {"gguf": "llama", "repeat": 1}
    runs = msgspec.structs.replace(load.get("smollm-135m"), id="tiny", name="Tiny", architecture=tiny_arch)
    found = (
        runs,
        msgspec.structs.replace(
            runs,
            id="tiny-odd",
            name="Tiny Odd",
            architecture=foreign,
            equivalent=Equivalent(changes=changes, differs="Each layer is run once."),
        ),
        msgspec.structs.replace(runs, id="tiny-never", name="Tiny Never", architecture=foreign),
    )
    monkeypatch.setattr(load, "models", lambda: found)
    monkeypatch.setattr(catalog, "models", lambda: found)
    return found


class TestModel:
    def test_the_path_alone_goes_to_stdout(self, tmp_path: Path, tiny_arch: Architecture) -> None:
        path = tmp_path / "deep" / "model.gguf"
        result = slm("forge", "tiny", "--quant", "Q4_0", "--seed", 7, "--output", path)
        assert result.exit_code == 0
        assert result.stdout == f"{path}\n"
        assert "Tiny Q4_0, random weights" in result.stderr
        header = read_header(path)
        assert header.params == sum(tensor.size for tensor in inventory(tiny_arch))
        assert header.metadata["slm_atlas.seed"] == 7

    def test_json_says_what_was_written_where_the_study_looks_for_it(self, own_home: Path) -> None:
        found = document("forge", "tiny", "--quant", "Q4_0")
        path = Path(found["path"])
        assert path.stat().st_size == found["size_bytes"]
        assert path.is_relative_to(own_home)
        assert (found["model"], found["quantization"], found["seed"]) == ("tiny", "Q4_0", 0)
        before = path.stat().st_mtime_ns
        assert locate("tiny", quantization=Quantization.Q4_0).path == path
        assert path.stat().st_mtime_ns == before

    def test_what_runs_as_an_equivalent_says_what_differs(self, tmp_path: Path) -> None:
        path = tmp_path / "odd.gguf"
        result = slm("forge", "tiny-odd", "--output", path)
        assert result.exit_code == 0
        assert result.stdout == f"{path}\n"
        assert result.stderr.splitlines()[0] == "Tiny Odd runs as llama. Each layer is run once."
        assert read_header(path).architecture == "llama"

    def test_what_runs_as_itself_says_nothing_of_the_kind(self, tmp_path: Path) -> None:
        assert "runs as" not in slm("forge", "tiny", "--output", tmp_path / "tiny.gguf").stderr

    def test_what_llama_cpp_runs_in_no_way_is_one_line(self, own_home: Path) -> None:
        line = wrong("forge", "tiny-never")
        assert "Tiny Never cannot be forged: llama.cpp does not run it." in line
        assert "slm estimate tiny-never" in line
        assert not list(own_home.rglob("*.gguf"))

    def test_an_unknown_model_is_one_line(self) -> None:
        assert "slm models list" in wrong("forge", "tiny-1")


class TestConfig:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("own.toml", SHAPE),
            ("own.toml", f"# My [architecture]\n{SHAPE}"),
            ("own.toml", f"[architecture]\n{SHAPE}"),
            ("own.toml", "".join(f"architecture.{line}\n" for line in SHAPE.strip().splitlines())),
            ("own.json", json.dumps(CONFIG)),
        ],
        ids=["keys", "keys and a comment", "heading", "dotted", "config.json"],
    )
    def test_a_shape_of_one_s_own_is_forged_beside_its_file(self, tmp_path: Path, name: str, text: str) -> None:
        config = tmp_path / name
        config.write_text(text)
        result = slm("forge", "--config", config, "--quant", "F16")
        assert result.exit_code == 0, result.stderr
        path = tmp_path / "own-F16.gguf"
        assert result.stdout == f"{path}\n"
        assert tensors(path) >= TENSORS
        assert "output.weight" not in dict(tensors(path))
        assert read_header(path).metadata["general.name"] == "own (random weights)"

    def test_toml_and_config_json_of_one_shape_are_one_shape(self, tmp_path: Path) -> None:
        headers: list[Header] = []
        for name, text in (("a.toml", SHAPE), ("b.json", json.dumps(CONFIG | {"rms_norm_eps": 1e-5}))):
            (tmp_path / name).write_text(text)
            headers.append(read_header(Path(document("forge", "--config", tmp_path / name)["path"])))
        first, second = headers
        assert first.tensors == second.tensors
        told = [{key: value for key, value in one.metadata.items() if key.startswith("llama.")} for one in headers]
        assert told[0] == told[1]

    def test_json_names_it_by_its_file(self, tmp_path: Path) -> None:
        config, path = tmp_path / "own.toml", tmp_path / "elsewhere.gguf"
        config.write_text(SHAPE)
        found = document("forge", "--config", config, "--output", path, "--seed", 3)
        assert (found["model"], found["quantization"], found["seed"]) == ("own", "Q4_K_M", 3)
        assert found["path"] == str(path)

    @pytest.mark.parametrize(
        ("old", "new", "says"),
        [
            ("hidden = 64", "width = 64", "own.toml: Object contains unknown field `width`"),
            ("hidden = 64", "", "own.toml: Object missing required field `hidden`"),
            ("hidden = 64", 'hidden = "64"', "own.toml: Expected `int`, got `str` - at `$.hidden`"),
            ("heads = 4,", "queries = 4,", "own.toml: Object contains unknown field `queries` - at `$.attention`"),
            ("kv_heads = 2", "kv_heads = 3", "own.toml: $.architecture.attention.kv_heads: 4 heads are not divisible"),
            ("kv_heads = 2", "kv_heads = [2]", "own.toml: $.architecture.attention.kv_heads: 1 values for 2 layers"),
            ("hidden = 64", "hidden = 0", "own.toml: $.architecture.hidden: 0 is not positive"),
            ("tied = true", "tied = true, dim = -4", "own.toml: $.architecture.embedding.dim: -4 is not positive"),
            ("head_dim = 16", "head_dim = 16, window = { size = 8, full_every = 0 }", "window.full_every: 0 is not"),
            ("layers = 2", "layers = 99_999_999", "own.toml: $.architecture.layers: 99999999 is more than 10,000"),
            ("vocab = 128", "vocab = 99_999_999_999", "own.toml: $.architecture.vocab: 99999999999 is more than"),
            ("layers = 2", "layers = ", "own.toml: Invalid value (at line 3, column 10)"),
            ('gguf = "llama"', "", "own cannot be forged: llama.cpp does not run it"),
            ('gguf = "llama"', 'gguf = "lama"', "own cannot be forged: llama.cpp does not run the architecture 'lama'"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_in_toml_is_named(self, tmp_path: Path, old: str, new: str, says: str) -> None:
        assert SHAPE.count(old) == 1
        config = tmp_path / "own.toml"
        config.write_text(SHAPE.replace(old, new))
        assert says in wrong("forge", "--config", config)
        assert not list(tmp_path.glob("*.gguf"))

    def test_under_the_heading_a_wrong_key_is_named_too(self, tmp_path: Path) -> None:
        config = tmp_path / "own.toml"
        config.write_text(f"[architecture]\n{SHAPE.replace('hidden = 64', 'width = 64')}")
        assert "own.toml: Object contains unknown field `width` - at `$.architecture`" in wrong(
            "forge", "--config", config
        )

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("{", "own.json: Expecting property name"),
            ("[1]", "own.json is not the configuration of a model"),
            ("[" * 100_000, "own.json: "),
            ("{}", "The configuration has no model_type"),
            (json.dumps(CONFIG | {"hidden_size": "wide"}), "hidden_size"),
            (json.dumps(CONFIG | {"model_type": "lama"}), "lama"),
            (json.dumps(CONFIG | {"num_key_value_heads": 3}), "4 heads are not divisible by 3"),
        ],
    )
    def test_what_is_wrong_in_a_config_json_is_named(self, tmp_path: Path, text: str, says: str) -> None:
        config = tmp_path / "own.json"
        config.write_text(text)
        assert says in wrong("forge", "--config", config)

    def test_a_file_that_cannot_be_read_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
        assert "There is no file" in wrong("forge", "--config", tmp_path / "none.toml")
        assert "Cannot read" in wrong("forge", "--config", tmp_path)
        assert "Cannot read" in wrong("forge", "--config", tmp_path / "bytes.toml")

    def test_it_is_a_model_or_a_shape_of_one_s_own(self, tmp_path: Path) -> None:
        assert "Give a MODEL, or --config." in wrong("forge")
        assert "Give a MODEL, or --config." in wrong("forge", "tiny", "--config", tmp_path / "own.toml")
