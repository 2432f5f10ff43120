"""Records to store in tests: plain ones, and strategies for any."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from slm_atlas.errors import Outcome
from slm_atlas.store import Answer, Artifact, Attempt, Host, Run, RunKind, Sample, Store

ARTIFACT = Artifact(
    sha256="ab12",
    name="SmolLM-135M",
    model_id="smollm-135m",
    origin="forge:smollm-135m@Q4_K_M",
    forged=True,
    architecture="llama",
    quantization="Q4_K_M",
    params=134_515_008,
    size_bytes=105_000_000,
    tensor_bytes={"Q4_K": 80_000_000, "F32": 140_000},
)
HOST = Host(
    id="cd34",
    cpu="A processor, 2 GHz",
    arch="x86_64",
    cores=2,
    flags="avx avx2",
    memory_bytes=8 << 30,
    system="Linux 6.1",
    python="3.11.7",
)
RUN = Run(
    key="key",
    kind=RunKind.BENCH,
    artifact=ARTIFACT.sha256,
    host=HOST.id,
    engine="fake 1",
    settings={"n_prompt": 50, "kv_type": "f16"},
    replicate=0,
    outcome=Outcome.OK,
    cause=None,
    log_tail="",
    started_at="2026-01-02T03:04:05Z",
    elapsed_s=1.5,
    notes={"load": [0.5, 0.25]},
    atlas_version="0.1.0",
)


def run(key: str, **changes: Any) -> Run:
    return msgspec.structs.replace(RUN, key=key, **changes)


def answer(key: str, **value: Any) -> Answer:
    return Answer(
        key=key,
        artifact=ARTIFACT.sha256,
        host=HOST.id,
        engine="fake 1",
        settings={"task": "piqa", "context": 2048},
        kind="loglikelihood",
        prompt_hash=f"hash of {key}",
        value=value or {"logprob": -1.5, "greedy": False},
        recorded_at="2026-01-02T03:04:05Z",
    )


def samples(n: int, factor: float = 0.1) -> list[Sample]:
    return [Sample(metric="decode_s", index=index, value=index * factor) for index in range(n)]


def prepare(store: Store) -> Store:
    """Adds the file and the machine that the runs here name."""
    store.add_artifact(ARTIFACT)
    store.add_host(HOST)
    return store


_int64 = st.integers(-(2**63), 2**63 - 1)
_floats = st.floats(allow_nan=False, allow_infinity=False)
_values = st.recursive(
    st.none() | st.booleans() | _int64 | _floats | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_documents = st.dictionaries(st.text(max_size=5), _values, max_size=3)


def _records(kind: type[Any], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Any record of a kind: a strategy for every field by its type, where none is given."""
    by_type: dict[Any, st.SearchStrategy[Any]] = {
        int: _int64,
        int | None: st.none() | _int64,
        float: _floats,
        dict[str, Any]: _documents,
        dict[str, Any] | None: st.none() | _documents,
    }
    fields = msgspec.structs.fields(kind)
    return st.builds(kind, **{f.name: by_type.get(f.type, st.from_type(f.type)) for f in fields} | given)


any_artifact: st.SearchStrategy[Artifact] = _records(
    Artifact, tensor_bytes=st.dictionaries(st.text(max_size=5), st.integers(0, 2**40), max_size=3)
)
any_host: st.SearchStrategy[Host] = _records(Host)
any_sample: st.SearchStrategy[Sample] = _records(Sample)
any_run: st.SearchStrategy[Run] = _records(
    Run, key=st.sampled_from("abc"), artifact=st.just(ARTIFACT.sha256), host=st.just(HOST.id)
)
any_attempts: st.SearchStrategy[list[Attempt]] = st.lists(
    st.builds(Attempt, any_run, st.lists(any_sample, max_size=3)), max_size=6
)
