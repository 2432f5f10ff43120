"""The precision of an evaluation: which copy is computed, and when `auto` takes one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.engines import LoadReport, LoadSettings
from slm_atlas.engines.fake import Fake
from slm_atlas.errors import EngineRefused
from slm_atlas.evals import Choice, Compute
from slm_atlas.evals.compute import GAIN, PASSES, choose, fastest, keep_choice, known_choice, loading, settled, weights
from slm_atlas.models.header import read_header
from slm_atlas.models.identify import quantization_label

NATIVE, BF16, F16 = Compute.NATIVE, Compute.BF16, Compute.F16
SECONDS = st.floats(1e-3, 1e3)


class Timed(Fake):
    """Takes as many milliseconds as its file is called, and says when it was asked."""

    def __init__(self, order: list[str]) -> None:
        super().__init__()
        self._order = order
        self._file = ""

    def load(self, settings: LoadSettings) -> LoadReport:
        self._file = settings.path
        if not self._file.isdecimal():
            raise EngineRefused(f"no such file as {self._file}")
        return super().load(settings)

    def prefill(self, tokens: object, *, depth: int = 0) -> float:
        self._order.append(self._file)
        return int(self._file) / 1e3


def chosen(files: dict[Compute, str], order: list[str] | None = None) -> Choice:
    seen: list[str] = [] if order is None else order
    return choose(lambda: Timed(seen), {compute: LoadSettings(path=name) for compute, name in files.items()})


def test_the_fastest_copy_is_taken_where_it_is_clearly_faster() -> None:
    assert chosen({NATIVE: "100", BF16: "50", F16: "40"}).compute is F16
    assert chosen({NATIVE: "100", BF16: "95", F16: "200"}).compute is NATIVE


@given(st.dictionaries(st.sampled_from([BF16, F16]), SECONDS), SECONDS)
def test_what_is_taken_gains_enough_and_nothing_is_faster(copies: dict[Compute, float], native: float) -> None:
    taken = fastest({NATIVE: [native], **{compute: [seconds] for compute, seconds in copies.items()}})
    if taken is NATIVE:
        assert all(native < GAIN * seconds for seconds in copies.values())
    else:
        assert native >= GAIN * copies[taken]
        assert copies[taken] == min(copies.values())


def test_passes_are_made_in_turn_after_one_that_warms_up() -> None:
    order: list[str] = []
    found = chosen({NATIVE: "3", F16: "2"}, order)
    assert order[:6] == ["3", "2", "3", "2", "2", "3"]
    assert found.prefill_s == {NATIVE: [0.003] * PASSES, F16: [0.002] * PASSES}


def test_a_copy_that_does_not_run_is_left_out_and_a_file_that_does_not_is_an_error() -> None:
    found = chosen({NATIVE: "3", BF16: "broken", F16: "1"})
    assert (found.compute, found.failed) == (F16, {BF16: "no such file as broken"})
    assert "bf16 left out: no such file" in found.words
    with pytest.raises(EngineRefused):
        chosen({NATIVE: "broken", F16: "1"})


def test_a_choice_is_known_for_the_same_file_machine_and_engine_alone() -> None:
    choice = chosen({NATIVE: "100", F16: "40"})
    keep_choice(choice, "ab" * 32, "host", "fake 1")
    assert known_choice("ab" * 32, "host", "fake 1") == choice
    others = [("cd" * 32, "host", "fake 1"), ("ab" * 32, "other", "fake 1"), ("ab" * 32, "host", "fake 2")]
    assert [known_choice(*other) for other in others] == [None] * 3


def test_natively_the_file_itself_is_computed(tiny_model: Path) -> None:
    assert weights(tiny_model, NATIVE) == tiny_model


@pytest.mark.parametrize("compute", [BF16, F16])
def test_else_a_copy_in_that_precision(tiny_model: Path, compute: Compute, own_home: Path) -> None:
    copy = weights(tiny_model, compute, engine="fake")
    assert own_home in copy.parents
    assert quantization_label(read_header(copy)) == compute.upper()
    assert weights(tiny_model, compute, engine="fake") == copy


def test_pytorch_takes_the_weights_as_they_are_in_another_number_type(tmp_path: Path) -> None:
    """No copy is made, nor a file stored in 16 bits computed in them unless asked."""
    path = tmp_path / "model.gguf"
    told = {compute: loading(path, compute, context=64, engine="torch") for compute in (NATIVE, BF16, F16)}
    assert {found.path for found in told.values()} == {str(path)}
    assert [found.dtype for found in told.values()] == ["float32", "bfloat16", "float16"]
    assert settled(BF16, "BF16", "torch") is BF16
    assert settled(BF16, "BF16", "llamacpp") is NATIVE
