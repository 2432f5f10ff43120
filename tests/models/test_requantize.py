"""A model file in another format: of the types llama.cpp gives it, marked, kept, and there whole or not at all."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import gguf
import numpy as np
import psutil
import pytest

from slm_atlas import catalog
from slm_atlas.anatomy.costs import gqa_ratio
from slm_atlas.anatomy.quantization import Quantization, tensor_types
from slm_atlas.catalog.architecture import Architecture
from slm_atlas.engines import LoadSettings, Pair, Worker
from slm_atlas.errors import UserError
from slm_atlas.models import requantize as module
from slm_atlas.models.forge import Order, forge, stored
from slm_atlas.models.header import Header, read_header
from slm_atlas.models.identify import identify, quantization_label, sha256_of, type_name
from slm_atlas.models.reading import architecture
from slm_atlas.models.requantize import requantize, requantized, requantized_bytes, requantized_path
from waiting import wait_until

from . import requantizing

Q = Quantization
engine = pytest.mark.engine


def types_of(header: Header) -> dict[str, str]:
    return {tensor.name: type_name(tensor.type_number) for tensor in header.tensors}


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def source(tiny_arch: Architecture, tmp_path: Path) -> Path:
    """A file whose quantizer is well-behaved; the fake engine behaves as the folder is called."""
    return forge(Order("Tiny", tiny_arch, Q.Q4_1), tmp_path / "tiny.gguf")


def in_folder(source: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file by a relative path, which tells the fake engine how to behave."""
    monkeypatch.chdir(source.parent)
    path = Path(name) / "tiny.gguf"
    path.parent.mkdir()
    shutil.copyfile(source, path)
    return path


# ---- llama.cpp's quantizer ------------------------------------------------------------------------------------------


@engine
@pytest.mark.parametrize("label", [Q.Q8_0, Q.Q4_K_M, Q.F16])
def test_the_file_has_the_types_of_its_label(source: Path, tiny_arch: Architecture, label: Q) -> None:
    path = requantized(source, label)
    header = read_header(path)
    assert quantization_label(header) == label
    assert types_of(header) == tensor_types(stored(tiny_arch), label, gqa=gqa_ratio(tiny_arch))
    assert sum(tensor.n_bytes for tensor in gguf.GGUFReader(path).tensors) == requantized_bytes(source, label)
    assert path.stat().st_size > requantized_bytes(source, label)


@engine
def test_sixteen_bits_hold_what_the_quantized_file_held(source: Path) -> None:
    before, after = (gguf.GGUFReader(path).tensors for path in (source, requantized(source, Q.F16)))
    values = {tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type) for tensor in before}
    for tensor in after:
        np.testing.assert_allclose(tensor.data, values[tensor.name], rtol=1e-3, atol=1e-6)


@engine
def test_it_is_marked_with_all_it_was_made_from(source: Path, tmp_path: Path) -> None:
    first = identify(requantized(source, Q.F16), "typed")
    assert (first.name, first.quantization, first.requantized_from) == ("Tiny (from Q4_1)", "F16", "Q4_1")
    assert first.forged
    again = tmp_path / "renamed.gguf"
    requantize(requantized(source, Q.F16), Q.Q8_0, again)
    second = identify(again, "typed")
    assert (second.name, second.requantized_from) == ("Tiny (from Q4_1, F16)", "Q4_1, F16")
    assert identify(source, "typed").requantized_from is None


@engine
@pytest.mark.slow
def test_the_real_model_in_every_format(real_model: Path) -> None:
    """Types as our anatomy predicts them, a tokenizer that stays, and scores near those of the file it is made from."""
    arch = architecture(read_header(real_model))
    assert arch == catalog.get("smollm2-135m").architecture
    # The weights of a quantized file are whole in 32 bits; its own kernels round what they are multiplied with too.
    exact = score(requantized(real_model, Q.F32))
    assert score(real_model).logprob == pytest.approx(exact.logprob, abs=1.0)
    # Guessing among 49,152 tokens would give -151; four bits that were rounded twice cost ten of that.
    for label, far in ((Q.F32, 0.01), (Q.F16, 0.3), (Q.BF16, 0.5), (Q.Q8_0, 2.0), (Q.Q4_0, 20.0), (Q.Q3_K_M, 20.0)):
        path = requantized(real_model, label)
        assert types_of(read_header(path)) == tensor_types(stored(arch), label, gqa=gqa_ratio(arch)), label
        assert identify(path, "x").name == "SmolLM2-135M-Instruct (from Q4_1)"
        found = score(path)
        assert found.tokens == exact.tokens
        assert found.logprob == pytest.approx(exact.logprob, abs=far), label
        path.unlink()


class Scored(NamedTuple):
    """What a model makes of a sentence."""

    tokens: list[int]
    logprob: float


def score(path: Path) -> Scored:
    with Worker(deadline_s=120) as worker:
        worker.load(LoadSettings(path=str(path), context=128))
        tokens = worker.tokenize("The capital of France is Paris, and the capital of Italy is Rome.")
        (found,) = worker.score([Pair(prefix=tokens[:1], continuation=tokens[1:])]).scores
    assert math.isfinite(found.logprob)
    return Scored(tokens, found.logprob)


# ---- kept -----------------------------------------------------------------------------------------------------------


