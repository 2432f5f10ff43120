"""Measuring a run: the fake engine's exact numbers, and a warm-up that ends when it has done its work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.bench import BenchSettings, Measurement, measure
from slm_atlas.bench.protocol import MAX_WARMUP_PASSES, SETTLED_PASSES
from slm_atlas.engines import LoadReport, LoadSettings
from slm_atlas.engines.fake import DECODE_S, PREFILL_S_PER_TOKEN, Fake
from slm_atlas.errors import EngineRefused, UserError
from slm_atlas.units import MIB


class Scripted(Fake):
    """An engine whose prefill times are told in advance; it remembers what it was given."""

    def __init__(self, times_s: Iterator[float]) -> None:
        super().__init__()
        self._times_s = times_s
        self.prompts: list[tuple[int, ...]] = []
        self.loaded: LoadSettings | None = None

    def load(self, settings: LoadSettings) -> LoadReport:
        self.loaded = settings
        return super().load(settings)

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        raise EngineRefused("no tokenizer")

    def prefill(self, tokens: Sequence[int], *, depth: int = 0) -> float:
        self.prompts.append(tuple(tokens))
        return next(self._times_s)


def scripted(*times_s: float) -> Scripted:
    """Times of the first prefills; the last one is repeated for ever."""

    def endless() -> Iterator[float]:
        yield from times_s
        while True:
            yield times_s[-1]

    return Scripted(endless())


def values(found: Measurement, metric: str) -> list[float]:
    return [sample.value for sample in found.samples if sample.metric == metric]


def test_the_numbers_are_the_engines() -> None:
    settings = BenchSettings(n_prompt=20, n_gen=4, repetitions=3)
    found = measure(Fake(), "fake:ok", settings, seed=0)
    assert values(found, "prefill_s") == pytest.approx([20 * PREFILL_S_PER_TOKEN] * 3)
    assert values(found, "decode_s") == [DECODE_S] * 12
    assert values(found, "load_s") == [0.1]
    assert values(found, "warmup_passes") == [SETTLED_PASSES + 1]
    assert values(found, "peak_rss_bytes") == [18 * MIB]
    assert values(found, "unaccounted_bytes") == [MIB]
    assert found.load.context == settings.context


@given(st.integers(1, 40), st.integers(0, 10), st.integers(1, 5))
def test_there_is_a_sample_for_each_thing_timed(n_prompt: int, n_gen: int, repetitions: int) -> None:
    settings = BenchSettings(n_prompt=n_prompt, n_gen=n_gen, repetitions=repetitions)
    samples = measure(Fake(), "fake:ok", settings, seed=0).samples
    counted = Counter(sample.metric for sample in samples)
    assert counted["prefill_s"] == repetitions
    assert counted["decode_s"] == repetitions * n_gen
    assert len({(sample.metric, sample.index) for sample in samples}) == len(samples)


@pytest.mark.parametrize(
    ("times_s", "passes"),
    [
        ((1.0,), 3),  # settled from the start
        ((9.0, 3.0, 1.0), 5),  # slow first: two more after the best
        ((1.0, 0.96), 3),  # a gain within 5 % is none
        ((1.0, 0.9), 4),
        ((1.0, 5.0, 1.0), 3),  # a slow pass is noise, which more passes do not cure
    ],
)
def test_warm_up_ends_when_passes_get_no_faster(times_s: tuple[float, ...], passes: int) -> None:
    engine = scripted(*times_s)
    found = measure(engine, "fake:ok", BenchSettings(repetitions=2), seed=0)
    assert values(found, "warmup_passes") == [passes]
    assert len(engine.prompts) == passes + 2


def test_warm_up_is_capped_when_passes_always_get_faster() -> None:
    engine = scripted(*(0.9**power for power in range(40)))
    found = measure(engine, "fake:ok", BenchSettings(repetitions=1), seed=0)
    assert values(found, "warmup_passes") == [MAX_WARMUP_PASSES]
    assert values(found, "prefill_s") == [pytest.approx(0.9**MAX_WARMUP_PASSES)]  # no time of the warm-up is kept


def test_tokens_are_fresh_in_each_pass_and_follow_from_the_seed() -> None:
    engines = [scripted(1.0) for _ in range(3)]
    for engine, seed in zip(engines, (1, 1, 2), strict=True):
        measure(engine, "fake:ok", BenchSettings(n_prompt=16), seed=seed)
    same, again, other = (engine.prompts for engine in engines)
    assert same == again
    assert same != other
    assert len(set(same)) == len(same)
    assert all(len(prompt) == 16 and 0 <= min(prompt) <= max(prompt) < 256 for prompt in same)


def test_settings_reach_the_engine() -> None:
    engine = scripted(1.0)
    settings = BenchSettings(context=300, micro_batch=64, threads=3, kv_type="q8_0", flash_attention=True)
    measure(engine, "fake:some/path", settings, seed=0)
    assert engine.loaded == LoadSettings(
        path="fake:some/path", context=300, micro_batch=64, threads=3, kv_type="q8_0", flash_attention=True
    )


def test_what_does_not_fit_the_context_is_the_users_error() -> None:
    fits = BenchSettings(n_prompt=30, n_gen=20, context=50)
    assert measure(Fake(), "fake:ok", fits, seed=0).samples
    with pytest.raises(UserError, match=r"51 tokens do not fit a context of 50.*--context 51"):
        measure(Fake(), "fake:ok", BenchSettings(n_prompt=31, n_gen=20, context=50), seed=0)


def test_an_empty_prompt_is_the_users_error() -> None:
    with pytest.raises(UserError, match="one token at least"):
        measure(Fake(), "fake:ok", BenchSettings(n_prompt=0), seed=0)


def test_what_the_engine_refuses_is_passed_on() -> None:
    with pytest.raises(EngineRefused):
        measure(Fake(), "fake:refuse", BenchSettings(), seed=0)


def test_the_first_pass_is_kept_apart_from_the_warm_ones() -> None:
    engine = Scripted(iter([9.0, 5.0, 5.0, 5.1, 4.9, 5.0, 5.0]))
    found = measure(engine, "fake:ok", BenchSettings(n_prompt=4, n_gen=2, repetitions=2), seed=0)
    assert values(found, "cold_prefill_s") == [9.0]
    assert values(found, "cold_decode_s") == [DECODE_S] * 2
    assert 9.0 not in values(found, "prefill_s")


def test_what_a_user_waits_for_is_a_metric_of_its_own() -> None:
    found = measure(Fake(), "fake:ok", BenchSettings(n_prompt=30, n_gen=2, repetitions=2), seed=0)
    tokens = values(found, "ttft_prompt_tokens")
    assert tokens == [30, 30]
    assert values(found, "ttft_s") == pytest.approx([30 * PREFILL_S_PER_TOKEN + DECODE_S] * 2)


def test_a_model_without_a_tokenizer_has_no_such_time() -> None:
    found = measure(Scripted(iter([5.0] * 9)), "fake:ok", BenchSettings(n_prompt=4, n_gen=2), seed=0)
    assert values(found, "ttft_s") == []


def test_depth_prompt_and_answer_must_fit_the_context() -> None:
    with pytest.raises(UserError, match=r"60 tokens do not fit a context of 50"):
        measure(Fake(), "fake:ok", BenchSettings(n_prompt=20, n_gen=20, depth=20, context=50), seed=0)


def test_a_depth_is_read_once_and_kept() -> None:
    engine = Scripted(iter([7.0] + [5.0] * 9))
    measure(engine, "fake:ok", BenchSettings(n_prompt=4, n_gen=2, depth=32), seed=0)
    assert [len(prompt) for prompt in engine.prompts][:2] == [32, 4]
    assert {len(prompt) for prompt in engine.prompts[1:]} == {4}
