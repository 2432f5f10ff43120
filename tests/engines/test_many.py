"""Many texts at once against one text after another: the same numbers, on every kind of memory that a model has."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from anatomy.shapes import changed
from models.miniature import miniatures
from slm_atlas.anatomy.quantization import Quantization
from slm_atlas.engines import Generation, LoadSettings, Pair, Prompt
from slm_atlas.engines import generating as generating_module
from slm_atlas.engines.generating import Generator, Vocabulary
from slm_atlas.engines.llamacpp import LlamaCpp
from slm_atlas.models.forge import Order, forge

from .asking import Plain, generate

CONTEXT = 512
KINDS = ["llama", "bloom", "gemma2", "gemma3", "gemma4", "deepseek2", "falcon-h1", "granitehybrid", "lfm2", "qwen35"]
"""Rotary and linear positions, sliding windows, latent attention, and states beside or instead of a cache."""
OTHER_KERNELS = 0.01
"""Nats a token by which the order of summation changes a score in float16 weights."""
SILENT = Vocabulary(piece=lambda token: b"", ends=lambda token: False, text=lambda tokens: "")


def loading(path: Path, *, sequences: int = 8) -> LoadSettings:
    return LoadSettings(path=str(path), context=CONTEXT, micro_batch=64, threads=1, sequences=sequences)


def pairs(rng: random.Random, vocab: int, *, shots_tokens: int = 200) -> list[Pair]:
    """Two sets of shots, questions after them, choices after those; in no order."""

    def some(low: int, high: int) -> list[int]:
        return [rng.randrange(vocab) for _ in range(rng.randint(low, high))]

    found = []
    for shots in (some(shots_tokens - 10, shots_tokens + 10), some(2, 5)):
        for _ in range(3):
            question = shots + some(1, shots_tokens // 2 + 20)
            longest = (1, 1, 4, shots_tokens // 2 - 10)
            found += [Pair(prefix=question, continuation=some(1, most)) for most in longest]
    return rng.sample(found, len(found))


@pytest.fixture(scope="module", params=KINDS)
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    arch = changed(miniatures()[request.param], context=1024)
    return forge(Order(request.param, arch, Quantization.F16), tmp_path_factory.mktemp("small") / "x.gguf")


@pytest.mark.engine
def test_scores_are_those_of_one_text_after_another(small: Path) -> None:
    wanted = pairs(random.Random(1), 512, shots_tokens=100)
    with LlamaCpp() as engine:
        engine.load(loading(small))
        both = [*engine.score(wanted[:12]).scores, *engine.score(wanted[12:]).scores]  # something is held between them
        work = engine.score(wanted).work
    assert work.computed < 0.3 * work.asked
    plain = Plain(small, context=CONTEXT)
    for pair, found in zip(wanted, both, strict=True):
        expected = plain.score(pair)
        assert found.logprob == pytest.approx(expected.logprob, abs=OTHER_KERNELS * len(pair.continuation))
        assert found.greedy == expected.greedy
    plain.close()


@pytest.mark.engine
def test_a_context_of_a_few_tokens_still_scores(small: Path) -> None:
    """With fewer cells than sequences, llama.cpp cuts its batch down and aborts."""
    load = LoadSettings(path=str(small), context=16, micro_batch=16, threads=1)
    wanted = [Pair(prefix=[token, 2, 3], continuation=[4, token]) for token in range(60)]
    with LlamaCpp() as engine:
        engine.load(load)
        assert len(engine.score(wanted).scores) == 60


@pytest.mark.engine
@pytest.mark.parametrize("sequences", [pytest.param(1, marks=pytest.mark.slow), 3, 8])
def test_each_token_generated_is_the_likeliest(small: Path, sequences: int) -> None:
    """With fewer sequences than prompts they are refilled; the last prompt shares nothing with the others."""
    rng = random.Random(2)
    shots = [rng.randrange(512) for _ in range(150)]
    texts = [shots + [rng.randrange(512) for _ in range(rng.randint(1, 40))] for _ in range(6)]
    prompts = [Prompt(tokens=text, max_tokens=rng.randint(1, 12)) for text in [*texts, shots[5:50]]]
    told: dict[int, list[int]] = {}

    def keep(tokens: Sequence[int]) -> str:
        told[len(told)] = list(tokens)
        return str(len(told) - 1)

    with LlamaCpp() as engine:
        engine.load(loading(small, sequences=sequences))
        vocabulary = SILENT._replace(text=keep)
        many = engine._new_many(vocabulary)
        found = many.generate(prompts)
        many.close()
    plain = Plain(small, context=CONTEXT)
    for prompt, generation in zip(prompts, found.generations, strict=True):
        tokens = told[int(generation.text)]
        assert len(tokens) == generation.tokens == prompt.max_tokens
        assert plain.behind(Pair(prefix=prompt.tokens, continuation=tokens)) < OTHER_KERNELS
    plain.close()
    assert found.work.computed < 0.5 * found.work.asked


# ---- text ---------------------------------------------------------------------------------------------------------


class Script:
    """Stands in for a context: whatever it reads, the next token of each text is the next of a script."""

    def __init__(self, script: list[int]) -> None:
        self.script = script
        self.computed, self.compute_s = 0, 0.0

    def run(self, tokens: list[int], positions: list[int], runs: object, wanted: list[int]) -> list[list[float]]:
        self.computed += len(tokens)
        return [self._row(positions[place]) for place in wanted]

    def _row(self, position: int) -> list[float]:
        return [float(token == self.script[position]) for token in range(256)]

    def copy(self, source: int, target: int, length: int = -1) -> None: ...

    def cut(self, sequence: int, length: int = 0) -> None: ...

    def clear(self) -> None: ...


def scripted(text: str, *, max_tokens: int = 99, stop: tuple[str, ...] = ()) -> Generation:
    """What is generated where a model says this text, a byte a token; NUL ends it."""
    vocabulary = Vocabulary(
        piece=lambda token: bytes([token]),
        ends=lambda token: token == 0,
        text=lambda tokens: bytes(tokens).decode(errors="replace"),
    )
    script: object = Script([*text.encode(), 0])
    generator = Generator(script, vocabulary, sequences=3, context=200, size=8)  # type: ignore[arg-type]
    (found,) = generator.generate([Prompt(tokens=[1], max_tokens=max_tokens, stop=list(stop))]).generations
    return found


def test_a_stop_string_is_found_across_tokens_and_the_first_one_counts() -> None:
    assert scripted("one two three", stop=("ree", "two")) == Generation(text="one ", tokens=7, stopped=True)
    assert scripted("naïve", stop=("ï",)).text == "na"
    assert scripted("aab", stop=("ab",)) == Generation(text="a", tokens=3, stopped=True)


def test_generation_ends_at_the_end_of_text_or_the_limit() -> None:
    assert scripted("abc") == Generation(text="abc", tokens=3, stopped=True)
    assert scripted("abc", max_tokens=2) == Generation(text="ab", tokens=2, stopped=False)
    assert scripted("abc", max_tokens=0) == Generation(text="", tokens=0, stopped=False)


def test_prompts_that_share_little_are_read_apart() -> None:
    shots = list(range(40))
    prompts = [[*shots, 1], [7, 7, 7], [*shots, 2], [*shots[:30], 99]]
    found = [(sorted(group.places), group.shared) for group in generating_module.groups(prompts)]
    assert found == [([0, 2, 3], 30), ([1], 0)]


# ---- a real model -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(real_model: Path) -> Iterator[LlamaCpp]:
    with LlamaCpp() as engine:
        engine.load(LoadSettings(path=str(real_model), context=CONTEXT, threads=2))
        yield engine


@pytest.mark.engine
@pytest.mark.parametrize("shots_tokens", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_a_quantized_model_scores_as_it_does_one_text_after_another(
    real: LlamaCpp, real_model: Path, shots_tokens: int
) -> None:
    """Its activations are rounded to 8 bits, so that a difference in the seventh digit may become one in the second.

    One text after another differs from itself, too, where it lies elsewhere in the cache: that is the scale here.
    """
    wanted = pairs(random.Random(3), 49_000, shots_tokens=shots_tokens)
    found = real.score(wanted).scores
    whole, moved = (Plain(real_model, context=CONTEXT, threads=2, repack=True, displaced=n) for n in (0, 37))
    ours, own = [], []
    for pair, one in list(zip(wanted, found, strict=True))[:12]:
        expected, again = whole.score(pair), moved.score(pair)
        ours.append(abs(one.logprob - expected.logprob) / len(pair.continuation))
        own.append(abs(again.logprob - expected.logprob) / len(pair.continuation))
    whole.close()
    moved.close()
    # Half of a text's own differences are exactly zero, so the greatest is the scale. What is lost costs nats a token.
    assert statistics.median(ours) < max(own)
    assert max(ours) < 3 * max(own)


@pytest.mark.engine
def test_many_prompts_are_continued_as_one_alone_is_stopped(real: LlamaCpp) -> None:
    shots = "Question: How many legs has a dog?\nAnswer: four\n\n" * 3
    texts = [f"{shots}Question: How many legs has a {animal}?\nAnswer:" for animal in ("cat", "horse", "hen", "cow")]
    prompts = [Prompt(tokens=real.tokenize(text), max_tokens=30, stop=["\n"]) for text in texts]
    found = real.generate(prompts)
    assert all(generation.stopped and "\n" not in generation.text for generation in found.generations)
    assert [generation.text for generation in found.generations][:2] == [
        generate(real, prompt.tokens, max_tokens=30, stop=["\n"]).text for prompt in prompts[:2]
    ]
    assert found.work.computed < 0.6 * found.work.asked
