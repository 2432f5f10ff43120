"""A task evaluated end to end on the fake engine: lm-eval's own scores, quiet, offline, quick to start."""

from __future__ import annotations

import json
import logging
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engines.asking import score
from slm_atlas.engines import LoadReport, LoadSettings, Pair, Score, Scores, Work, Worker
from slm_atlas.engines.fake import Fake
from slm_atlas.errors import EngineRefused, MissingExtra, OfflineError, UserError
from slm_atlas.evals import Suite, TaskResult, evaluate_task, find_task, suite, task_fingerprint, with_shots
from slm_atlas.store.records import Sample

SMOKE = suite("smoke")
FAKE = LoadSettings(path="fake:ok", context=2048)


def items(task: str) -> list[dict[str, Any]]:
    text = (SMOKE.folder / f"{task}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def of(result: TaskResult, metric: str) -> list[Sample]:
    return [sample for sample in result.samples if sample.metric == metric]


def logprobs(sample: Sample) -> list[float]:
    assert sample.detail is not None
    found: list[float] = sample.detail["logprobs"]
    return found


def best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


def test_a_choice_is_judged_by_log_probability_and_by_log_probability_per_character() -> None:
    result = evaluate_task(Fake(), FAKE, SMOKE, "smoke_commonsense")
    for item, plain, normed in zip(items(result.task), of(result, "acc"), of(result, "acc_norm"), strict=True):
        values = logprobs(plain)
        assert plain.value == (best(values) == item["answer"])
        per_character = [value / len(choice) for value, choice in zip(values, item["choices"], strict=True)]
        assert normed.value == (best(per_character) == item["answer"])
    assert 0 < sum(sample.value for sample in of(result, "acc_norm")) < 30


def test_log_probabilities_are_the_engines_own_after_the_tasks_prompt() -> None:
    result = evaluate_task(Fake(), FAKE, SMOKE, "smoke_reading", limit=3)
    for item, sample in zip(items(result.task)[:3], result.samples, strict=True):
        prompt = f"Passage: {item['passage']}\nQuestion: {item['question']}\nAnswer:"
        expected = score(Fake(), list(prompt.encode()), [list(b" no"), list(b" yes")])
        assert logprobs(sample) == [score.logprob for score in expected]


def test_samples_name_their_item_and_stand_in_the_order_of_the_items() -> None:
    result = evaluate_task(Fake(), FAKE, SMOKE, "smoke_completion")
    for metric in ("acc", "perplexity"):
        assert [sample.item for sample in of(result, metric)] == [item["id"] for item in items(result.task)]
        assert [sample.index for sample in of(result, metric)] == list(range(30))
    assert {sample.scope for sample in result.samples} == {"smoke_completion"}


def test_a_generated_answer_is_kept_as_text_and_as_read() -> None:
    class Answering(Fake):
        def detokenize(self, tokens: Sequence[int]) -> str:
            return " 14.0 marbles"[: len(tokens)]

    result = evaluate_task(Answering(), FAKE, SMOKE, "smoke_arithmetic", limit=2)
    first, second = result.samples
    assert (first.value, second.value) == (1.0, 0.0)
    assert first.detail is not None
    prompt_hash = first.detail["prompt_hash"]
    assert first.detail == {"target": "14", "text": " 14.0 marbles", "answer": "14.0", "prompt_hash": prompt_hash}


@pytest.mark.parametrize("task", [task.name for task in SMOKE.tasks])
def test_a_task_of_the_suite_runs_in_a_worker_with_its_fingerprint(task: str) -> None:
    with Worker("fake") as engine:
        result = evaluate_task(engine, FAKE, SMOKE, task, limit=2)
    assert (result.task_version, result.data_hash) == task_fingerprint(SMOKE, task)[:2]
    assert [sample.index for sample in of(result, SMOKE.task(task).metric)] == [0, 1]
    assert all(sample.value in (0.0, 1.0) for sample in result.samples if sample.metric != "perplexity")


def test_the_fingerprint_is_of_what_lm_eval_runs() -> None:
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(SMOKE.folder), include_defaults=False)
    for name, task in manager.load([task.name for task in SMOKE.tasks])["tasks"].items():
        assert str(task.VERSION) == task_fingerprint(SMOKE, name).version
        assert list(task.eval_docs) == items(name)


def test_choices_share_the_reading_of_their_prompt() -> None:
    result = evaluate_task(Fake(), FAKE, SMOKE, "smoke_commonsense")
    assert result.work.computed < 0.5 * result.work.asked


def test_all_that_a_normalization_needs_is_kept_of_a_choice() -> None:
    result = evaluate_task(Fake(), FAKE, SMOKE, "smoke_commonsense")
    for item, plain in zip(items(result.task), of(result, "acc"), strict=True):
        assert plain.detail is not None
        assert plain.detail["chars"] == [len(choice) for choice in item["choices"]]
        assert plain.detail["bytes"] == [len(choice.encode()) for choice in item["choices"]]
        assert plain.detail["target"] == item["answer"]
        assert len(plain.detail["greedy"]) == len(item["choices"])


