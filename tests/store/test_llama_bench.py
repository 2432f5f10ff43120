"""What llama-bench measured stands beside our own results; what it did not measure is not taken in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slm_atlas.errors import Outcome, UserError
from slm_atlas.store import (
    Artifact,
    Here,
    Merged,
    Run,
    Sample,
    Store,
    import_llama_bench,
    is_export,
    read_llama_bench,
)

from .facts import ARTIFACT, HOST

RECORDED = Path(__file__).parent / "data" / "llama_bench.json"
"""The real tool's: a forged model of two layers; a prompt of 32, 16 tokens, both in one; three repetitions."""
TESTS: list[dict[str, Any]] = json.loads(RECORDED.read_text())


def no_file(path: Path, origin: str) -> Artifact:
    raise UserError(f"{path} is not a GGUF.")


NOWHERE = Here(HOST, no_file)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "atlas.db") as store:
        yield store


def taken(store: Store, tests: list[dict[str, Any]], here: Here = NOWHERE) -> list[tuple[Run, list[Sample]]]:
    import_llama_bench(store, RECORDED, tests, here)
    return [(run, store.samples(run.key)) for run in store.runs()]


def test_both_of_its_forms_are_read_alike() -> None:
    assert read_llama_bench(RECORDED) == TESTS == read_llama_bench(RECORDED.with_suffix(".jsonl"))


def test_each_test_is_a_run_and_each_repetition_a_sample(store: Store) -> None:
    assert import_llama_bench(store, RECORDED, TESTS, NOWHERE) == Merged(artifacts=1, hosts=1, runs=3)
    runs = [(run, store.samples(run.key)) for run in store.runs()]
    assert [[sample.metric for sample in samples] for _, samples in runs] == [
        ["prefill_s"] * 3,
        ["decode_s"] * 3,
        ["total_s"] * 3,
    ]
    for test, (run, samples), share in zip(TESTS, runs, (1, 16, 1), strict=True):
        assert [sample.value for sample in samples] == pytest.approx([ns / 1e9 / share for ns in test["samples_ns"]])
        assert (run.outcome, run.engine) == (Outcome.OK, f"llama-bench {test['build_commit']}")
        assert run.started_at == test["test_time"].replace("Z", "+00:00")


def test_settings_have_our_names(store: Store) -> None:
    prompt, generation, _ = taken(store, TESTS)
    assert prompt[0].settings == {
        "n_prompt": 32,
        "n_gen": 0,
        "repetitions": 3,
        "context": 32,
        "micro_batch": 512,
        "threads": 1,
        "kv_type": "f16",
        "flash_attention": None,
    }
    assert (generation[0].settings["n_prompt"], generation[0].settings["n_gen"]) == (0, 16)


def test_what_was_unusual_is_a_setting_and_so_is_what_we_do_not_know(store: Store) -> None:
    changed = {"cpu_mask": "0x1", "type_v": "q8_0", "flash_attn": 1, "n_depth": 8, "unheard_of": 7}
    ((run, _),) = taken(store, [TESTS[0] | changed])
    expected = {"cpu_mask": "0x1", "kv_type": "f16/q8_0", "flash_attention": True, "n_depth": 8, "unheard_of": 7}
    assert run.settings == run.settings | expected | {"context": 40}


def test_an_older_version_that_says_less_is_taken_in(store: Store) -> None:
    old = {name: TESTS[0][name] for name in TESTS[0] if name not in ("n_depth", "n_ubatch", "type_k", "type_v")}
    ((run, _),) = taken(store, [old | {"flash_attn": False}])
    assert (run.settings["kv_type"], run.settings["flash_attention"]) == (None, False)


def test_importing_again_adds_nothing_and_a_second_process_is_a_second_run(store: Store) -> None:
    import_llama_bench(store, RECORDED, TESTS, NOWHERE)
    assert import_llama_bench(store, RECORDED, TESTS, NOWHERE) == Merged(0, 0, 0)
    later = [TESTS[0] | {"test_time": "2030-01-01T00:00:00Z"}]
    assert import_llama_bench(store, RECORDED, later, NOWHERE) == Merged(0, 0, 1)


