"""llama.cpp's nodes through a worker: what is timed is what the model computes, and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from slm_atlas.anatomy import Part, inventory
from slm_atlas.anatomy.costs import flops_per_token
from slm_atlas.bench import BenchSettings
from slm_atlas.bench.parts import part_of, parts_of
from slm_atlas.bench.profiling import Profiled, profile
from slm_atlas.catalog.architecture import Architecture
from slm_atlas.engines import EMPTY, LoadSettings, PhaseProfile, Profile, Worker
from slm_atlas.errors import EngineRefused, UserError
from slm_atlas.insights.profiles import breakdown
from slm_atlas.store.profiles import PHASES, Observed, from_samples

from .asking import score

pytestmark = pytest.mark.engine

DEADLINE_S = 60
PROMPT = list(range(20))
ANSWER = [7, 8, 9]
SETTINGS = BenchSettings(n_prompt=16, n_gen=4, repetitions=1, context=256, threads=1)


@pytest.fixture(scope="module")
def llama(tiny_model: Path) -> Iterator[Worker]:
    with Worker(deadline_s=DEADLINE_S) as worker:
        worker.load(LoadSettings(path=str(tiny_model), context=256, threads=1))
        yield worker


@pytest.fixture(scope="module")
def nodes(llama: Worker) -> Profile:
    return llama.profile(PROMPT, ANSWER, events=True)


@pytest.fixture(scope="module")
def run(tiny_model: Path) -> Profiled:
    with Worker(deadline_s=DEADLINE_S) as worker:
        return profile(worker, str(tiny_model), SETTINGS, seed=0)


def products(phase: PhaseProfile) -> float:
    """FLOPs of products with weights, in a pass."""
    return sum(node.flops for node in phase.nodes if node.op == "MUL_MAT") / len(phase.seconds)


def test_a_pass_is_a_prompt_or_a_token(nodes: Profile) -> None:
    assert (len(nodes.prefill.seconds), len(nodes.decode.seconds)) == (1, 3)
    for phase in (nodes.prefill, nodes.decode):
        assert all(len(node.seconds) == len(phase.seconds) for node in phase.nodes)
        assert sum(sum(node.seconds) for node in phase.nodes) <= sum(phase.seconds)


def test_nodes_of_all_layers_are_together(nodes: Profile, tiny_arch: Architecture) -> None:
    (gate,) = (node for node in nodes.decode.nodes if node.name == "ffn_gate")
    assert (gate.op, gate.weight, gate.dtype) == ("MUL_MAT", "blk.ffn_gate.weight", "q4_K")
    assert gate.calls == tiny_arch.layers * len(ANSWER)
    assert gate.flops == 2 * 256 * 512 * gate.calls
    weight, given, result = 256 * 512 * 144 / 256, 4 * 256, 4 * 512
    assert gate.bytes == (weight + given + result) * gate.calls


def test_products_with_weights_do_the_flops_of_the_inventory(nodes: Profile, tiny_arch: Architecture) -> None:
    assert products(nodes.decode) == flops_per_token(tiny_arch, depth=0)
    # In the last layer of a prefill only the last token goes on to the FFN.
    body = flops_per_token(tiny_arch, depth=0, head=0)
    last = 2 * sum(t.size for t in inventory(tiny_arch) if t.part is Part.FFN and t.layer == tiny_arch.layers - 1)
    after = 2 * tiny_arch.hidden * tiny_arch.vocab
    assert products(nodes.prefill) <= len(PROMPT) * body + after
    assert products(nodes.prefill) >= len(PROMPT) * (body - 2 * last) + after


def test_every_node_but_the_choice_of_the_last_token_has_a_part(nodes: Profile, tiny_model: Path) -> None:
    parts = parts_of(tiny_model)
    computed = [node for node in nodes.decode.nodes if node.op not in EMPTY]
    other = [node for node in computed if part_of(node.op, node.name, node.weight, parts) == "other"]
    assert {node.op for node in other} <= {"GET_ROWS"}


def test_events_follow_each_other(nodes: Profile, tiny_arch: Architecture) -> None:
    for phase in (nodes.prefill, nodes.decode):
        ends = 0.0
        for event in phase.events:
            assert event.start_s >= ends
            ends = event.start_s + event.elapsed_s
        assert ends <= phase.seconds[-1]
        assert {event.layer for event in phase.events} == {None, *range(tiny_arch.layers)}
        assert (phase.events[0].layer, phase.events[-1].layer) == (None, None)


def test_events_only_where_asked_for(llama: Worker) -> None:
    assert llama.profile(PROMPT, []).prefill.events == ()


def test_an_empty_answer_has_no_nodes(llama: Worker) -> None:
    assert llama.profile(PROMPT, []).decode == PhaseProfile(seconds=(), nodes=())


def test_it_leaves_the_plain_context_as_it_was(llama: Worker) -> None:
    before = (score(llama, PROMPT, [ANSWER]), llama.memory().compute_bytes, llama.memory().kv_bytes)
    llama.profile(ANSWER, ANSWER)
    assert (score(llama, PROMPT, [ANSWER]), llama.memory().compute_bytes, llama.memory().kv_bytes) == before


def test_a_prompt_longer_than_a_micro_batch_is_one_pass(tiny_model: Path) -> None:
    with Worker(deadline_s=DEADLINE_S) as worker:
        worker.load(LoadSettings(path=str(tiny_model), context=256, threads=1, micro_batch=16))
        long = worker.profile(list(range(40)), []).prefill
        short = worker.profile(list(range(16)), []).prefill
    assert len(long.seconds) == 1
    assert sum(node.calls for node in long.nodes) == 3 * sum(node.calls for node in short.nodes)


def test_more_than_the_context_holds_is_refused(llama: Worker) -> None:
    with pytest.raises(EngineRefused, match="KV cache"):
        llama.profile([1] * 600, [])
    assert llama.profile(PROMPT, []).prefill.seconds  # and it lives


def seen(run: Profiled, phase: str) -> Observed:
    found = from_samples(phase, run.samples)
    assert found is not None
    return found


def test_a_run_adds_up(run: Profiled) -> None:
    for observed in (seen(run, phase) for phase in PHASES):
        assert sum(node.share for node in observed.nodes) == pytest.approx(1)
        assert observed.plain_s > 0
        assert 0 < observed.empty_s < observed.timed_s
        found = breakdown([observed])
        assert sum(line.seconds for line in found.parts) == pytest.approx(observed.plain_s)
        # Which takes longest is the machine's affair; most time first is ours.
        assert {"MUL_MAT", "RMS_NORM"} <= {line.label for line in found.operators}
        assert list(found.operators) == sorted(found.operators, key=lambda line: -line.share.value)
        assert {line.label for line in found.parts} >= {"embedding", "attention", "ffn", "norm", "lm_head"}


def test_attention_takes_longer_at_a_depth(tiny_model: Path) -> None:
    with Worker(deadline_s=DEADLINE_S) as worker:
        deep = profile(
            worker,
            str(tiny_model),
            BenchSettings(n_prompt=16, n_gen=2, repetitions=1, context=1024, threads=1, depth=900),
            seed=0,
        )
    flops = {node.op: node.flops for node in seen(deep, "decode").nodes}
    assert flops["FLASH_ATTN_EXT"] >= 2 * 2 * 4 * 900 * 128  # layers, multiply-add, heads, depth, key and value
    before = {node.op: node.flops for node in seen(deep, "prefill").nodes}
    assert before["FLASH_ATTN_EXT"] >= 16 * 2 * 2 * 4 * 900 * 128  # the prompt comes after the depth
    assert len(deep.samples) < 300


@pytest.mark.parametrize(("prompt", "gen", "depth"), [(0, 4, 0), (16, 0, 0), (16, 4, -1), (300, 4, 0), (16, 4, 250)])
def test_what_makes_no_sense_is_said_before_anything_runs(prompt: int, gen: int, depth: int) -> None:
    settings = BenchSettings(n_prompt=prompt, n_gen=gen, context=256, depth=depth)
    with Worker("fake") as worker, pytest.raises(UserError, match=r"--(prompt|generate|context)"):
        profile(worker, "fake:ok", settings, seed=0)
