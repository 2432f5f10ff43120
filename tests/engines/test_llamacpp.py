"""llama.cpp through a worker, on a forged model and on a real one: numbers that agree, failures that are told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slm_atlas.engines import NOT_WRITTEN, Conversion, LoadReport, LoadSettings, MemoryReport, Score, Worker
from slm_atlas.errors import EngineCrashed, EngineError, EngineRefused
from slm_atlas.models.header import read_header
from slm_atlas.units import MIB

from .asking import generate, score

pytestmark = pytest.mark.engine

DEADLINE_S = 60
CONTEXT = 256
PROMPT = [5, 99, 301, 7, 42, 42, 8, 200]


def loading(path: Path, context: int = CONTEXT, *, batch: int = 2048, micro_batch: int = 512) -> LoadSettings:
    return LoadSettings(path=str(path), context=context, batch=batch, micro_batch=micro_batch, threads=1)


@pytest.fixture(scope="module")
def llama(tiny_model: Path) -> Iterator[Worker]:
    """The tiny model, loaded once; what a test leaves in the cache must not matter to the next."""
    with Worker(deadline_s=DEADLINE_S) as worker:
        worker.load(loading(tiny_model))
        yield worker


def logprobs(scores: list[Score]) -> list[float]:
    return [score.logprob for score in scores]


# ---- what it is, what it holds ------------------------------------------------------------------------------------


def test_it_says_which_build_it_is(llama: Worker) -> None:
    info = llama.describe()
    assert info.name == "llamacpp"
    assert "llama-cpp-python" in info.version
    assert "CPU" in info.build


def test_a_load_reports_what_was_granted(llama: Worker, tiny_model: Path) -> None:
    report = llama.load(loading(tiny_model, 300, micro_batch=64))
    assert 300 <= report.context <= 512
    assert (report.n_vocab, report.micro_batch, report.threads) == (512, 64, 1)
    assert report.model_params == read_header(tiny_model).params
    assert 0 < report.load_s < DEADLINE_S
    llama.load(loading(tiny_model))


def test_memory_is_read_from_the_log_of_the_load(llama: Worker) -> None:
    memory = llama.memory()
    assert memory.kv_bytes == pytest.approx(
        2 * 2 * 64 * 2 * CONTEXT * 2, rel=0.02
    )  # K and V, heads, width, layers, f16
    assert memory.model_bytes > 0.6 * MIB
    assert memory.repacked_bytes <= memory.model_bytes
    assert (memory.compute_bytes or 0) > 0
    assert 0 < memory.process_baseline_bytes < memory.process_peak_bytes


def test_memory_is_of_the_last_load_alone(llama: Worker, tiny_model: Path) -> None:
    small = llama.memory()
    llama.load(loading(tiny_model, 2 * CONTEXT))
    assert llama.memory().kv_bytes == pytest.approx(2 * small.kv_bytes)
    assert llama.memory().model_bytes == small.model_bytes
    llama.load(loading(tiny_model))


# ---- time ---------------------------------------------------------------------------------------------------------


def test_times_are_positive_and_one_a_token(llama: Worker) -> None:
    assert 0 < llama.prefill(PROMPT) < DEADLINE_S
    times = llama.decode([1, 2, 3])
    assert len(times) == 3
    assert all(0 < elapsed < DEADLINE_S for elapsed in times)


def test_a_prompt_longer_than_a_batch_is_read_in_parts(tiny_model: Path) -> None:
    tokens = [place * 7 % 512 for place in range(100)]
    with Worker(deadline_s=DEADLINE_S) as worker:
        worker.load(loading(tiny_model, batch=16, micro_batch=8))
        worker.prefill(tokens)
        parts = score(worker, tokens, [[3, 4]])
        worker.load(loading(tiny_model))
        whole = score(worker, tokens, [[3, 4]])
    assert logprobs(parts) == pytest.approx(logprobs(whole), abs=0.05)  # other kernels, in another order


def test_a_full_context_is_refused_and_the_engine_goes_on(llama: Worker) -> None:
    granted = CONTEXT
    llama.prefill([1] * (granted - 2))
    llama.decode([1, 2])
    with pytest.raises(EngineRefused, match=f"KV cache of {granted} tokens is full"):
        llama.decode([3])
    with pytest.raises(EngineRefused, match="full"):
        llama.prefill([1] * (granted + 1))
    with pytest.raises(EngineRefused, match="exceed the context"):
        score(llama, [1] * granted, [[2, 3]])
    assert llama.prefill(PROMPT) > 0
    assert len(score(llama, PROMPT, [[1]])) == 1


def test_a_token_outside_the_vocabulary_is_refused(llama: Worker) -> None:
    with pytest.raises(EngineRefused):
        llama.prefill([512])
    assert llama.prefill(PROMPT) > 0


# ---- meaning ------------------------------------------------------------------------------------------------------

TOKENS = st.lists(st.integers(0, 511), min_size=1, max_size=6)
SHARED = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_probabilities_of_all_tokens_sum_to_one(llama: Worker) -> None:
    scores = score(llama, PROMPT, [[token] for token in range(512)])
    assert sum(math.exp(score.logprob) for score in scores) == pytest.approx(1, abs=1e-6)
    (best,) = (token for token, score in enumerate(scores) if score.greedy)
    assert scores[best].logprob == max(logprobs(scores))


@SHARED
@given(prefix=TOKENS, first=st.integers(0, 511), rest=TOKENS)
def test_the_chain_rule_holds(llama: Worker, prefix: list[int], first: int, rest: list[int]) -> None:
    (both,) = score(llama, prefix, [[first, *rest]])
    (head,) = score(llama, prefix, [[first]])
    (tail,) = score(llama, [*prefix, first], [rest])
    assert both.logprob == pytest.approx(head.logprob + tail.logprob, abs=1e-3)
    assert both.greedy == (head.greedy and tail.greedy)


@SHARED
@given(before=TOKENS, shared=TOKENS, continuations=st.lists(TOKENS, min_size=1, max_size=4))
def test_what_was_read_before_does_not_matter(
    llama: Worker, before: list[int], shared: list[int], continuations: list[list[int]]
) -> None:
    llama.prefill([0])  # nothing is shared with this
    fresh = score(llama, shared, continuations)
    score(llama, [*shared, *before], [[1]])
    again = score(llama, shared, continuations)
    backwards = score(llama, shared, continuations[::-1])[::-1]
    assert logprobs(again) == pytest.approx(logprobs(fresh), abs=1e-3)
    assert logprobs(backwards) == pytest.approx(logprobs(fresh), abs=1e-3)


def test_scoring_needs_tokens_on_both_sides(llama: Worker) -> None:
    for prefix, continuations in (([], [[1]]), ([1], [[1], []])):
        with pytest.raises(EngineRefused, match="at least one token"):
            score(llama, prefix, continuations)


def test_generation_needs_a_prompt(llama: Worker) -> None:
    with pytest.raises(EngineRefused, match="at least one token"):
        generate(llama, [], max_tokens=1)


def test_a_forged_model_has_no_words(llama: Worker) -> None:
    with pytest.raises(EngineRefused, match="no tokenizer"):
        llama.tokenize("hello")
    assert llama.prefill(PROMPT) > 0


def test_an_unknown_kv_type_is_refused_with_the_known_ones(llama: Worker, tiny_model: Path) -> None:
    with pytest.raises(EngineRefused, match="q8_0"):
        llama.load(LoadSettings(path=str(tiny_model), kv_type="q3"))
    llama.load(loading(tiny_model))


# ---- broken files -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loader() -> Iterator[list[Worker]]:
    """A worker to load broken files with, put in place of one that died."""
    workers = [Worker(deadline_s=DEADLINE_S)]
    yield workers
    workers[-1].close()


def failure(loader: list[Worker], path: Path, content: bytes | None) -> EngineError:
    """How loading a file of this content fails; `None`: there is no file."""
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((EngineRefused, EngineCrashed)) as caught:
        loader[-1].load(loading(path))
    if isinstance(caught.value, EngineCrashed):
        loader[-1].close()
        loader[-1] = Worker(deadline_s=DEADLINE_S)
    return caught.value


def broken(whole: bytes, header_bytes: int) -> dict[str, bytes | None]:
    return {
        "missing": None,
        "empty": b"",
        "zeros": bytes(100_000),
        "magic alone": whole[:4],
        "cut in its counts": whole[:20],
        "cut in its metadata": whole[:200],
        "cut in its list of tensors": whole[: header_bytes - 100],
        "cut after its header": whole[:header_bytes],
        "cut in its weights": whole[: (header_bytes + len(whole)) // 2],
        "cut by a byte": whole[:-1],
        "another format": b"GGML" + whole[4:],
        "a version to come": whole[:4] + b"\xff\0\0\0" + whole[8:],
        "too many tensors": whole[:8] + b"\xff" * 8 + whole[16:],
        "an unknown architecture": whole.replace(b"llama", b"lemur"),
        "no such tensor": whole.replace(b"blk.1.attn_q", b"blk.1.attn_x"),
        "a type that does not exist": whole.replace(b"general.architecture\x08", b"general.architecture\x7f"),
    }


@pytest.mark.parametrize("name", broken(b"", 0))
def test_a_broken_file_is_a_failure_with_its_cause_and_log(
    name: str, loader: list[Worker], tiny_model: Path, tmp_path: Path
) -> None:
    whole, header = tiny_model.read_bytes(), read_header(tiny_model)
    content = broken(whole, header.data_offset)[name]
    assert content != whole
    found = failure(loader, tmp_path / "broken.gguf", content)
    assert found.cause.strip()
    assert found.log_tail.strip()
    loader[-1].load(loading(tiny_model))
    assert loader[-1].prefill(PROMPT) > 0


def test_each_refusal_has_its_own_log(loader: list[Worker], tmp_path: Path) -> None:
    logs = [failure(loader, tmp_path / f"{name}.gguf", None).log_tail for name in ("first", "second")]
    assert "first.gguf" in logs[0]
    assert logs[1].rindex("second.gguf") > logs[1].rindex("first.gguf")


@pytest.mark.slow
def test_no_single_wrong_byte_in_the_header_ends_in_anything_but_a_load_or_a_failure(
    loader: list[Worker], tiny_model: Path, tmp_path: Path
) -> None:
    whole = tiny_model.read_bytes()
    path = tmp_path / "broken.gguf"
    failures = 0
    for place in range(0, read_header(tiny_model).data_offset, 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            report = loader[-1].load(loading(path))
            assert isinstance(report, LoadReport)
        except (EngineRefused, EngineCrashed) as error:
            failures += bool(error.cause)
            if isinstance(error, EngineCrashed):
                loader[-1].close()
                loader[-1] = Worker(deadline_s=DEADLINE_S)
    assert failures > 20


# ---- memory limits ------------------------------------------------------------------------------------------------


def test_what_does_not_fit_a_memory_limit_is_a_failure_and_what_does_is_loaded(tiny_model: Path) -> None:
    with Worker(deadline_s=DEADLINE_S, memory_limit_bytes=1024 * MIB) as worker:
        worker.load(loading(tiny_model))
        with pytest.raises((EngineRefused, EngineCrashed)) as caught:
            worker.load(loading(tiny_model, 4_000_000))  # a cache of 2 GB
    assert caught.value.cause.strip()
    assert caught.value.log_tail.strip()


# ---- a real model -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(real_model: Path) -> Iterator[Worker]:
    with Worker(deadline_s=DEADLINE_S) as worker:
        worker.load(loading(real_model))
        yield worker


@pytest.mark.parametrize(
    "text", ["The quick brown fox jumps.", "  two spaces\n\tand a tab", "naïve café, 北京 😀", "1 + 1 = 2"]
)
def test_text_survives(real: Worker, text: str) -> None:
    assert real.detokenize(real.tokenize(text)) == text


def test_control_tokens_count_where_they_are_asked_for(real: Worker) -> None:
    text = "<|im_start|>"
    assert len(real.tokenize(text)) > 1
    assert real.tokenize(text, special=True)[-1] == real.begin_of_text()  # which its tokenizer does not add


def test_no_tokens_are_no_text(real: Worker) -> None:
    assert real.detokenize([]) == ""
    assert real.tokenize("") == []


def test_it_knows_the_capital_of_france(real: Worker) -> None:
    prefix = real.tokenize("The capital of France is")
    paris, london = score(real, prefix, [real.tokenize(" Paris"), real.tokenize(" London")])
    assert paris.logprob > london.logprob
    assert paris.greedy


def test_generation_is_what_scores_as_greedy(real: Worker) -> None:
    prompt = real.tokenize("The capital of France is")
    found = generate(real, prompt, max_tokens=2)  # more would hold a line break, which has two tokenizations
    assert found.tokens == 2
    assert score(real, prompt, [real.tokenize(found.text)])[0].greedy


def test_generation_ends_at_a_stop_string(real: Worker) -> None:
    prompt = real.tokenize("One, two, three, four,")
    free = generate(real, prompt, max_tokens=12)
    assert not free.stopped
    stop = free.text[len(free.text) // 2 :][:3]
    found = generate(real, prompt, max_tokens=12, stop=["no such text", stop])
    assert found.stopped
    assert found.text == free.text[: free.text.index(stop)]
    assert found.tokens < free.tokens


def test_generation_ends_with_the_context(real: Worker) -> None:
    found = generate(real, real.tokenize("a") * (CONTEXT - 3), max_tokens=100)
    assert 0 < found.tokens <= 3
    assert not found.stopped


def test_parts_of_memory_sum_to_what_the_process_holds(real_model: Path) -> None:
    with Worker(deadline_s=DEADLINE_S) as worker:
        worker.load(loading(real_model))
        worker.prefill(list(range(1000, 1050)))
        memory: MemoryReport = worker.memory()
    weights = read_header(real_model)
    assert memory.model_bytes - memory.repacked_bytes <= real_model.stat().st_size
    assert memory.kv_bytes == pytest.approx(30 * 2 * 3 * 64 * 2 * CONTEXT, rel=0.01)
    assert weights.params == 134_515_008
    parts = memory.known_bytes
    held = memory.process_peak_bytes - memory.process_baseline_bytes
    assert 0.4 * parts < held < 1.3 * parts  # mapped pages of repacked weights may leave again


# ---- files --------------------------------------------------------------------------------------------------------


def test_a_file_is_written_again_in_other_types_beside_what_is_loaded(
    llama: Worker, tiny_model: Path, tmp_path: Path
) -> None:
    target, before = tmp_path / "x.gguf", llama.memory()
    text = "ä" * 100  # 200 bytes, of which 127 fit: not in the middle of a letter
    llama.quantize(
        Conversion(source=str(tiny_model), target=str(target), file_type=7, metadata={"a.b": text}, threads=1)
    )
    header = read_header(target)
    assert header.metadata["general.file_type"] == 7
    assert header.metadata["a.b"] == "ä" * 63
    assert header.params == read_header(tiny_model).params
    assert llama.memory().model_bytes == before.model_bytes
    assert llama.load(loading(target)).model_params == header.params
    llama.load(loading(tiny_model))


@pytest.mark.parametrize("kept", [100, 100_000])
def test_a_file_that_is_not_whole_is_not_written_again(
    llama: Worker, tiny_model: Path, tmp_path: Path, kept: int
) -> None:
    source = tmp_path / "cut.gguf"
    source.write_bytes(tiny_model.read_bytes()[:kept])
    with pytest.raises(EngineRefused) as caught:
        llama.quantize(Conversion(source=str(source), target=str(tmp_path / "x.gguf"), file_type=7))
    assert "\n" not in caught.value.cause
    assert caught.value.cause != NOT_WRITTEN


def test_a_place_that_cannot_be_written_is_told(llama: Worker, tiny_model: Path, tmp_path: Path) -> None:
    target = tmp_path / "nowhere" / "x.gguf"
    with pytest.raises(EngineRefused, match=f"^{NOT_WRITTEN}$"):
        llama.quantize(Conversion(source=str(tiny_model), target=str(target), file_type=7))