def test_a_file_not_seen_has_a_stand_in_that_says_so(store: Store) -> None:
    taken(store, TESTS)
    (artifact,) = store.artifacts().values()
    assert "file not seen" in artifact.origin
    assert (artifact.name, artifact.architecture, artifact.quantization) == ("tiny-Q4_K_M", "llama", "Q4_K_M")
    assert (artifact.params, artifact.size_bytes) == (TESTS[0]["model_n_params"], TESTS[0]["model_size"])
    (host,) = store.hosts().values()
    assert (host.cpu, host.cores, host.system) == (TESTS[0]["cpu_info"], 0, "unknown")


@pytest.mark.parametrize(("same_file", "same_cpu"), [(True, True), (True, False), (False, True)])
def test_a_file_on_this_disk_is_known_by_its_content_if_it_is_the_one_measured(
    store: Store, tmp_path: Path, same_file: bool, same_cpu: bool
) -> None:
    path = tmp_path / "model.gguf"
    path.touch()
    test = TESTS[0] | {"model_filename": str(path), "cpu_info": HOST.cpu if same_cpu else "another"}
    size = test["model_size"] + (not same_file)
    artifact = msgspec.structs.replace(ARTIFACT, params=test["model_n_params"], tensor_bytes={"Q4_K": size})
    ((run, _),) = taken(store, [test], Here(HOST, lambda path, origin: artifact))
    assert (run.artifact == ARTIFACT.sha256) is same_file
    assert (run.host == HOST.id) is (same_file and same_cpu)


def _without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda test: {key: value for key, value in test.items() if key != name}


BROKEN: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "no samples": lambda test: test | {"samples_ns": []},
    "a time of nothing": lambda test: test | {"samples_ns": [0]},
    "a negative time": lambda test: test | {"samples_ns": [-5]},
    "a time that is no number": lambda test: test | {"samples_ns": ["1"]},
    "neither prompt nor answer": lambda test: test | {"n_prompt": 0, "n_gen": 0},
    "too large": lambda test: test | {"model_size": 2**70},
    "no date": lambda test: test | {"test_time": "yesterday"},
    "half a character": lambda test: test | {"cpu_info": "\ud800"},
    "no processor": _without("cpu_info"),
    "no build": _without("build_commit"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_test_is_named_and_nothing_is_imported(store: Store, how: str) -> None:
    with pytest.raises(UserError, match=r"test 2 of llama-bench: .*Nothing was imported"):
        import_llama_bench(store, RECORDED, [TESTS[0], BROKEN[how](TESTS[1])], NOWHERE)
    assert (store.artifacts(), store.hosts(), store.runs()) == ({}, {}, [])


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(TESTS[0])), _json, max_size=4), st.sets(st.sampled_from(sorted(TESTS[0])))
)
def test_whatever_a_field_holds_it_is_taken_in_whole_or_refused(changed: dict[str, Any], missing: set[str]) -> None:
    test = {name: value for name, value in (TESTS[0] | changed).items() if name not in missing}
    with TemporaryDirectory() as folder, Store(Path(folder) / "atlas.db") as store:
        try:
            added = import_llama_bench(store, RECORDED, [TESTS[1], test], NOWHERE)
        except UserError:
            assert store.runs() == []
        else:
            assert added.runs == len(store.runs()) == 2


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60) | _json.map(lambda value: json.dumps(value).encode()))
def test_other_files_are_not_taken_for_one(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        assert read_llama_bench(path) is None
        assert is_export(path) is (not data.strip() or b'"record":' in data)


@pytest.mark.parametrize("cut", [1, 100, -2])
def test_a_file_cut_short_is_not_taken_for_one(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.json"
    path.write_bytes(RECORDED.read_bytes().rstrip()[:cut])
    assert read_llama_bench(path) is None
