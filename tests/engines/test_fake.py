"""The fake engine: what it says of itself, by which other tests are judged."""

from __future__ import annotations

import math

import pytest

from slm_atlas.engines import LoadSettings
from slm_atlas.engines.fake import DECODE_S, LIKELY, PREFILL_S_PER_TOKEN, Fake, next_token
from slm_atlas.errors import EngineRefused

from .asking import generate, score


@pytest.fixture
def fake() -> Fake:
    return Fake()


def test_probabilities_of_all_tokens_sum_to_one(fake: Fake) -> None:
    scores = score(fake, fake.tokenize("a"), [[token] for token in range(256)])
    assert sum(math.exp(score.logprob) for score in scores) == pytest.approx(1)
    assert [token for token, score in enumerate(scores) if score.greedy] == [ord("b")]


def test_a_score_is_the_sum_over_its_tokens(fake: Fake) -> None:
    likely, unlikely = score(fake, fake.tokenize("a"), [fake.tokenize("bcd"), fake.tokenize("bxd")])
    assert likely.logprob == pytest.approx(3 * math.log(LIKELY))
    assert unlikely.logprob == pytest.approx(math.log(LIKELY) + 2 * math.log((1 - LIKELY) / 255))
    assert (likely.greedy, unlikely.greedy) == (True, False)


def test_what_it_generates_is_what_it_finds_likely(fake: Fake) -> None:
    generated = generate(fake, fake.tokenize("a"), max_tokens=5)
    assert (generated.text, generated.tokens, generated.stopped) == ("bcdef", 5, False)
    assert score(fake, fake.tokenize("a"), [fake.tokenize(generated.text)])[0].greedy


def test_generation_ends_at_a_stop_string_and_at_the_end_of_text(fake: Fake) -> None:
    stopped = generate(fake, fake.tokenize("a"), max_tokens=99, stop=["f", "de"])
    assert (stopped.text, stopped.stopped) == ("bc", True)
    ended = generate(fake, fake.tokenize("x"), max_tokens=99)
    assert (ended.text, ended.stopped) == ("yz", True)
    assert next_token(ord("z")) == fake.begin_of_text()  # one token is both


def test_times_are_exact(fake: Fake) -> None:
    assert fake.prefill([1] * 50) == pytest.approx(50 * PREFILL_S_PER_TOKEN)
    assert fake.decode([1, 2, 3]) == [DECODE_S] * 3


@pytest.mark.parametrize("text", ["", "plain", "ä€😀"])
def test_text_survives(fake: Fake, text: str) -> None:
    assert fake.detokenize(fake.tokenize(text)) == text


def test_it_refuses_what_makes_no_sense(fake: Fake) -> None:
    with pytest.raises(EngineRefused):
        score(fake, [], [[1]])
    with pytest.raises(EngineRefused):
        score(fake, [1], [[1], []])
    with pytest.raises(EngineRefused):
        generate(fake, [], max_tokens=1)


def test_the_path_says_how_it_behaves(fake: Fake) -> None:
    assert fake.load(LoadSettings(path="/any/path.gguf", context=64, threads=3)).context == 64
    with pytest.raises(EngineRefused, match="refuses"):
        fake.load(LoadSettings(path="fake:refuse"))
    with pytest.raises(EngineRefused, match="refuses"):
        fake.load(LoadSettings(path="refuse/model.gguf"))


def test_one_mebibyte_is_left_unaccounted(fake: Fake) -> None:
    memory = fake.memory()
    assert memory.process_peak_bytes - memory.process_baseline_bytes - memory.known_bytes == 2**20
