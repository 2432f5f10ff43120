"""Generated retrieval: as long as asked in the tokenizer's tokens, a number at its depth, the same everywhere."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

import pytest

from slm_atlas.engines import Generation, Generations, LoadSettings, Pair, Prompt, Scores, Work
from slm_atlas.engines.fake import Fake
from slm_atlas.evals import SuiteTask, evaluate_task, suite
from slm_atlas.evals.longcontext import ANSWER_TOKENS, DEPTHS, N_ITEMS, N_KEYS, documents
from slm_atlas.evals.suites import known_tasks, of_length

LONG = suite("long-context")


def words(text: str) -> list[int]:
    """A tokenizer of whole words, with a token before each text."""
    return [0, *(len(word) for word in re.findall(r"\s*\S+", text))]


def of_bytes(text: str) -> Sequence[int]:
    return list(text.encode())


@pytest.mark.parametrize("task", LONG.tasks, ids=lambda task: task.name)
def test_a_prompt_is_as_long_as_asked_within_a_few_sentences(task: SuiteTask) -> None:
    assert task.length is not None
    found = documents(task, words)
    assert len(found) == N_ITEMS
    for doc in found:
        assert doc["tokens"] == len(words(doc["prompt"])) <= task.length - ANSWER_TOKENS
        assert doc["tokens"] > 0.97 * task.length - ANSWER_TOKENS - 15


@pytest.mark.parametrize("kind", ["passkey", "multikey"])
def test_the_number_stands_at_its_depth(kind: str) -> None:
    found = documents(of_length(known_tasks()[kind], 2048), words)
    assert [doc["depth"] for doc in found] == [*DEPTHS, *DEPTHS]
    for doc in found:
        head, question = doc["prompt"].rsplit("\n\n", 1)
        body = head.split("\n\n", 1)[1]
        place = body.index(doc["answer"]) / len(body)
        assert abs(place - doc["depth"]) < 0.05
        assert doc["answer"] not in question
        assert len(set(re.findall(r"\d+", body))) == (1 if kind == "passkey" else N_KEYS)


def test_the_word_asked_for_is_that_of_the_number() -> None:
    for doc in documents(of_length(known_tasks()["multikey"], 1024), words):
        (word,) = set(re.findall(r"number of (\w+)", doc["prompt"].rsplit("\n\n", 1)[1]))
        assert f"The number of {word} is {doc['answer']}." in doc["prompt"]


def test_questions_of_one_text_share_all_but_the_question() -> None:
    found = documents(of_length(known_tasks()["multikey"], 1024), words)
    bodies = [doc["prompt"].rsplit("\n\n", 1)[0] for doc in found]
    assert len(set(bodies)) == 2


def test_it_is_the_same_on_every_machine() -> None:
    found = documents(of_length(known_tasks()["passkey"], 1024), of_bytes)
    digest = hashlib.sha256(json.dumps(found).encode()).hexdigest()
    assert digest[:16] == "b25dde63dde97ec4"


def test_a_length_too_short_for_the_question_is_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        documents(of_length(known_tasks()["multikey"], 64), words)


def test_an_answer_counts_by_its_first_number() -> None:
    task = LONG.task("passkey_1k")
    answers = {doc["prompt"]: doc["answer"] for doc in documents(task, of_bytes)}

    class Knowing(Fake):
        """Answers the prompt that was last read."""

        def generate(self, prompts: Sequence[Prompt]) -> Generations:
            texts = [f" {answers[bytes(prompt.tokens).decode()]}, 12." for prompt in prompts]
            told = [Generation(text=text, tokens=6, stopped=True) for text in texts]
            return Generations(generations=told, work=Work())

        def score(self, pairs: Sequence[Pair]) -> Scores:
            raise AssertionError("nothing is to be scored")

    load = LoadSettings(path="fake:ok", context=1024)
    right = evaluate_task(Knowing(), load, LONG, task.name)
    assert [sample.value for sample in right.samples] == [1.0] * N_ITEMS
    assert right.truncated == 0
    assert right.samples[2].detail is not None
    assert right.samples[2].detail["depth"] == 0.5
    wrong = evaluate_task(Fake(), load, LONG, task.name, limit=2)
    assert [sample.value for sample in wrong.samples] == [0.0, 0.0]
