"""Answers survive the process, and belong to one file, machine, engine, setting and prompt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from slm_atlas.evals.answers import Answer, Told
from slm_atlas.store import Store
from slm_atlas.studies.answers import StoredAnswers
from store.facts import ARTIFACT, HOST, prepare

KIND = "loglikelihood"
ASKED = ("Question: 2 + 2?\nAnswer:", " 4")
ANSWER = Answer(tokens=2, n_bytes=2, logprob=-1.25, greedy=True)
SETTINGS = {"task": "sums", "task_version": "1.0", "data_hash": "ab", "context": 2048, "limit": 5}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "atlas.db") as store:
        prepare(store).add_artifact(msgspec.structs.replace(ARTIFACT, sha256="other file"))
        store.add_host(msgspec.structs.replace(HOST, id="other host"))
        yield store


def answers(store: Store, engine: str = "fake 1", **changes: Any) -> StoredAnswers:
    names = {"artifact": ARTIFACT.sha256, "host": HOST.id} | {
        name: changes.pop(name) for name in ("artifact", "host") if name in changes
    }
    return StoredAnswers(store, **names, engine=engine, settings=SETTINGS | changes)


def test_an_answer_is_found_by_another_process(store: Store) -> None:
    answers(store).put([Told(KIND, ASKED, ANSWER)])
    with Store(store.path) as other:
        assert answers(other).get(KIND, ASKED) == ANSWER


@pytest.mark.parametrize(
    "changes",
    [{"artifact": "other file"}, {"host": "other host"}, {"engine": "fake 2"}, {"context": 512}, {"data_hash": "cd"}],
)
def test_nothing_else_shares_it(store: Store, changes: dict[str, Any]) -> None:
    answers(store).put([Told(KIND, ASKED, ANSWER)])
    assert answers(store, **changes).get(KIND, ASKED) is None


def test_another_request_is_another(store: Store) -> None:
    answers(store).put([Told(KIND, ASKED, ANSWER)])
    assert answers(store).get(KIND, (ASKED[0] + " 4", "")) is None
    assert answers(store).get("generate_until", ASKED) is None
    assert answers(store).get("generate_until", (ASKED[0], {"until": ["\n"]})) is None


def test_more_items_and_other_shots_share_what_prompts_they_have(store: Store) -> None:
    answers(store).put([Told(KIND, ASKED, ANSWER)])
    assert answers(store, limit=None, shots_order="fixed", suite="another").get(KIND, ASKED) == ANSWER
