"""The knee is where more threads stop paying, and what was tried stands beside it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from slm_atlas.bench import BenchSettings, Probe, find_knee
from slm_atlas.bench.knee import PASSES, ROUNDS, fewest
from slm_atlas.engines import LoadReport, LoadSettings
from slm_atlas.engines.fake import Fake
from slm_atlas.errors import EngineRefused

SETTINGS = BenchSettings(n_prompt=4, n_gen=20)


class Saturating(Fake):
    """Decode gets no faster with more than two threads; a prompt hardly counts."""

    loads: list[int]

    def __init__(self, loads: list[int]) -> None:
        super().__init__()
        self.loads = loads

    def load(self, settings: LoadSettings) -> LoadReport:
        self.loads.append(settings.threads)
        return super().load(settings)

    def prefill(self, tokens: Sequence[int], *, depth: int = 0) -> float:
        return 0.001 / self.loads[-1]

    def decode(self, tokens: Sequence[int]) -> list[float]:
        return [0.1 / min(self.loads[-1], 2)] * len(tokens)


def test_no_more_threads_than_pay() -> None:
    loads: list[int] = []
    knee = find_knee(lambda _: Saturating(loads), "fake:ok", SETTINGS, 6)
    assert knee.threads == 2
    assert loads == [1, 2, 4, 6, 6, 4, 2, 1]  # a fresh engine each, in turn
    assert len(loads) == ROUNDS * 4
    assert [probe.threads for probe in knee.probes] == [1, 2, 4, 6]
    assert (knee.n_prompt, knee.n_gen, knee.cores) == (4, 20, 6)
    assert PASSES > 1


def test_where_only_the_prompt_counts_all_cores_may_pay() -> None:
    probes = [Probe(threads=threads, prefill_s=1 / threads, decode_s=0.0) for threads in (1, 2, 4)]
    assert fewest(probes, 0) == 4


def test_an_engine_that_refuses_is_an_error() -> None:
    with pytest.raises(EngineRefused):
        find_knee(lambda _: Fake(), "fake:refuse", SETTINGS, 2)
