"""Claims on evaluations of one's own: what counts as a model and a task, and verdicts where the truth is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import msgspec
import numpy as np
import pytest

from insights.evaluated import HOST, artifact, evaluated, right, run
from slm_atlas import catalog
from slm_atlas.catalog import Model
from slm_atlas.insights.claims import CLAIMS, Evidence, Finding, Verdict, findings
from slm_atlas.insights.claims.abilities import Scored, is_closed, is_curated, panel, scored
from slm_atlas.insights.claims.evaluated import common_tasks, mean_scores
from slm_atlas.insights.claims.evaluated import evaluated as real
from slm_atlas.insights.claims.evidence import year_of
from slm_atlas.insights.claims.vocabulary import Data
from slm_atlas.insights.domains import DOMAINS
from slm_atlas.insights.frame import Dataset
from slm_atlas.store.records import Artifact, Run, Sample

DOMAIN_TASKS = [task for name in ("commonsense", "problem solving", "mathematics") for task in DOMAINS[name]]
ITEMS = 1000


def verdicts(evidence: Evidence) -> dict[str, Finding]:
    return {finding.claim.id: finding for finding in findings(CLAIMS, evidence, Data.MINE)}


def file_of(model: Model, *, quantization: str = "Q8_0", size: int = 1) -> Artifact:
    return msgspec.structs.replace(
        artifact(f"{model.id} {quantization}"), name=model.name, model_id=model.id, params=model.params,
        quantization=quantization, size_bytes=size,
    )  # fmt: skip


def store(answers: Sequence[tuple[Artifact, Mapping[str, float]]], n: int = ITEMS) -> Dataset:
    """Each file's share of items right by task; a task's name may end with its worked examples (`piqa_shots_5`)."""
    runs: list[Run] = []
    samples: dict[str, list[Sample]] = {}
    for file, tasks in answers:
        for task, share in tasks.items():
            whole = run(file.sha256, task, "acc")
            base, _, shots = task.partition("_shots_")
            changed = whole.settings | {"lm_eval_task": base, "shots": int(shots or 0), "task": task}
            runs.append(msgspec.structs.replace(whole, settings=changed | {"data_hash": base}))
            samples[whole.key] = [
                Sample(metric="acc", index=i, value=float(i < round(share * n)), scope=task, item=str(i))
                for i in range(n)
            ]
    return Dataset({file.sha256: file for file, _ in answers}, {HOST.id: HOST}, runs, samples)


def on_domains(score: Callable[[Model, str], float], models: Sequence[Model]) -> Evidence:
    """Models evaluated on all tasks of the three domains; the score of a model in a domain is given."""
    return Evidence(
        dataset=store(
            [
                (
                    file_of(model),
                    {task: score(model, name) for name, tasks in list(DOMAINS.items())[:3] for task in tasks},
                )
                for model in models
            ],
            n=200,
        )
    )


@cache
def drawn() -> tuple[Model, ...]:
    """The models of Figure 5 that have a score in mathematics, each once."""
    found = {one.model.id: one.model for one in scored("math") if one.model is not None}
    return tuple(found.values())


def test_files_of_a_model_are_one_and_the_best_score_is_not_what_is_taken() -> None:
    model = catalog.get("smollm-135m")
    small, large = file_of(model, quantization="Q4_0", size=1), file_of(model, quantization="F16", size=9)
    other = file_of(catalog.get("pythia-160m"))
    data = store([(small, {"piqa": 0.9}), (large, {"piqa": 0.5}), (other, {"piqa": 0.4, "boolq": 0.4})])
    found = {one.name: one for one in real(Evidence(dataset=data))}
    assert found[model.name].answers.artifact == large.sha256
    assert len(found) == 2


def test_a_file_s_tasks_of_two_machines_are_taken_together() -> None:
    file = file_of(catalog.get("smollm-135m"))
    data = store([(file, {"piqa": 0.5, "boolq": 0.5})])
    elsewhere = [msgspec.structs.replace(each, host="g") if "boolq" in each.key else each for each in data.runs]
    (one,) = real(Evidence(dataset=data._replace(runs=elsewhere)))
    assert sorted(one.scores) == ["boolq", "piqa"]


def test_the_tasks_are_those_that_the_most_models_have() -> None:
    data = evaluated(
        {"a": {"x": right(0.1), "y": right(0.1)}, "b": {"x": right(0.3), "y": right(0.5)}, "c": {"y": right(0.9)}}
    )
    found = real(Evidence(dataset=data))
    assert common_tasks(found) == ("y",)
    assert [(one.name, score) for one, score in mean_scores(found)[1]] == [("a", 0.1), ("b", 0.5), ("c", 0.9)]
    assert mean_scores(found[:2])[0] == ("x", "y")


def test_c1_compares_the_rise_with_llama_s() -> None:
    models = [model for model in drawn() if 2022 <= year_of(model.release) < 2025]

    def rising(a_year: float) -> Finding:
        noise = np.random.default_rng(3)
        score = {model.id: 0.05 + a_year * (year_of(model.release) - 2023) + noise.normal(0, 0.01) for model in models}
        return verdicts(on_domains(lambda model, _: score[model.id], models))["C1"]

    assert rising(0.5).verdict is Verdict.HOLDS
    assert rising(-0.01).verdict is Verdict.FAILS
    assert rising(0.5).n == len(models)


def test_c2_needs_phi_3_and_what_came_before_it() -> None:
    llama = {name: panel(ability).llama["Llama 3.1 7B"] for name, ability in
             zip(list(DOMAINS)[:3], ("commonsense", "problem_solving", "math"), strict=True)}  # fmt: skip
    models = [model for model in drawn() if model.organization == "Microsoft"]
    others = [model for model in drawn() if model.organization != "Microsoft"][:6]

    def found(phi: float) -> Finding:
        def score(model: Model, domain: str) -> float:
            return min(0.99, llama[domain] + phi) if model.organization == "Microsoft" else llama[domain] - 0.1

        return verdicts(on_domains(score, [*models, *others]))["C2"]

    assert found(0.05).verdict is Verdict.HOLDS
    assert found(-0.15).verdict is Verdict.FAILS
    assert verdicts(on_domains(lambda *_: 0.5, others))["C2"].verdict is Verdict.NO_DATA
    alone = verdicts(on_domains(lambda *_: 0.5, models[:1]))["C2"]
    assert "slm eval" in alone.reason


def test_c3_ranks_models_by_the_tasks_they_share() -> None:
    def found(score: Callable[[int], float]) -> Verdict:
        models = sorted({model.params: model for model in drawn()}.values(), key=lambda model: model.params)
        shares = [(file_of(model), {"piqa": score(place)}) for place, model in enumerate(models)]
        return verdicts(Evidence(dataset=store(shares)))["C3"].verdict

    assert found(lambda place: 0.3 + 0.01 * place + 0.06 * (place * 7 % 5)) is Verdict.HOLDS
    assert found(lambda place: 0.9 - 0.01 * place) is Verdict.FAILS
    assert found(lambda _: 0.5) is Verdict.UNDECIDED


def test_c4_sees_a_gap_in_mathematics_and_none_in_commonsense() -> None:
    models = [model for model in catalog.models() if year_of(model.release) >= 2024 and model.training.tokens_billion]

    def found(gap: Mapping[str, float]) -> Verdict:
        noise = np.random.default_rng(8)

        def score(model: Model, domain: str) -> float:
            closed = is_closed(Scored("", "", 0.0, 0.0, 0.0, model))
            return float(0.4 + gap[domain] * bool(closed) + noise.normal(0, 0.01))

        return verdicts(on_domains(score, models))["C4"].verdict

    gaps = {"commonsense": 0.0, "problem solving": 0.0, "mathematics": 0.3}
    assert found(gaps) is Verdict.HOLDS
    assert found(gaps | {"mathematics": 0.0}) is Verdict.FAILS


def test_d2_holds_where_curated_data_score_above_the_trend() -> None:
    models = [model for model in catalog.models() if model.training.tokens_billion]

    def found(lead: float) -> Finding:
        noise = np.random.default_rng(5)
        shares = {}
        for model in models:
            curated = bool(is_curated(Scored("", "", 0.0, 0.0, 0.0, model)))
            trend = 0.02 * math.log10(model.params) + 0.02 * math.log10(model.training.tokens_billion or 1)
            shares[model.id] = 0.2 + trend + lead * curated + float(noise.normal(0, 0.01))
        return verdicts(Evidence(dataset=store([(file_of(m), {"piqa": shares[m.id]}) for m in models], n=500)))["D2"]

    assert found(0.1).verdict is Verdict.HOLDS
    assert found(-0.1).verdict is Verdict.FAILS
    assert "piqa" in " ".join(found(0.1).caveats)


def gaining(gain: Callable[[Model, str], float], tasks: Sequence[str], n: int = 12) -> dict[str, Finding]:
    """Models evaluated on tasks with no example and with five, which change the score."""
    models = sorted(catalog.models(), key=lambda model: model.params)[:: len(catalog.models()) // n]
    files = [
        (file_of(model), {name: 0.5 + (gain(model, task) if shots else 0.0) for task in tasks
                          for shots, name in ((0, task), (5, f"{task}_shots_5"))})
        for model in models
    ]  # fmt: skip
    return verdicts(Evidence(dataset=store(files)))


ICL = ("arc_challenge", "hellaswag", "piqa", "winogrande")


def test_i1_holds_all_that_it_says_or_none() -> None:
    flat = {"arc_challenge": 0.08, "winogrande": 0.03}
    assert gaining(lambda _, task: flat.get(task, 0.001), ICL, n=36)["I1"].verdict is Verdict.HOLDS
    assert gaining(lambda *_: 0.08, ICL, n=36)["I1"].verdict is Verdict.FAILS, "HellaSwag gains much"
    without = gaining(lambda *_: 0.08, ICL[:1])["I1"]
    assert without.verdict is Verdict.UNDECIDED
    assert "--suite icl" in without.reason


def test_i2_holds_where_larger_models_gain_more_and_small_ones_lose() -> None:
    def gain(model: Model, _: str) -> float:
        return 0.05 * math.log10(model.params / 1.2e9)

    assert gaining(gain, ICL[:2], n=36)["I2"].verdict is Verdict.HOLDS
    assert gaining(lambda *given: -gain(*given), ICL[:2], n=36)["I2"].verdict is Verdict.FAILS
    assert gaining(gain, ICL[:2], n=3)["I2"].verdict is Verdict.UNDECIDED


def test_x1_is_told_by_retrieval_alone() -> None:
    models = sorted({model.params: model for model in drawn()}.values(), key=lambda model: model.params)
    files = [(file_of(m), {"passkey_4k": 0.2 + 0.02 * i, "piqa": 0.9 - 0.02 * i}) for i, m in enumerate(models)]
    assert verdicts(Evidence(dataset=store(files)))["X1"].verdict is Verdict.HOLDS


@pytest.mark.parametrize("few", [1, 2, 5, 9])
def test_any_number_of_models_and_tasks_gives_a_finding(few: int) -> None:
    models = drawn()[:few]
    found = verdicts(on_domains(lambda model, _: 0.3 + model.params / 1e11, models))
    assert all(finding.reason.endswith(".") for finding in found.values())
    alike = verdicts(on_domains(lambda *_: 0.5, models))
    assert all(finding.reason.endswith(".") for finding in alike.values())
