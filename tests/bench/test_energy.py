"""Energy: counters that start again, idle power taken off, and what cannot be told from the counter's steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slm_atlas.bench import BenchSettings, latency, measure
from slm_atlas.bench.energy import MIN_PHASE_S, Energy, Rapl, Zone, measure_energy, meter
from slm_atlas.engines.fake import Fake

IDLE_W = 5.0


class Machine(Fake):
    """A machine whose clock and counter go on with the work it does; it is a meter too."""

    def __init__(self, *, prefill_w: float = 25.0, decode_w: float = 15.0, step_j: float = 1e-4) -> None:
        super().__init__()
        self.now, self.used = 0.0, 0.0
        self.step_j, self._prefill_w, self._decode_w = step_j, prefill_w, decode_w

    def joules(self) -> float:
        return self.used

    def spend(self, seconds: float, watts: float = IDLE_W) -> None:
        self.now += seconds
        self.used += seconds * watts

    def prefill(self, tokens: Sequence[int], *, depth: int = 0) -> float:
        self.spend(0.5, self._prefill_w)
        return 0.5

    def decode(self, tokens: Sequence[int]) -> list[float]:
        self.spend(0.1 * len(tokens), self._decode_w)
        return [0.1] * len(tokens)

    def measured(self, answer: Sequence[int] = (1, 2, 3)) -> Energy:
        return measure_energy(self, self, [1] * 10, answer, clock=lambda: self.now, sleep=self.spend)


def write(root: Path, zone: str, name: str, microjoules: int, most: int = 1000) -> Path:
    folder = root / "sys/class/powercap" / zone
    folder.mkdir(parents=True)
    for file, value in {"name": name, "energy_uj": microjoules, "max_energy_range_uj": most}.items():
        (folder / file).write_text(f"{value}\n")
    return folder / "energy_uj"


class TestMeasuring:
    def test_idle_power_is_taken_off(self) -> None:
        found = Machine().measured()
        values = {sample.metric: sample.value for sample in found.samples}
        assert values["idle_w"] == pytest.approx(IDLE_W)
        assert values["prefill_token_j"] == pytest.approx(0.5 * (25 - IDLE_W) / 10)
        assert values["decode_token_j"] == pytest.approx(0.1 * (15 - IDLE_W))  # the prefills between do not count
        assert found.absent == {}

    def test_no_answer_is_no_decode(self) -> None:
        assert {sample.metric for sample in Machine().measured(()).samples} == {"idle_w", "prefill_token_j"}

    def test_each_phase_lasts_long_enough(self) -> None:
        machine = Machine()
        machine.measured()
        assert machine.now >= 3 * MIN_PHASE_S

    def test_coarse_steps_are_no_energy(self) -> None:
        found = Machine(step_j=1.0).measured()
        assert [sample.metric for sample in found.samples] == ["idle_w"]
        assert "the counter's steps are 5% of what was used" in found.absent["prefill_token_j"]

    def test_work_that_needs_no_preparation_is_read_once_a_second(self) -> None:
        found = Machine(step_j=0.3).measured()  # 1.5 % of a second's 20 J, 3 % of a prefill's
        assert "prefill_token_j" in {sample.metric for sample in found.samples}

    def test_what_idling_takes_as_well_is_no_energy(self) -> None:
        found = Machine(decode_w=IDLE_W - 1).measured()
        assert "no more was used" in found.absent["decode_token_j"]

    def test_a_counter_that_stands_still_is_told(self) -> None:
        assert "did not move" in Machine(step_j=0.0).measured().absent["prefill_token_j"]


class TestRapl:
    def test_packages_and_memory_are_added_and_their_parts_are_not(self, tmp_path: Path) -> None:
        counted = [write(tmp_path, "intel-rapl:0", "package-0", 0), write(tmp_path, "intel-rapl:0:2", "dram", 0)]
        parts = [write(tmp_path, "intel-rapl:0:0", "core", 0), write(tmp_path, "intel-rapl:1", "psys", 0)]
        found = meter(tmp_path)
        assert isinstance(found, Rapl)
        for counter in counted + parts:
            counter.write_text("100")
        assert found.joules() == pytest.approx(200e-6)

    @settings(max_examples=20, deadline=None)
    @given(st.lists(st.integers(0, 999), max_size=20))
    def test_a_counter_that_starts_again_loses_nothing(self, used: list[int]) -> None:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            counter = Path(folder) / "energy_uj"
            counter.write_text("500")
            found = Rapl([Zone("package-0", counter, 1000e-6)], clock=iter(range(9)).__next__)
            for place in range(len(used)):
                counter.write_text(str((500 + sum(used[: place + 1])) % 1000))
                assert found.joules() == pytest.approx(sum(used[: place + 1]) * 1e-6)

    def test_none_has_a_reason(self, tmp_path: Path) -> None:
        assert "no energy counter" in str(meter(tmp_path))

    def test_one_that_cannot_be_read_has_a_reason(self, tmp_path: Path) -> None:
        write(tmp_path, "intel-rapl:0", "package-0", 0).unlink()
        assert "cannot be read" in str(meter(tmp_path))


class TestRun:
    def test_without_a_counter_a_run_says_why(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(latency, "meter", lambda: "there is none")
        found = measure(Fake(), "fake:ok", BenchSettings(energy=True), seed=0)
        assert found.absent["energy"] == "there is none"

    def test_with_one_it_has_samples(self, monkeypatch: pytest.MonkeyPatch) -> None:
        machine = Machine()
        monkeypatch.setattr(latency, "meter", lambda: machine)
        monkeypatch.setattr(latency, "measure_energy", lambda *_: machine.measured())
        metrics = {sample.metric for sample in measure(Fake(), "fake:ok", BenchSettings(energy=True), seed=0).samples}
        assert {"idle_w", "prefill_token_j", "decode_token_j"} <= metrics
