"""Takes in what llama-bench measured (`-o json` or `-o jsonl`), so that it stands beside our own results.

A test of llama-bench becomes a run of ours: one process, its repetitions the samples. A prompt test gives `prefill_s`
(the whole prompt), a generation test `decode_s` (a token, mean of a repetition), a combined one `total_s`, since its
time cannot be taken apart. Each test is a run of its own settings: llama-bench's prompt and generation tests know
nothing of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

from slm_atlas import __version__
from slm_atlas.errors import Outcome, UserError
from slm_atlas.store.db import Store
from slm_atlas.store.faults import read_bytes
from slm_atlas.store.keys import content_hash, run_key
from slm_atlas.store.merge import Merged
from slm_atlas.store.records import Artifact, Host, Run, RunKind, Sample

UNKNOWN = "unknown"
NS = 1e9

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Positive = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class Test(msgspec.Struct, frozen=True, kw_only=True):
    """One test, as llama-bench writes it; the fields we do not know are settings too (see `_settings`)."""

    __test__ = False  # not one of pytest's

    build_commit: str
    cpu_info: str
    model_filename: str
    model_type: str
    """`llama 256M Q4_1`: architecture, size and mix of types."""
    model_size: _Count
    """Bytes of the tensors."""
    model_n_params: _Count
    n_prompt: _Count
    n_gen: _Count
    n_depth: _Count = 0
    n_threads: _Positive
    n_ubatch: _Positive | None = None
    type_k: str | None = None
    type_v: str | None = None
    flash_attn: int | bool | None = None
    """-1: as the engine chooses."""
    gpu_info: str = ""
    test_time: datetime
    samples_ns: Annotated[list[_Positive], msgspec.Meta(min_length=1)]


_TOLD = frozenset(Test.__struct_fields__)
_RESULTS = frozenset({"build_number", "avg_ns", "stddev_ns", "avg_ts", "stddev_ts", "samples_ts"})
_USUAL: Mapping[str, tuple[Any, ...]] = {
    "backends": ("CPU",),
    "n_batch": (2048,),
    "cpu_mask": ("0x0",),
    "cpu_strict": (False,),
    "poll": (50,),
    "n_gpu_layers": (-1, 99),
    "n_cpu_moe": (0,),
    "split_mode": ("layer",),
    "main_gpu": (0,),
    "no_kv_offload": (False,),
    "devices": ("auto",),
    "tensor_split": ("0.00",),
    "tensor_buft_overrides": ("none",),
    "load_mode": ("auto", "mmap"),
    "use_mmap": (True,),
    "lazy_mode": ("auto",),
    "embeddings": (False,),
    "no_op_offload": (0,),
    "no_host": (False,),
    "repack": (True,),
    "fit_target": (0,),
    "fit_min_ctx": (0,),
}
"""What llama-bench does when it is told nothing. Only what differs is kept as a setting, or every row of a table would
name them all."""


class Here(NamedTuple):
    """What this machine knows, and the store does not: handed in by the caller."""

    host: Host
    """This machine."""
    identify: Callable[[Path, str], Artifact]
    """Reads a model file; raises `UserError` where it is none."""


def read_llama_bench(path: Path) -> list[dict[str, Any]] | None:
    """The tests in a file, as they stand; None if it is not llama-bench's.

    Raises:
        UserError: the file cannot be read.
    """
    data = read_bytes(path)
    for texts in ([data], data.splitlines()):
        found = _documents(texts)
        if found and all(isinstance(test, dict) and "samples_ns" in test for test in found):
            return found
    return None


def _documents(texts: list[bytes]) -> list[Any]:
    """The documents of a file, those in a list one by one; none if a text is not JSON."""
    found: list[Any] = []
    for text in texts:
        if text.strip():
            try:
                document = msgspec.json.decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError):
                return []
            found += document if isinstance(document, list) else [document]
    return found


def import_llama_bench(store: Store, path: Path, tests: list[dict[str, Any]], here: Here) -> Merged:
    """Adds the tests of a file, all of them or none; what is known already is not added again.

    Raises:
        UserError: a test lacks what it needs, or a number in it cannot be; nothing is imported.
    """
    artifacts, hosts, runs = 0, 0, 0
    with store.transaction():
        for number, raw in enumerate(tests, 1):
            try:
                test = msgspec.convert(raw, Test)
                artifact, seen = _artifact(test, here)
                host = here.host if seen and test.cpu_info == here.host.cpu else _host(test)
                artifacts += store.add_artifact(artifact)
                hosts += store.add_host(host)
                runs += store.record(*_attempt(test, raw, artifact, host, path))
            except (msgspec.ValidationError, ValueError, OverflowError) as error:
                message = f"{path}, test {number} of llama-bench: {error}. Nothing was imported."
                raise UserError(message, "llama-bench -o json > results.json") from error
    return Merged(artifacts, hosts, runs)


def _artifact(test: Test, here: Here) -> tuple[Artifact, bool]:
    """The model: the file itself where it is on this disk and is the one measured, else a stand-in that says so."""
    path = Path(test.model_filename)
    try:
        found = here.identify(path, str(path.absolute())) if path.is_file() else None
    except (OSError, UserError):
        found = None
    if found and (found.params, sum(found.tensor_bytes.values())) == (test.model_n_params, test.model_size):
        return found, True
    return stand_in(test), False


def stand_in(test: Test) -> Artifact:
    """A model file nobody here has seen: its identity is what llama-bench says of it, not its content."""
    name = test.model_filename.replace("\\", "/").rpartition("/")[2]
    words = test.model_type.split(" ", 2)
    return Artifact(
        sha256=content_hash(["llama-bench", name, test.model_type, test.model_size, test.model_n_params]),
        name=name.removesuffix(".gguf") or UNKNOWN,
        model_id=None,
        origin=f"llama-bench: {test.model_filename} (file not seen; known by its name, type and size)",
        forged=False,
        architecture=words[0] or UNKNOWN,
        quantization=_label(words[2]) if len(words) == 3 else UNKNOWN,
        params=test.model_n_params,
        size_bytes=test.model_size,
        tensor_bytes={},
    )


def _label(text: str) -> str:
    """llama.cpp's description of a mix as people write it.

    >>> _label("Q4_K - Medium"), _label("Q4_1"), _label("(guessed) all F32")
    ('Q4_K_M', 'Q4_1', 'F32')
    """
    mix = text.removeprefix("(guessed) ").removeprefix("all ")
    kind, _, size = mix.partition(" - ")
    return f"{kind}_{size[0].upper()}" if size else kind


def _host(test: Test) -> Host:
    """The machine as far as llama-bench tells; 0 cores and bytes: it does not say."""
    facts = {
        "cpu": " + ".join(part for part in (test.cpu_info, test.gpu_info) if part) or UNKNOWN,
        **dict.fromkeys(("arch", "flags", "system", "python"), UNKNOWN),
        **dict.fromkeys(("cores", "memory_bytes"), 0),
    }
    return msgspec.convert({"id": content_hash(facts)[:12], **facts}, Host)


def _settings(test: Test, raw: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked, by our names; and by llama-bench's where it was told something unusual, or we know no name."""
    kinds = {kind for kind in (test.type_k, test.type_v) if kind is not None}
    other = {
        name: value
        for name, value in raw.items()
        if name not in _TOLD | _RESULTS and value not in _USUAL.get(name, ("",))
    }
    return {
        "n_prompt": test.n_prompt,
        "n_gen": test.n_gen,
        **({"n_depth": test.n_depth} if test.n_depth else {}),
        "repetitions": len(test.samples_ns),
        "context": test.n_prompt + test.n_gen + test.n_depth,
        "micro_batch": test.n_ubatch,
        "threads": test.n_threads,
        "kv_type": "/".join(sorted(kinds)) or None,
        "flash_attention": {0: False, 1: True}.get(test.flash_attn if test.flash_attn is not None else -1),
        **dict(sorted(other.items())),
    }


