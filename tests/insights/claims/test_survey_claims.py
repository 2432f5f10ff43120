"""The survey's claims: all there, each with a verdict somewhere, and right where the truth is known."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest

from insights.rows import given, row
from slm_atlas import catalog
from slm_atlas.catalog import paper
from slm_atlas.errors import Outcome
from slm_atlas.insights.claims import CLAIMS, Data, Evidence, Finding, Verdict, findings, of_catalogue, of_paper
from slm_atlas.insights.claims.abilities import ABILITIES, scored
from slm_atlas.insights.claims.evidence import EMPTY, releases
from slm_atlas.insights.claims.hardware import phone_tokens
from slm_atlas.insights.frame import Dataset, Row
from slm_atlas.store.profiles import PHASES, Node, Observed, to_samples
from slm_atlas.store.records import Artifact, Run, RunKind

IDS = [
    "A1",
    "A2",
    "A3",
    "D1",
    "D2",
    "D3",
    "D4",
    "C1",
    "C2",
    "C3",
    "C4",
    "I1",
    "I2",
    "X1",
    "L1",
    "L2",
    "L3",
    "Q1",
    "Q2",
    "Q3",
    "H1",
    "H2",
    "B1",
    "B2",
    "M1",
    "M2",
    "M3",
]
NEVER_MEASURED = {"X1"}


@cache
def on_facts(data: Data) -> dict[str, Finding]:
    evidence = of_paper() if data is Data.PAPER else of_catalogue()
    return {finding.claim.id: finding for finding in findings(CLAIMS, evidence, data)}


def on(rows: list[Row], artifacts: dict[str, Artifact] | None = None) -> dict[str, Finding]:
    evidence = Evidence(dataset=EMPTY._replace(artifacts=artifacts or {}), rows=rows)
    return {finding.claim.id: finding for finding in findings(CLAIMS, evidence, Data.MINE)}


def artifact(sha256: str, model_id: str) -> Artifact:
    model = catalog.get(model_id)
    return Artifact(
        sha256=sha256, name=model.name, model_id=model_id, origin=f"forge:{model_id}", forged=True,
        architecture="llama", quantization="Q4_K_M", params=model.params, size_bytes=1, tensor_bytes={},
    )  # fmt: skip


def measured(exponent: float, *, n: int = 30, scatter: float = 0.2, **spread: float) -> dict[str, Finding]:
    """Catalogued models of the paper whose costs grow with a power of their parameters, off by random ratios."""
    rng, models = np.random.default_rng(11), [model for model in catalog.models() if model.paper.v1][:n]
    rows, artifacts = [], {}
    for model in models:
        costs = {
            metric: given((model.params / 1e9) ** exponent * math.exp(rng.normal(0, spread.get(metric, scatter))))
            for metric in COSTS
        }
        artifacts[model.id] = artifact(model.id, model.id)
        rows.append(row(model.params, 1.0, name=model.name, artifact=model.id, architecture=model.id, metrics=costs))
    return on(rows, artifacts)


def test_every_claim_of_the_list_is_there_once() -> None:
    assert [claim.id for claim in CLAIMS] == IDS


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_claim_says_its_rule_and_what_it_needs(claim: Any) -> None:
    assert claim.sentence.endswith(".")
    assert "ails" in claim.rule or "annot fail" in claim.rule
    assert set(claim.tests) | set(claim.needs) == set(Data), "a data set that cannot speak says what it would need"
    assert claim.id in NEVER_MEASURED or on_facts(Data.PAPER)[claim.id].verdict is not Verdict.NO_DATA


def test_an_empty_store_has_no_data_and_says_what_would_give_some() -> None:
    found = on([])
    assert {finding.verdict for finding in found.values()} == {Verdict.NO_DATA}
    assert all(finding.lacking and finding.reason for finding in found.values())


@pytest.mark.parametrize("data", [Data.PAPER, Data.CATALOGUE])
def test_every_tested_claim_has_effect_interval_and_n(data: Data) -> None:
    for finding in on_facts(data).values():
        if finding.parts:
            assert finding.effect is not None
            assert finding.effect.low is not None
            assert finding.n > 0
            assert finding.reason.endswith(".")


def test_what_does_not_follow_from_the_survey_s_figures_is_said() -> None:
    found = on_facts(Data.PAPER)
    assert found["H2"].verdict is Verdict.FAILS
    assert "running mean" in (found["H2"].wording or "")
    assert "counted once they have 464M and 494M" in (found["L1"].wording or "")
    assert "Qwen2-0.5B the head takes less of decode" in (found["B2"].wording or "")
    assert found["M2"].wording is None


def test_the_phone_takes_the_same_time_for_each_token() -> None:
    drawn = [ms for _, ms in paper.fig9().decode["Meizu 18 Pro"]]
    assert drawn[-1] / drawn[0] > 1.8
    assert max(sorted(phone_tokens())[1:]) / sorted(phone_tokens())[1] < 1.1, "but for one token"


def test_placeholders_are_no_scores() -> None:
    assert len(scored("commonsense")) == 52
    assert len(scored("math")) == 52 - 15
    unknown = [one.name for one in scored("commonsense") if one.model is None]
    assert not unknown
    assert all(0 < one.score < 1 for ability in ABILITIES for one in scored(ability))


def test_sizes_of_a_family_in_a_month_are_one_release() -> None:
    pythia = [model for model in catalog.models() if model.family == "Pythia"]
    assert [len(release.models) for release in releases(pythia)] == [len(pythia)]


def test_costs_in_proportion_that_scatter_hold_l1_and_roots_fail_it() -> None:
    assert measured(1.0)["L1"].verdict is Verdict.HOLDS
    assert measured(0.4)["L1"].verdict is Verdict.FAILS
    assert measured(1.0, scatter=0.001)["L1"].verdict is Verdict.FAILS, "nothing moves them off the line"


def test_l2_compares_the_scatter_of_the_phases() -> None:
    assert measured(1.0, prefill_s=0.5, decode_s=0.1)["L2"].verdict is Verdict.HOLDS
    assert measured(1.0, prefill_s=0.1, decode_s=0.5)["L2"].verdict is Verdict.FAILS


def test_noise_is_not_explained_by_the_shape() -> None:
    found = measured(1.0)["L3"]
    assert found.verdict is Verdict.UNDECIDED
    assert found.effect is not None
    assert found.effect.value < 0.3


def test_too_few_models_are_undecided_and_say_how_many_are_needed() -> None:
    found = measured(1.0, n=3)["L1"]
    assert found.verdict is Verdict.UNDECIDED
    assert "a verdict needs" in found.reason


def formats(gains: dict[str, tuple[float, float]]) -> list[Row]:
    """One model in several formats, at four lengths of the prompt; by format, the gain in prefill and decode."""
    return [
        row(1e9, 1.0, name="m", quantization=name, settings={"n_prompt": prompt},
            metrics={"prefill_s": given(prompt / prefill), "decode_s": given(1 / decode)})
        for name, (prefill, decode) in gains.items() for prompt in (8, 16, 32, 64)
    ]  # fmt: skip


def test_models_of_one_shape_explain_nothing_and_break_nothing() -> None:
    smollm = catalog.get("smollm-135m")
    known = {str(i): artifact(str(i), smollm.id) for i in range(14)}
    rows = [
        row(1e8 * (i + 1), 1.0, artifact=str(i), metrics={name: given(1.0 + i + i % 3) for name in COSTS})
        for i in range(14)
    ]
    assert on(rows, known)["L3"].verdict is Verdict.UNDECIDED
    assert "same" in on(rows, known)["M1"].reason


COSTS = ("prefill_s", "decode_s", "engine_bytes", "compute_bytes")


def test_q1_compares_the_gains_of_a_model_s_formats() -> None:
    more = {"F16": (1.0, 1.0), "Q8_0": (1.2, 1.9), "Q6_K": (1.3, 2.1), "Q5_K_M": (1.25, 2.2), "Q4_K_M": (1.4, 2.5)}
    assert on(formats(more))["Q1"].verdict is Verdict.HOLDS
    less = {name: (decode, prefill) for name, (prefill, decode) in more.items()}
    assert on(formats(less))["Q1"].verdict is Verdict.FAILS
    assert on(formats({"Q4_K_M": (1.0, 1.0)}))["Q1"].verdict is Verdict.NO_DATA


def ended(kind: RunKind, key: str, file: str, settings: dict[str, Any]) -> Run:
    return Run(
        key=key, kind=kind, artifact=file, host="h", engine="fake", settings=settings, replicate=0, outcome=Outcome.OK,
        cause=None, log_tail="", started_at="2026-11-24", elapsed_s=1.0, notes={}, atlas_version="0",
    )  # fmt: skip


def profiled(head: tuple[float, float], models: int = 5) -> Evidence:
    """Models of which the head takes these shares of prefill and of decode, a little more from one to the next."""
    files = {str(i): artifact(str(i), name) for i, name in enumerate(PROFILED[:models])}
    runs, samples = [], {}
    for i, file in enumerate(files):
        run = ended(RunKind.PROFILE, file, file, {"n_prompt": 50})
        runs.append(run)
        samples[file] = [
            sample
            for phase, share in zip(PHASES, head, strict=True)
            for sample in to_samples(phase, observed(share + i / 100))
        ]
    return Evidence(dataset=Dataset(files, {}, runs, samples))


PROFILED = ("smollm-135m", "pythia-160m", "bloom-560m", "qwen2-0.5b", "gemma-2b")


def observed(head: float) -> Observed:
    shares = {("lm_head", "MUL_MAT"): head, ("ffn", "MUL_MAT"): 0.5, ("attention", "SOFT_MAX"): 0.5 - head}
    nodes = tuple(
        Node(part=part, op=op, name="", dtype="", share=share, calls=1, flops=1, bytes=1)
        for (part, op), share in shares.items()
    )
    return Observed(plain=(1.0,), timed_s=1.0, empty_s=0.0, nodes=nodes)


def test_b1_and_b2_are_tested_on_profiles() -> None:
    def found(head: tuple[float, float], models: int = 5) -> dict[str, Verdict]:
        evidence = profiled(head, models)
        return {finding.claim.id: finding.verdict for finding in findings(CLAIMS, evidence, Data.MINE)}

    assert found((0.1, 0.3))["B1"] is Verdict.HOLDS
    assert found((0.3, 0.1))["B2"] is Verdict.FAILS
    assert found((0.1, 0.3), models=2)["B1"] is Verdict.UNDECIDED


def test_q2_names_the_rival_whatever_its_format_and_breaks_on_none() -> None:
    times = {"F16": 1.0, "Q8_0": 1.9, "Q6_K": 1.5, "Q5_K_M": 1.6, "Q3_K_M": 1.7, "Q4_K_M": 2.5}
    faster = times | {"Q4_0": 4.0, "IQ4_XS": 2.0}
    assert "than Q8_0" in on(formats({name: (1.0, gain) for name, gain in times.items()}))["Q2"].reason
    found = on(formats({name: (1.0, gain) for name, gain in faster.items()}))["Q2"]
    assert "60% more a token than Q4_0" in found.reason
    assert "IQ4_XS" not in found.reason, "bits a weight are not known"


def test_h1_needs_two_machines_and_compares_their_factors() -> None:
    def host(name: str, prefill: float, decode: float) -> list[Row]:
        costs = {"prefill_s": given(prefill), "decode_s": given(decode)}
        return [row(1e9 + i, 1.0, artifact=f"f{i}", host=name, metrics=costs) for i in range(4)]

    slow, fast = host("slow", 1.0, 0.1), host("fast", 0.02, 0.05)
    assert on(slow)["H1"].verdict is Verdict.NO_DATA
    assert on([*slow, *fast])["H1"].verdict is Verdict.HOLDS
    assert on([*slow, *host("odd", 0.9, 0.001)])["H1"].verdict is Verdict.FAILS


def test_m3_needs_both_contexts() -> None:
    def at(context: int, share: float) -> list[Row]:
        return [
            row(1e9 + i, 1.0, artifact=f"f{i}", settings={"context": context},
                metrics={"engine_bytes": given(100.0), "kv_bytes": given(100 * share + i)})
            for i in range(5)
        ]  # fmt: skip

    assert "32,768" in on(at(2048, 0.05))["M3"].reason
    assert on([*at(2048, 0.05), *at(32_768, 0.8)])["M3"].verdict is Verdict.HOLDS
    assert on([*at(2048, 0.05), *at(32_768, 0.2)])["M3"].verdict is Verdict.FAILS
