"""`slm quantize`: a whole file in another quantization, marked, or one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from slm_atlas.models.header import read_header
from slm_atlas.models.identify import quantization_label

from .atlas import document, slm, wrong


@pytest.mark.engine
def test_a_file_is_written_where_it_is_told_to_or_kept_in_the_home(
    tiny_model: Path, tmp_path: Path, own_home: Path
) -> None:
    path = tmp_path / "folder" / "x.gguf"
    result = slm("quantize", tiny_model, "--quant", "q8_0", "-o", path)
    assert (result.exit_code, result.stdout) == (0, f"{path}\n")
    assert result.stderr.startswith("Tiny (from Q4_K_M) Q8_0, ")
    assert "(Q8_0 100%, F32 0%)" in result.stderr
    assert not own_home.exists()
    kept = document("quantize", tiny_model, "--quant", "Q8_0")
    assert Path(kept["path"]).is_relative_to(own_home)
    assert Path(kept["path"]).read_bytes() == path.read_bytes()
    assert (kept["quantization"], kept["requantized_from"]) == ("Q8_0", "Q4_K_M")


@pytest.mark.engine
def test_what_is_shown_of_such_a_file_says_what_it_was(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    slm("quantize", tiny_model, "--quant", "F16", "-o", path)
    assert document("models", "show", path)["requantized_from"] == "Q4_K_M"
    assert quantization_label(read_header(path)) == "F16"


def test_wrong_input_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    assert "slm forge smollm-135m --quant Q8_0" in wrong("quantize", "smollm-135m", "--quant", "Q8_0")
    assert "is Q4_K_M already" in wrong("quantize", tiny_model, "--quant", "Q4_K_M")
    assert "There is no file" in wrong("quantize", tmp_path / "no.gguf", "--quant", "Q8_0")
    assert "not a whole GGUF" in wrong("quantize", __file__, "--quant", "Q8_0")
    assert "'Q9' is not one of" in wrong("quantize", tiny_model, "--quant", "Q9")
    assert "Missing option '--quant'" in wrong("quantize", tiny_model)


def test_a_file_is_not_written_over_itself(tiny_model: Path) -> None:
    before = tiny_model.read_bytes()
    assert "another --output" in wrong("quantize", tiny_model, "--quant", "Q8_0", "-o", tiny_model)
    assert tiny_model.read_bytes() == before
