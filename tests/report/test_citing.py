"""A citation: the hash is of the content, in any order; what it says agrees with CITATION.cff."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import yaml

from slm_atlas.report.citing import SURVEY_ARXIV, SURVEY_AUTHORS, SURVEY_TITLE, as_bibtex, as_text, cite, data_hash
from slm_atlas.store import Attempt, Store, export_jsonl, import_jsonl

from .measured import HOST, study

DATASET = study()
ATTEMPTS = [Attempt(run, DATASET.samples[run.key]) for run in DATASET.runs]
HASH = data_hash(ATTEMPTS, DATASET.artifacts, DATASET.hosts)


def test_the_order_of_recording_does_not_matter_and_the_way_through_an_export_neither(tmp_path: Path) -> None:
    with Store(tmp_path / "a.db") as a, Store(tmp_path / "b.db") as b:
        for artifact in DATASET.artifacts.values():
            a.add_artifact(artifact)
        a.add_host(HOST)
        for attempt in reversed(ATTEMPTS):
            a.record(*attempt)
        export_jsonl(a, tmp_path / "a.jsonl")
        import_jsonl(b, tmp_path / "a.jsonl")
        for store in (a, b):
            assert data_hash(store.attempts(), store.artifacts(), store.hosts()) == HASH


def test_any_change_of_the_data_is_another_hash() -> None:
    run, samples = ATTEMPTS[0]
    moved = [msgspec.structs.replace(samples[0], value=samples[0].value + 1e-9), *samples[1:]]
    noted = msgspec.structs.replace(run, notes={"x": 1})
    host = {HOST.id: msgspec.structs.replace(HOST, cores=3)}
    others = [
        data_hash([Attempt(run, moved), *ATTEMPTS[1:]], DATASET.artifacts, DATASET.hosts),
        data_hash([Attempt(noted, samples), *ATTEMPTS[1:]], DATASET.artifacts, DATASET.hosts),
        data_hash(ATTEMPTS[1:], DATASET.artifacts, DATASET.hosts),
        data_hash(ATTEMPTS, DATASET.artifacts, host),
    ]
    assert len({HASH, *others}) == 5


def test_what_was_not_measured_is_no_part_of_it() -> None:
    unused = {"ff": msgspec.structs.replace(next(iter(DATASET.artifacts.values())), sha256="ff")}
    assert data_hash(ATTEMPTS, DATASET.artifacts | unused, DATASET.hosts) == HASH


def test_a_citation_names_data_machine_engine_time_and_numbers() -> None:
    text = as_text(cite(ATTEMPTS, DATASET.artifacts, DATASET.hosts))
    for words in (HASH, "29 runs of 5 files", "Some CPU, 2 cores, 8.00 GiB", "fake 1.0", "2025-11-22", "CITATION.cff"):
        assert words in text
    assert f"arXiv:{SURVEY_ARXIV}" in text


def test_bibtex_holds_hostile_words() -> None:
    hosts = {HOST.id: msgspec.structs.replace(HOST, cpu=r"}\input{x} & 50%")}
    text = as_bibtex(cite(ATTEMPTS, DATASET.artifacts, hosts))
    assert len(re.findall(r"^@\w+\{[\w-]+,$", text, re.MULTILINE)) == 3
    assert "\\input" not in text
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")


def test_the_survey_is_that_of_citation_cff() -> None:
    preferred = yaml.safe_load((Path(__file__).parents[2] / "CITATION.cff").read_text())["preferred-citation"]
    names = tuple(f"{author['given-names']} {author['family-names']}" for author in preferred["authors"])
    assert (names, preferred["title"]) == (SURVEY_AUTHORS, SURVEY_TITLE)
    assert preferred["url"].endswith(SURVEY_ARXIV)
