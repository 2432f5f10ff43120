"""The candidates: what was measured, what is predicted for the rest of the catalogue, and whose scores they carry."""

from __future__ import annotations

import msgspec
import pytest

from slm_atlas.advisor.candidates import candidates, main_machine, survey_scores
from slm_atlas.advisor.predict import base, predict
from slm_atlas.advisor.recommend import Basis, Candidate, Subject
from slm_atlas.catalog import get, models
from slm_atlas.insights.frame import Row, read_dataset, rows
from slm_atlas.store import Store
from slm_atlas.store.exchange import import_jsonl
from slm_atlas.store.reference import reference_names, reference_path


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """The results that come with the package."""
    with Store(tmp_path_factory.mktemp("store") / "atlas.db") as store:
        import_jsonl(store, reference_path(reference_names()[0]))
        return rows(read_dataset(store))


@pytest.fixture(scope="module")
def found(measured: list[Row]) -> list[Candidate]:
    return candidates(measured)


def test_every_model_llama_cpp_runs_is_a_candidate_once(found: list[Candidate]) -> None:
    predicted = [each.model for each in found if each.basis is Basis.PREDICTED]
    seen = {each.model for each in found if each.basis is Basis.MEASURED}
    assert len(predicted) == len(set(predicted)) > 50
    assert not seen & set(predicted)
    assert len({each.id for each in found}) == len(found)


def test_the_machine_is_the_one_that_measured(measured: list[Row], found: list[Candidate]) -> None:
    assert main_machine(found) == measured[0].host
    assert main_machine([]) == ""


def test_predictions_hold_for_models_left_out(measured: list[Row]) -> None:
    """Each model predicted from the others: the intervals cover as often as they say, within chance."""
    known = base(measured)
    covered = total = 0
    for row in known[::3]:
        others = [other for other in known if other.model_id != row.model_id]
        (told,) = predict(others, [get(row.model_id or "")])
        for metric, estimate in told.metrics.items():
            assert estimate.low is not None
            assert estimate.high is not None
            covered += estimate.low <= row.metrics[metric].value <= estimate.high
            total += 1
    assert total > 45
    assert covered / total > 0.85


def test_without_measurements_the_architecture_alone_speaks() -> None:
    found = {each.model: each for each in candidates([])}
    smol = found["smollm-135m"]
    assert smol.machine == ""
    assert smol.decode is None
    assert smol.memory is not None
    assert smol.memory.high is None
    assert smol.memory.value > smol.params / 2


def test_a_real_file_carries_its_own_score_and_a_forged_one_the_surveys(found: list[Candidate]) -> None:
    own = {each.name: each.scores for each in found if each.basis is Basis.MEASURED}
    assert own["Qwen2-0.5B Q4_K_M"][Subject.COMMONSENSE].scale == "the survey, commonsense"
    real = [scores for name, scores in own.items() if name.startswith("SmolLM2-135M-Instruct")]
    assert all("smoke_commonsense" in scores[Subject.COMMONSENSE].scale for scores in real)


def test_the_surveys_scores_are_of_models_known_for_certain() -> None:
    known = {model.id for model in models()}
    assert len(survey_scores()) > 40
    assert survey_scores().keys() <= known
    assert all(0 <= score.value <= 1 for scores in survey_scores().values() for score in scores.values())


def test_candidates_survive_the_way_into_the_page(found: list[Candidate]) -> None:
    assert msgspec.json.decode(msgspec.json.encode(found), type=list[Candidate]) == found
