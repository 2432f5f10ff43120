"""Nodes of several processes added up by part and by operator: on made-up nodes whose sums are known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.errors import Outcome
from slm_atlas.insights.frame import Dataset, rows
from slm_atlas.insights.profiles import Breakdown, Ceilings, breakdown, profiles
from slm_atlas.store.profiles import PHASES, Node, Observed, to_samples
from slm_atlas.store.records import Artifact, Host, Run, RunKind


def node(part: str, op: str, share: float, *, name: str = "x", calls: float = 1.0, flops: float = 0.0) -> Node:
    return Node(part=part, op=op, name=name, dtype="f32", share=share, calls=calls, flops=flops, bytes=100.0)


def seen(*nodes: Node, plain: float = 1.0, timed: float = 1.0) -> Observed:
    return Observed(plain=(plain,), timed_s=timed, empty_s=0.0, nodes=nodes)


NODES = (
    node("attention", "MUL_MAT", 0.3, name="Qcur", flops=60.0),
    node("ffn", "MUL_MAT", 0.5, name="ffn_up", flops=80.0),
    node("norm", "RMS_NORM", 0.2, name="norm"),
)


def shares(found: Breakdown, by: str) -> dict[str, float]:
    return {line.label: line.share.value for line in getattr(found, by)}


def test_shares_are_by_part_by_operator_and_by_node() -> None:
    found = breakdown([seen(*NODES)])
    assert shares(found, "parts") == pytest.approx({"attention": 0.3, "ffn": 0.5, "norm": 0.2})
    assert list(shares(found, "parts")) == ["attention", "ffn", "norm"]
    assert shares(found, "operators") == pytest.approx({"MUL_MAT": 0.8, "RMS_NORM": 0.2})
    assert [line.label for line in found.nodes] == [
        "ffn: MUL_MAT ffn_up (f32)",
        "attention: MUL_MAT Qcur (f32)",
        "norm: RMS_NORM norm (f32)",
    ]


def test_what_is_no_part_of_a_model_stands_last() -> None:
    found = breakdown([seen(node("other", "CONT", 0.6), node("lm_head", "MUL_MAT", 0.4))])
    assert list(shares(found, "parts")) == ["lm_head", "other"]


def test_seconds_are_scaled_to_the_plain_total_and_rates_follow_from_them() -> None:
    found = breakdown([seen(*NODES, plain=20.0, timed=30.0)], Ceilings(read_bytes_per_s=50, flops=70))
    ffn = next(line for line in found.parts if line.label == "ffn")
    assert (ffn.seconds, ffn.flops_per_s, ffn.bytes_per_s) == pytest.approx((10.0, 8.0, 10.0))
    assert (ffn.of_flops, ffn.of_bandwidth) == pytest.approx((8 / 70, 0.2))
    norm = next(line for line in found.parts if line.label == "norm")
    assert (norm.flops_per_s, norm.of_flops) == (None, None)  # no matrix product is no zero
    assert (found.overhead.value, found.plain_s.value) == (1.5, 20.0)


def test_intervals_are_over_processes() -> None:
    runs = [seen(node("ffn", "A", x), node("norm", "B", 1 - x)) for x in (0.4, 0.5, 0.6)]
    one, three = breakdown(runs[:1]), breakdown(runs)
    assert (one.parts[0].share.n, one.parts[0].share.low) == (1, None)
    line = next(line for line in three.parts if line.label == "ffn")
    assert (line.share.n, line.share.value) == (3, 0.5)
    assert line.share.low is not None
    assert line.share.low < 0.5


process = st.dictionaries(
    st.tuples(st.sampled_from(["ffn", "attention", "other"]), st.sampled_from(["MUL_MAT", "ADD", "CPY"])),
    st.floats(0.01, 10),
    min_size=1,
)


@given(st.lists(process, min_size=1, max_size=4), st.floats(0.001, 100))
def test_shares_always_add_up(processes: list[dict[tuple[str, str], float]], plain: float) -> None:
    # Something is in every process, or all medians could be zero.
    whole = [{**found, ("lm_head", "GEMM"): 50.0} for found in processes]
    parts = [[node(*kind, share=took / sum(one.values())) for kind, took in one.items()] for one in whole]
    found = breakdown([seen(*nodes, plain=plain) for nodes in parts])
    for lines in (found.parts, found.operators, found.nodes):
        assert sum(line.share.value for line in lines) == pytest.approx(1.0)
        assert sum(line.seconds for line in lines) == pytest.approx(plain)


HOST = Host(
    id="0f" * 8, cpu="Some CPU", arch="x86_64", cores=2, flags="avx2", memory_bytes=2**33, system="Linux 6",
    python="3.11.9",
)  # fmt: skip


def artifact(name: str, params: int) -> Artifact:
    return Artifact(
        sha256=name, name=name, model_id=None, origin=name, forged=True, architecture="qwen2", quantization="Q4_K_M",
        params=params, size_bytes=params, tensor_bytes={"Q4_K": params},
    )  # fmt: skip


def run(name: str, replicate: int, *, prompt: int = 50, outcome: Outcome = Outcome.OK) -> Run:
    calibrated = "2026-11-24" if replicate else None
    ceilings = {"read_bytes_per_s": 1e10 * (1 + replicate), "flops": 1e12, "calibrated_at": calibrated, "more": 1}
    return Run(
        key=f"{name} {replicate} {prompt}", kind=RunKind.PROFILE, artifact=name, host=HOST.id, engine="fake",
        settings={"n_prompt": prompt, "n_gen": 50}, replicate=replicate, outcome=outcome, cause=None, log_tail="",
        started_at="2026-11-24T10:00:00Z", elapsed_s=1.0, notes={"ceilings": ceilings}, atlas_version="0.1.0",
    )  # fmt: skip


def dataset(*runs: Run) -> Dataset:
    files = {name: artifact(name, params) for name, params in (("small", 10), ("large", 20))}
    samples = [sample for phase in PHASES for sample in to_samples(phase, seen(*NODES))]
    return Dataset(
        files, {HOST.id: HOST}, list(runs), {run.key: samples if run.outcome is Outcome.OK else [] for run in runs}
    )


class TestProfiles:
    def test_a_profile_is_one_model_measured_in_one_way(self) -> None:
        found = profiles(dataset(run("large", 0), run("small", 0), run("small", 1), run("small", 0, prompt=8)))
        assert [(each.name, each.settings["n_prompt"], each.n_runs) for each in found] == [
            ("small", 50, 2),
            ("small", 8, 1),
            ("large", 50, 1),
        ]
        assert shares(found[0].phases["decode"], "parts")["ffn"] == pytest.approx(0.5)

    def test_runs_that_ended_badly_are_kept_in_sight(self) -> None:
        (found,) = profiles(dataset(run("small", 0), run("small", 1, outcome=Outcome.CRASHED)))
        assert (found.n_runs, [failed.outcome for failed in found.failures]) == (1, [Outcome.CRASHED])

    def test_a_model_all_of_whose_runs_failed_has_no_phases(self) -> None:
        (found,) = profiles(dataset(run("small", 0, outcome=Outcome.REFUSED)))
        assert (found.phases, found.n_runs, found.prefill, found.ceilings) == ({}, 0, None, None)

    def test_rates_stand_beside_the_highest_ceiling_of_the_runs(self) -> None:
        (found,) = profiles(dataset(run("small", 0), run("small", 1)))
        assert found.ceilings == Ceilings(read_bytes_per_s=2e10, flops=1e12, calibrated_at="2026-11-24")

    def test_profiles_are_no_costs(self) -> None:
        assert rows(dataset(run("small", 0))) == []
