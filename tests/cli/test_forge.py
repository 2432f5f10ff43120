"""`slm forge`: a whole file, said in one line."""

from __future__ import annotations

from pathlib import Path

from slm_atlas.anatomy import Quantization
from slm_atlas.models import locate
from slm_atlas.models.header import read_header

from .atlas import document, slm, wrong


def test_the_path_alone_goes_to_stdout(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "model.gguf"
    result = slm("forge", "smollm-135m", "--quant", "Q4_0", "--seed", 7, "--output", path)
    assert result.exit_code == 0
    assert result.stdout == f"{path}\n"
    assert "SmolLM-135M Q4_0, random weights" in result.stderr
    header = read_header(path)
    assert (header.params, header.metadata["slm_atlas.seed"]) == (134_515_008, 7)


def test_json_says_what_was_written_where_the_study_looks_for_it(own_home: Path) -> None:
    found = document("forge", "smollm-135m", "--quant", "Q4_0")
    path = Path(found["path"])
    assert path.stat().st_size == found["size_bytes"]
    assert path.is_relative_to(own_home)
    assert found["quantization"] == "Q4_0"
    before = path.stat().st_mtime_ns
    assert locate("smollm-135m", quantization=Quantization.Q4_0).path == path
    assert path.stat().st_mtime_ns == before


def test_an_unknown_model_is_one_line() -> None:
    assert "slm models list" in wrong("forge", "smollm-136m")