def _samples(test: Test) -> list[Sample]:
    """A repetition each, in our metrics."""
    if test.n_prompt and test.n_gen:
        metric, share = "total_s", 1
    elif test.n_prompt:
        metric, share = "prefill_s", 1
    elif test.n_gen:
        metric, share = "decode_s", test.n_gen
    else:
        raise ValueError("it has neither a prompt nor tokens to generate")
    return [Sample(metric=metric, index=index, value=ns / NS / share) for index, ns in enumerate(test.samples_ns)]


def _attempt(
    test: Test, raw: Mapping[str, Any], artifact: Artifact, host: Host, path: Path
) -> tuple[Run, list[Sample]]:
    engine, settings, samples = f"llama-bench {test.build_commit}", _settings(test, raw), _samples(test)
    time = test.test_time.astimezone(UTC).isoformat(timespec="seconds")
    # With the time: two processes that measured the same are two runs, as they are with us.
    parts = {"artifact": artifact.sha256, "host": host.id, "engine": engine, "settings": settings, "started_at": time}
    run = Run(
        key=run_key(kind=RunKind.BENCH, **parts),
        kind=RunKind.BENCH,
        artifact=artifact.sha256,
        host=host.id,
        engine=engine,
        settings=settings,
        replicate=0,
        outcome=Outcome.OK,
        cause=None,
        log_tail="",
        started_at=time,
        elapsed_s=sum(test.samples_ns) / NS,
        notes={"imported_from": path.name, "llama_bench": dict(raw)},
        atlas_version=__version__,
    )
    return run, samples