def test_the_mass_on_true_answers_is_computed_from_what_is_kept(eval_rows: Path) -> None:
    result = evaluate_task(Fake(), FAKE, suite("paper"), "truthfulqa_mc2", limit=4, data=eval_rows)
    for sample in result.samples:
        assert sample.detail is not None
        likelihoods = [math.exp(value - max(logprobs(sample))) for value in logprobs(sample)]
        true = [value for value, label in zip(likelihoods, sample.detail["labels"], strict=True) if label]
        assert sample.value == pytest.approx(sum(true) / sum(likelihoods), rel=1e-6)


def test_where_each_choice_is_a_prompt_the_choice_is_what_is_measured(eval_rows: Path) -> None:
    result = evaluate_task(Fake(), FAKE, suite("paper"), "winogrande", limit=2, data=eval_rows)
    assert result.samples[0].detail is not None
    assert result.samples[0].detail["target"] in (0, 1)
    assert len(set(result.samples[0].detail["chars"])) == 2


def test_both_ways_of_reading_an_answer_are_kept_and_the_strict_one_counts(eval_rows: Path) -> None:
    class Answering(Fake):
        def detokenize(self, tokens: Sequence[int]) -> str:
            return " so it is 14"

    result = evaluate_task(Answering(), LoadSettings(path="fake:ok", context=9000), suite("paper"), "gsm8k", limit=1,
                           data=eval_rows)  # fmt: skip
    assert [sample.metric for sample in result.samples] == ["exact_match", "exact_match,flexible-extract"]
    assert result.samples[0].detail is not None
    assert (result.samples[0].detail["text"], result.samples[0].detail["answer"]) == (" so it is 14", "[invalid]")


def test_the_parts_of_a_task_are_one_run_and_a_limit_goes_through_them_in_turn(eval_rows: Path) -> None:
    class Telling(Fake):
        """Tells the choices apart, which the plain one does not where they are one letter, and does not keep to one."""

        def score(self, pairs: Sequence[Pair]) -> Scores:
            told = [Score(logprob=-float(7 * number % 5), greedy=False) for number, _ in enumerate(pairs)]
            return Scores(scores=told, work=Work())

    result = evaluate_task(Telling(), LoadSettings(path="fake:ok", context=9000), suite("paper"), "mmlu_5shot",
                           limit=60, data=eval_rows)  # fmt: skip
    parts = [(sample.detail or {})["part"] for sample in result.samples]
    assert len(result.samples) == 60
    assert len(set(parts)) == 57
    assert [sample.index for sample in result.samples] == list(range(60))
    assert len({sample.item for sample in result.samples}) == 60
    assert result.samples[1].item == "mmlu_abstract_algebra/1"


def test_words_and_bytes_of_a_text_are_kept(eval_rows: Path) -> None:
    result = evaluate_task(Fake(), FAKE, suite("language"), "wikitext", limit=2, data=eval_rows)
    with (eval_rows / "wikitext" / "test.jsonl").open(encoding="utf-8") as lines:
        page = json.loads(next(lines))["page"]
    first, detail = result.samples[0], result.samples[0].detail
    assert detail is not None
    assert (first.metric, detail["bytes"]) == ("bits_per_byte", len(page.encode()))
    assert first.value == pytest.approx(-detail["loglikelihood"] / detail["bytes"] / math.log(2))
    assert of(result, "word_perplexity")[0].value == pytest.approx(-detail["loglikelihood"] / detail["words"])


def test_a_text_longer_than_the_model_was_trained_on_is_refused(tiny_model: Path) -> None:
    load = LoadSettings(path=str(tiny_model), context=1024)
    with pytest.raises(EngineRefused, match="trained on 512 tokens of context; the task needs 1,024"):
        evaluate_task(Fake(), load, suite("long-context"), "passkey_1k")


def test_the_hub_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(**_: object) -> None:
        raise ConnectionError("Couldn't reach it\nafter 5 tries")

    monkeypatch.setattr("datasets.load_dataset", unreachable)
    with pytest.raises(OfflineError, match=r"^The Hub did not give .* Try: --data DIR[^\n]*$"):
        evaluate_task(Fake(), FAKE, suite("paper"), "piqa")


def test_code_is_not_run_without_leave_and_nothing_is_loaded(eval_rows: Path) -> None:
    with pytest.raises(UserError, match="humaneval runs code that the model writes"):
        evaluate_task(Fake(), LoadSettings(path="fake:refuse"), suite("paper"), "humaneval", data=eval_rows)


def test_too_few_worked_examples_are_said(eval_rows: Path) -> None:
    task = with_shots(find_task("mmlu"), 6)
    alone = Suite(name="lm-eval", title="", version=1, description="", comparable=True, tasks=(task,))
    with pytest.raises(UserError, match="mmlu_abstract_algebra has 5 worked examples, and 6"):
        evaluate_task(Fake(), FAKE, alone, task.name, data=eval_rows)


