"""Retrieval from long texts, made here from a seed: a number hidden in filler, to a length in the model's own tokens.

`passkey` hides one number at a depth from 0 (the beginning) to 1 (the end). `multikey` hides nine, each under a word,
at depths of eighths, and asks for one of them: its questions share their text, so that it is read once. An answer
counts if its first number is the one asked for.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from slm_atlas.evals.suites import SuiteTask

VERSION = "1"
"""Raised with any change of what is generated."""
ANSWER_TOKENS = 16
"""Room for the answer; the prompt has the rest of the length."""
DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where the number stands that is asked for."""
N_TEXTS = 2
"""Texts a length, each asked at every depth."""
N_ITEMS = N_TEXTS * len(DEPTHS)
"""Items a length."""
N_KEYS = 9
"""Numbers in a text of `multikey`."""

FILLER = (
    "The ferry left the harbour a little late because of the fog.",
    "Somebody had painted the gate green, and nobody knew who.",
    "In the afternoon the wind turned and the kites came down.",
    "The baker opened the shutters before the street was awake.",
    "A grey cat slept on the wall between the two gardens.",
    "The old map showed a bridge where there was only water now.",
    "Children were building a dam of stones across the stream.",
    "The train crossed the plain without stopping at any station.",
    "Her uncle repaired clocks and talked to them while he worked.",
    "Most of the apples had already fallen into the long grass.",
    "The library smelled of dust, leather and rain.",
    "They carried the piano up the stairs with a great deal of shouting.",
    "A lamp burned in the window of the farthest house.",
    "The road to the quarry is steep and rarely used.",
    "On market days the square is full by seven in the morning.",
    "The gardener kept his seeds in tins that once held tea.",
    "Snow lay on the north side of the roofs until April.",
    "The musicians tuned their instruments and waited for the singer.",
    "From the tower one can see the river and both of its mills.",
    "The letter had been opened and closed again with great care.",
    "It rained for three days, and then the frogs began to sing.",
    "The shepherd counted his flock twice and was content.",
    "Behind the station there is a yard with broken carriages.",
    "The cook put the bread on the table and said nothing.",
)
KEYS = ("amber", "basil", "cedar", "denim", "ember", "fjord", "grove", "heron", "ivory", "jasper", "kelp", "linen")

Encode = Callable[[str], Sequence[int]]
"""From a text to the tokens a prompt of it has."""


class _Plan(NamedTuple):
    """A text before it is cut to length: what stands before and after it, and what is hidden where."""

    opening: str
    needles: tuple[tuple[float, str], ...]
    question: str
    answer: str
    depth: float


def recipe(task: SuiteTask) -> dict[str, Any]:
    """All that determines the items of a task, beside the model's tokenizer."""
    return {
        "version": VERSION,
        "filler": FILLER,
        "length": task.length,
        "depths": DEPTHS,
        "plans": [plan for text in range(N_TEXTS) for plan in _plans(task.base, text)],
    }


def documents(task: SuiteTask, encode: Encode) -> list[dict[str, Any]]:
    """The items of a task: `prompt`, `answer`, `depth` (of the text), `tokens` (of the prompt) and `id`.

    Args:
        task: the task, with its length.
        encode: the model's tokenizer, with what it puts before a prompt.

    Raises:
        ValueError: the length leaves no room for a sentence.
    """
    assert task.length is not None
    room = task.length - ANSWER_TOKENS
    found = []
    for text in range(N_TEXTS):
        sentences = _sentences(random.Random(f"{VERSION} filler {text}"), room, encode)
        for plan in _plans(task.base, text):
            prompt, tokens = _fitted(plan, sentences, room, encode)
            facts = {"prompt": prompt, "answer": plan.answer, "depth": plan.depth, "tokens": tokens}
            found.append({"id": f"text {text + 1}, depth {plan.depth:.0%}", **facts})
    return found


def _plans(kind: str, text: int) -> Iterator[_Plan]:
    return _passkeys(text) if kind == "passkey" else _multikeys(text)


def _passkeys(text: int) -> Iterator[_Plan]:
    draw = random.Random(f"{VERSION} passkey {text}")
    for depth in DEPTHS:
        number = str(draw.randrange(10000, 100000))
        needle = f"The pass key is {number}. Remember it: {number} is the pass key."
        opening = "There is a pass key hidden in the text below. Find it and remember it.\n\n"
        yield _Plan(opening, ((depth, needle),), "\n\nWhat is the pass key? The pass key is", number, depth)


def _multikeys(text: int) -> Iterator[_Plan]:
    draw = random.Random(f"{VERSION} multikey {text}")
    words, numbers = draw.sample(KEYS, N_KEYS), draw.sample(range(10000, 100000), N_KEYS)
    places = [place / (N_KEYS - 1) for place in range(N_KEYS)]
    pairs = zip(places, words, numbers, strict=True)
    needles = tuple((place, f"The number of {word} is {number}.") for place, word, number in pairs)
    opening = "There are numbers hidden in the text below, each under a word. Remember them.\n\n"
    for depth in DEPTHS:
        asked = places.index(depth)
        question = f"\n\nWhat is the number of {words[asked]}? The number of {words[asked]} is"
        yield _Plan(opening, needles, question, str(numbers[asked]), depth)


def _sentences(draw: random.Random, room: int, encode: Encode) -> list[str]:
    """Filler for at least `room` tokens."""
    nothing = len(encode(""))
    sizes = {sentence: max(1, len(encode(f" {sentence}")) - nothing) for sentence in FILLER}
    found, total = [], 0
    while total < room:
        found.append(draw.choice(FILLER))
        total += sizes[found[-1]]
    return found


def _fitted(plan: _Plan, sentences: Sequence[str], room: int, encode: Encode) -> tuple[str, int]:
    """The prompt with as many sentences as fit, and its tokens."""
    n = len(sentences)
    while n > 0:
        prompt = _assembled(plan, sentences[:n])
        tokens = len(encode(prompt))
        if tokens <= room:
            return prompt, tokens
        # By what it is too long, at the length of these sentences; one at least.
        n -= max(1, (tokens - room) * n // tokens)
    raise ValueError(f"{room} tokens are too few for the question")


def _assembled(plan: _Plan, sentences: Sequence[str]) -> str:
    pieces = list(sentences)
    for depth, needle in sorted(plan.needles, reverse=True):
        pieces.insert(round(depth * len(sentences)), needle)
    return plan.opening + " ".join(pieces) + plan.question
