"""The sustained pass: equal depths in each round, bounded calls and samples, readings between rounds alone."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.bench import BenchSettings, measure
from slm_atlas.bench.host import HostState, host_state
from slm_atlas.bench.protocol import SWEEP_CHUNKS, SWEEP_TOKENS
from slm_atlas.bench.sustained import MAX_ROUNDS, MAX_SWEEP_S, ROUNDS, Pass, measure_sustained, sweep_of
from slm_atlas.engines.fake import Fake
from slm_atlas.errors import EngineRefused, UserError
from slm_atlas.insights.sustained import sustained

TOKEN_S, PER_DEPTH_S = 0.01, 2e-6
ASKED = BenchSettings(sustained_s=60.0)


class Machine(Fake):
    """A machine whose clock goes on with its work, whose cache costs, and which throttles at a time."""

    def __init__(self, *, throttles_s: float = 1e9, speed_after: float = 1.0, cuts: bool = True) -> None:
        super().__init__()
        self.now, self.cached, self.looked = 0.0, 0, 0
        self.calls: list[tuple[int, float]] = []
        """Of each call of decode: the depth at its beginning, and its seconds."""
        self.rests: list[float] = []
        self._throttles_s, self._speed_after, self._cuts = throttles_s, speed_after, cuts

    def prefill(self, tokens: Sequence[int], *, depth: int = 0) -> float:
        if depth and not self._cuts:
            raise EngineRefused("this engine cannot cut its cache")
        assert depth <= self.cached
        self.cached = depth + len(tokens)
        return self._spend(1e-4 * len(tokens))

    def decode(self, tokens: Sequence[int]) -> list[float]:
        first, times = self.cached, []
        for _ in tokens:
            times.append(self._spend(TOKEN_S + PER_DEPTH_S * self.cached))
            self.cached += 1
        self.calls.append((first, sum(times)))
        return times

    def look(self) -> HostState:
        self.looked += 1
        hot = self.now > self._throttles_s
        changes = {"temperature_c": 90.0 if hot else 60.0, "frequency_mhz": None, "steal_ticks": None}
        return msgspec.structs.replace(host_state(), **changes)

    def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now += seconds

    def sustained(self, settings: BenchSettings = ASKED) -> Pass:
        return measure_sustained(
            self, settings, 256, seed=0, clock=lambda: self.now, sleep=self.rest, look=self.look
        )  # fmt: skip

    def _spend(self, seconds: float) -> float:
        spent = seconds / (self._speed_after if self.now > self._throttles_s else 1.0)
        self.now += spent
        return spent


def values(found: Pass, metric: str) -> list[float]:
    return [sample.value for sample in found.samples if sample.metric == metric]


def test_every_round_is_at_the_same_depths_for_the_asked_time() -> None:
    machine = Machine()
    found = machine.sustained()
    depths = values(found, "sustained_depth")
    assert len(depths) == pytest.approx(ROUNDS * SWEEP_CHUNKS, rel=0.1)
    assert depths == depths[:SWEEP_CHUNKS] * (len(depths) // SWEEP_CHUNKS)
    firsts = {first for first, _ in machine.calls[1:]}
    assert len(firsts) == SWEEP_CHUNKS
    assert min(firsts) == ASKED.n_prompt
    at_s = values(found, "sustained_at_s")
    assert at_s == sorted(at_s)
    assert at_s[-1] <= machine.now - machine.rests[0]
    assert machine.now - machine.rests[0] == pytest.approx(60.0, rel=0.05)


def test_the_time_of_a_chunk_is_that_of_its_mean_depth() -> None:
    found = Machine().sustained()
    for depth, token_s in zip(values(found, "sustained_depth"), values(found, "sustained_token_s"), strict=True):
        assert token_s == pytest.approx(TOKEN_S + PER_DEPTH_S * depth)


def test_the_analysis_gives_back_what_the_machine_does() -> None:
    found = sustained(Machine(throttles_s=10 + 20.0, speed_after=0.6).sustained().samples)  # it rested for 10 s
    assert found is not None
    assert found.change_s == pytest.approx(20.0, abs=2.5)
    assert found.steady_to_burst.value == pytest.approx(0.6, rel=0.02)
    assert found.depth_cost_s is not None
    assert found.depth_cost_s.value == pytest.approx(1000 * PER_DEPTH_S, rel=0.02)
    assert (found.rounds[0].temperature_c, found.rounds[-1].temperature_c) == (60.0, 90.0)


def test_the_machine_is_looked_at_once_a_round() -> None:
    machine = Machine()
    found = machine.sustained()
    rounds = len(values(found, "sustained_token_s")) // SWEEP_CHUNKS
    assert machine.looked == rounds + 1
    assert len(values(found, "sustained_temperature_c")) == rounds


def test_what_the_system_does_not_say_is_absent_with_the_reason() -> None:
    found = Machine().sustained()
    assert set(found.absent) == {"sustained_frequency_mhz", "sustained_steal_share"}
    assert "clock" in found.absent["sustained_frequency_mhz"]


def test_an_engine_that_cannot_cut_its_cache_reads_the_prompt_anew() -> None:
    machine = Machine(cuts=False)
    depths = values(machine.sustained(), "sustained_depth")
    assert depths == values(Machine().sustained(), "sustained_depth")


def test_a_machine_that_becomes_faster_gives_no_more_samples_for_it() -> None:
    found = Machine(throttles_s=10 + 2.0, speed_after=1000.0).sustained()
    assert len(values(found, "sustained_token_s")) == MAX_ROUNDS * SWEEP_CHUNKS


@given(
    token_s=st.floats(1e-4, 20.0),
    seconds=st.floats(1.0, 86400.0),
    context=st.integers(128, 131072),
    prompt=st.integers(1, 100),
)
def test_a_sweep_fits_the_context_and_the_workers_deadline(
    token_s: float, seconds: float, context: int, prompt: int
) -> None:
    settings = BenchSettings(n_prompt=prompt, context=context, sustained_s=seconds)
    sweep = sweep_of(token_s, settings)
    assert sweep.start + SWEEP_CHUNKS * sweep.chunk <= context
    assert sweep.chunk >= SWEEP_TOKENS // SWEEP_CHUNKS
    assert sweep.repeats >= 1
    shortest = SWEEP_TOKENS // SWEEP_CHUNKS * token_s
    assert sweep.chunk * token_s <= max(MAX_SWEEP_S / SWEEP_CHUNKS, shortest) * 1.001


def test_the_pass_comes_last_and_changes_nothing_before_it() -> None:
    plain = measure(Fake(), "fake:ok", BenchSettings(), seed=0)
    longer = measure(Fake(), "fake:ok", BenchSettings(sustained_s=0.5), seed=0)
    assert longer.samples[: len(plain.samples)] == plain.samples
    rest = longer.samples[len(plain.samples) :]
    assert rest
    assert all(sample.metric.startswith("sustained_") for sample in rest)


def test_a_context_without_room_is_the_users_error() -> None:
    with pytest.raises(UserError, match=r"A context of 60 is too small for sustained use.*--context 132"):
        measure(Fake(), "fake:ok", BenchSettings(n_prompt=50, n_gen=5, context=60, sustained_s=1.0), seed=0)