def test_prompts_longer_than_the_context_are_counted() -> None:
    short = LoadSettings(path="fake:ok", context=64)
    assert evaluate_task(Fake(), short, SMOKE, "smoke_reading", limit=5).truncated == 5
    assert evaluate_task(Fake(), FAKE, SMOKE, "smoke_reading", limit=5).truncated == 0


def test_the_context_is_the_one_asked_for_where_an_engine_grants_more() -> None:
    class Generous(Fake):
        def load(self, settings: LoadSettings) -> LoadReport:
            return msgspec.structs.replace(super().load(settings), context=4096)

    short = LoadSettings(path="fake:ok", context=64)
    assert evaluate_task(Generous(), short, SMOKE, "smoke_reading", limit=5).truncated == 5


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    evaluate_task(
        Fake(), FAKE, SMOKE, "smoke_reading", limit=2, on_progress=lambda done, total: told.append((done, total))
    )
    assert told == [(4, 4)]


@pytest.mark.parametrize(("value", "cause"), [(0.0, "all 4 log probabilities are 0"), (math.nan, "no finite number")])
def test_scores_that_say_nothing_are_refused(value: float, cause: str) -> None:
    class Mute(Fake):
        def score(self, pairs: Sequence[Pair]) -> Scores:
            return Scores(scores=[Score(logprob=value, greedy=False) for _ in pairs], work=Work())

    with pytest.raises(EngineRefused, match=cause):
        evaluate_task(Mute(), FAKE, SMOKE, "smoke_reading", limit=2)


def test_one_log_probability_without_a_value_spoils_the_run() -> None:
    class Failing(Fake):
        def score(self, pairs: Sequence[Pair]) -> Scores:
            failed = Score(logprob=-math.inf, greedy=False)
            return Scores(scores=[*super().score(pairs).scores[1:], failed], work=Work())

    with pytest.raises(EngineRefused, match="no finite number"):
        evaluate_task(Failing(), FAKE, SMOKE, "smoke_reading", limit=2)


def test_what_the_engine_refuses_passes_through() -> None:
    with Worker("fake") as engine, pytest.raises(EngineRefused, match="refuses to load"):
        evaluate_task(engine, LoadSettings(path="fake:refuse"), SMOKE, "smoke_reading")


def test_without_lm_eval_the_extra_is_named_and_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(MissingExtra, match=r"slm-atlas\[eval\]"):
        evaluate_task(Fake(), LoadSettings(path="fake:refuse"), SMOKE, "smoke_reading")


def test_an_unknown_task_is_a_users_error() -> None:
    with pytest.raises(UserError, match="no task 'nothing'"):
        evaluate_task(Fake(), FAKE, SMOKE, "nothing")


def test_lm_evals_log_is_as_it_was_afterwards() -> None:
    logger = logging.getLogger("lm_eval")
    before = logger.level
    evaluate_task(Fake(), FAKE, SMOKE, "smoke_reading", limit=1)
    assert logger.level == before


ALONE = """
import contextlib, socket, subprocess, sys, time
with contextlib.suppress(ImportError):
    import trio  # comes with selenium, and asks ldconfig for a library as it is imported
def refuse(*args, **kwargs): raise AssertionError(f"not allowed here: {args}")
socket.socket.connect = socket.getaddrinfo = subprocess.Popen.__init__ = refuse
from slm_atlas.engines import LoadSettings
from slm_atlas.engines.fake import Fake
from slm_atlas.evals import evaluate_task, suite
result = evaluate_task(Fake(), LoadSettings(path="fake:ok", context=2048), suite("smoke"), "smoke_reading")
assert len(result.samples) == 30 and "torch" not in sys.modules
print(time.process_time())
"""


def test_alone_it_is_quiet_needs_no_network_and_no_other_program_writes_no_file_and_starts_in_five_seconds(
    tmp_path: Path,
) -> None:
    home = {"HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", ALONE], env=home, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    # Processor time: that of the wall would depend on what else the machine does.
    assert float(done.stdout) < 5
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.engine
def test_a_real_model_scores_as_it_does_when_nothing_is_shared(real_model: Path) -> None:
    with Worker("llamacpp") as engine:
        result = evaluate_task(engine, LoadSettings(path=str(real_model), context=512), SMOKE, "smoke_reading", limit=2)
        for item, sample in zip(items(result.task)[:2], result.samples, strict=True):
            prompt = engine.tokenize(f"Passage: {item['passage']}\nQuestion: {item['question']}\nAnswer:", special=True)
            naive = []
            for choice in (" no", " yes"):
                score(engine, [0], [[0]])  # nothing is shared with this
                naive += [found.logprob for found in score(engine, prompt, [engine.tokenize(choice)])]
            # Kernels for 4 bits round in another way in another micro-batch.
            assert logprobs(sample) == pytest.approx(naive, abs=0.3)
    assert result.work.computed < result.work.asked