@engine
def test_it_is_made_once_and_kept_by_the_content_of_its_source(source: Path, own_home: Path) -> None:
    told: list[tuple[int, int]] = []
    path = requantized(source, Q.Q8_0, on_progress=lambda done, total: told.append((done, total)))
    assert path == own_home / "models" / "requantized" / f"{sha256_of(source)[:16]}-Q8_0.gguf"
    assert all(0 <= done <= total == requantized_bytes(source, Q.Q8_0) for done, total in told)
    made = path.stat()
    moved = source.rename(source.with_name("moved.gguf"))
    assert requantized(moved, Q.Q8_0) == path
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    assert left(path.parent) == [path.name]


def test_a_file_in_its_own_format_is_taken_as_it_is(source: Path, own_home: Path) -> None:
    assert requantized(source, Q.Q4_1) == source
    assert not own_home.exists()


def test_a_file_that_changes_has_another_copy(source: Path) -> None:
    before = requantized_path(source, Q.Q8_0)
    source.write_bytes(source.read_bytes() + b"\0")
    assert requantized_path(source, Q.Q8_0) != before


# ---- what goes wrong ------------------------------------------------------------------------------------------------


def test_what_is_no_whole_model_is_one_line(source: Path, tmp_path: Path) -> None:
    target, cut, text = tmp_path / "out" / "x.gguf", tmp_path / "cut.gguf", tmp_path / "text.gguf"
    cut.write_bytes(source.read_bytes()[:-1000])
    text.write_text("no model")
    for path, told in (
        (cut, "is cut short"),
        (text, "is not a whole GGUF"),
        (tmp_path / "no.gguf", "There is no file"),
    ):
        with pytest.raises(UserError, match=told):
            requantize(path, Q.Q8_0, target)
    assert not target.parent.exists()


def test_a_part_of_a_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x-00001-of-00003.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint16("split.count", 3)
    writer.add_tensor("token_embd.weight", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UserError, match=r"one of 3 parts of a model\. Try: llama-gguf-split --merge"):
        requantize(path, Q.Q8_0, tmp_path / "out.gguf")


@engine
def test_what_the_quantizer_does_not_know_is_one_line_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    writer = gguf.GGUFWriter(path, "unheard-of")
    writer.add_tensor("token_embd.weight", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(
        UserError, match=r"x\.gguf cannot be requantized to Q8_0: .*unheard-of.* Try: slm models"
    ) as caught:
        requantize(path, Q.Q8_0, tmp_path / "out.gguf")
    assert "\n" not in str(caught.value)
    assert left(tmp_path) == ["x.gguf"]


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [("refuse", "refuses to quantize this model"), ("abort", r"aborted \(SIGABRT\) during quantize")],
)
def test_a_quantizer_that_refuses_or_dies_is_one_line_and_leaves_nothing(
    source: Path, behaviour: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = in_folder(source, behaviour, monkeypatch)
    with pytest.raises(UserError, match=told) as caught:
        requantize(path, Q.Q8_0, Path("out") / "x.gguf", engine="fake")
    assert "\n" not in str(caught.value)
    assert left(Path("out")) == []


def test_a_quantizer_that_hangs_is_ended(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = in_folder(source, "hang", monkeypatch)
    monkeypatch.setattr(module, "DEADLINE_S", 2.0)
    with pytest.raises(UserError, match="no answer within 2 s during quantize"):
        requantize(path, Q.Q8_0, Path("out") / "x.gguf", engine="fake")
    assert left(Path("out")) == []


def test_a_disk_that_is_too_small_is_told_before(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type(shutil.disk_usage(tmp_path))(1000, 900, 100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"Cannot write .*x\.gguf: it takes 1\.3 MiB, and 100 B are free"):
        requantize(source, Q.Q8_0, tmp_path / "out" / "x.gguf")
    assert left(tmp_path / "out") == []


def start(source: Path, target: Path, of: str, limit: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, str(requantizing.__file__), str(source), str(target), of, str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))


@engine
@pytest.mark.parametrize("limit", [100, 200_000])  # within the header, within the weights
def test_a_disk_that_fills_is_told_in_one_line_and_leaves_nothing(source: Path, tmp_path: Path, limit: int) -> None:
    with start(source, tmp_path / "out" / "x.gguf", "llamacpp", limit) as child:
        told = child.communicate(timeout=60)[0].removeprefix("now\n")
    assert told.startswith(f"Cannot write {tmp_path / 'out' / 'x.gguf'}: the disk took ")
    assert "\n" not in told
    assert left(tmp_path / "out") == []


def test_a_killed_process_leaves_nothing_that_looks_like_a_model_and_the_next_removes_it(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, target = in_folder(source, "hang", monkeypatch), Path("out") / "x.gguf"
    with start(path, target, "fake") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "now\n"
        (worker,) = psutil.Process(child.pid).children()
        child.kill()
        child.wait()
        assert wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    (part,) = left(target.parent)
    assert (part[0], Path(part).suffix) == (".", ".part")
    requantize(Path("tiny.gguf"), Q.Q8_0, target, engine="fake")
    assert left(target.parent) == ["x.gguf"]


def test_an_engine_that_is_killed_is_one_line_and_leaves_nothing(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = in_folder(source, "hang", monkeypatch)

    def kill(done: int, _: int) -> None:
        if done:
            (worker,) = psutil.Process().children()
            worker.kill()

    before = threading.active_count()
    with pytest.raises(UserError, match=r"was killed \(SIGKILL; the system may be out of memory\) during quantize"):
        requantize(path, Q.Q8_0, Path("out") / "x.gguf", engine="fake", on_progress=kill)
    assert left(Path("out")) == []
    assert threading.active_count() == before
