"""A small study as a store would hold it: a real model and forged ones, five runs each, one run dead, four tasks."""

from __future__ import annotations

from typing import Any, NamedTuple

from slm_atlas.errors import Outcome
from slm_atlas.insights.frame import Dataset
from slm_atlas.store.profiles import Node, Observed, to_samples
from slm_atlas.store.records import Artifact, Host, Run, RunKind, Sample
from slm_atlas.units import MIB

HOST = Host(
    id="0f" * 8, cpu="Some CPU", arch="x86_64", cores=2, flags="avx2 fma", memory_bytes=8 * 1024 * MIB,
    system="Linux 6", python="3.11.9",
)  # fmt: skip

TASKS = {"smoke_reading": 0.5, "smoke_choice": 0.25, "smoke_completion": 0.25, "smoke_arithmetic": None}


class Model(NamedTuple):
    """What is measured."""

    name: str
    params: int
    architecture: str = "llama"
    forged: bool = True


REAL = Model("SmolLM2-135M-Instruct", 134_515_008, forged=False)
MODELS = (
    REAL,
    Model("SmolLM-135M", 134_515_008),
    Model("Pythia-160M", 162_322_944, "gptneox"),
    Model("Qwen2-0.5B", 494_032_768, "qwen2"),
    Model("OLMo-1B", 1_176_764_416, "olmo"),
)


def study(models: tuple[Model, ...] = MODELS, *, dead: str = "Pythia-160M", tasks: bool = True) -> Dataset:
    """Five cost runs a model, the fourth of the dead one crashed, and the tasks on real weights."""
    artifacts = {f"{i:064x}": _artifact(model, f"{i:064x}") for i, model in enumerate(models)}
    runs: list[Run] = []
    samples: dict[str, list[Sample]] = {}
    for model, sha256 in zip(models, artifacts, strict=True):
        for replicate in range(5):
            crashed = model.name == dead and replicate == 3
            runs.append(_bench(sha256, replicate, crashed=crashed))
            samples[runs[-1].key] = [] if crashed else _costs(model, replicate)
        for task in TASKS if tasks and not model.forged else ():
            runs.append(_eval(sha256, task))
            samples[runs[-1].key] = _scores(task)
    return Dataset(artifacts, {HOST.id: HOST}, runs, samples)


def _artifact(model: Model, sha256: str) -> Artifact:
    return Artifact(
        sha256=sha256, name=model.name, model_id=None, origin=f"forge:{model.name}", forged=model.forged,
        architecture=model.architecture, quantization="Q4_K_M", params=model.params, size_bytes=model.params * 5 // 8,
        tensor_bytes={"Q4_K": 3 * model.params // 8, "Q6_K": model.params // 8},
    )  # fmt: skip


def _run(key: str, kind: RunKind, sha256: str, settings: dict[str, Any], **other: Any) -> Run:
    given: dict[str, Any] = {"replicate": 0, "outcome": Outcome.OK, "cause": None, "log_tail": "", "notes": {}}
    return Run(
        key=key, kind=kind, artifact=sha256, host=HOST.id, engine="fake 1.0 (AVX2)", settings=settings,
        started_at="2025-11-22T10:00:00Z", elapsed_s=3.0, atlas_version="0.1.0", **(given | other),
    )  # fmt: skip


def _bench(sha256: str, replicate: int, *, crashed: bool) -> Run:
    settings = {"n_prompt": 50, "n_gen": 50, "threads": 2, "context": 512, "seed": replicate}
    ended = {"outcome": Outcome.CRASHED, "cause": "killed by signal 9", "log_tail": "out of memory"} if crashed else {}
    notes = {"noise": ["2.1% of the time stolen"]} if replicate == 4 else {}
    return _run(f"{sha256}/{replicate}", RunKind.BENCH, sha256, settings, replicate=replicate, notes=notes, **ended)


def _costs(model: Model, replicate: int) -> list[Sample]:
    size, off = model.params / 1e9, 1 + 0.01 * replicate
    parts = {"model_bytes": 600 * size, "kv_bytes": 12.0, "compute_bytes": 60.0, "output_bytes": 0.5}
    peak = {"baseline_bytes": 50.0, "peak_rss_bytes": sum(parts.values()) + 45 + replicate, "unaccounted_bytes": -5.0}
    scalars = {name: value * MIB for name, value in (parts | peak).items()} | {"load_s": 0.1 * off}
    series = {"prefill_s": [0.6 * size * off] * 3, "decode_s": [0.03 * size * off] * 50}
    series |= {name: [value] for name, value in scalars.items()}
    return [Sample(metric=name, index=i, value=v) for name, values in series.items() for i, v in enumerate(values)]


def _eval(sha256: str, task: str) -> Run:
    settings = {"task": task, "suite": "smoke", "chance": TASKS[task]}
    return _run(f"{sha256}/{task}", RunKind.EVAL, sha256, settings)


def _scores(task: str) -> list[Sample]:
    right = list(TASKS).index(task) * 8
    return [Sample(metric="acc", index=i, value=float(i < right), scope=task, item=str(i)) for i in range(25)]


# ---- profiles -------------------------------------------------------------------------------------------------------

SHARES = {
    ("embedding", "GET_ROWS"): 0.01, ("attention", "MUL_MAT"): 0.2, ("attention", "FLASH_ATTN_EXT"): 0.1,
    ("ffn", "MUL_MAT"): 0.4, ("norm", "RMS_NORM"): 0.09, ("lm_head", "MUL_MAT"): 0.2,
}  # fmt: skip


def profiled() -> Dataset:
    """Three runs of a model of the survey's Figure 10 and of another, of which the last one crashed."""
    models = [model for model in MODELS if model.name in ("Qwen2-0.5B", "OLMo-1B")]
    artifacts = {f"{i:064x}": _artifact(model, f"{i:064x}") for i, model in enumerate(models)}
    runs = [_profile(sha, number, dead=sha.endswith("1") and number == 2) for sha in artifacts for number in range(3)]
    samples = {run.key: [] if run.outcome is not Outcome.OK else _nodes(run.replicate) for run in runs}
    return Dataset(artifacts, {HOST.id: HOST}, runs, samples)


def _profile(sha256: str, replicate: int, *, dead: bool) -> Run:
    settings = {"n_prompt": 50, "n_gen": 50, "depth": 0, "threads": 2, "context": 512}
    ended = {"outcome": Outcome.CRASHED, "cause": "killed by signal 9"} if dead else {}
    calibrated = "2026-11-24T10:00:00Z" if replicate else None
    ceilings = {"read_bytes_per_s": 1e10 * (1 + bool(replicate)), "flops": 1e12, "calibrated_at": calibrated}
    notes = {"ceilings": {**ceilings, "bandwidth_margin": 4.0}}
    return _run(f"{sha256}/p{replicate}", RunKind.PROFILE, sha256, settings, replicate=replicate, notes=notes, **ended)


def _nodes(replicate: int) -> list[Sample]:
    nodes = [
        Node(part=part, op=op, name=op.lower(), dtype="q4_K", share=share, calls=24.0, flops=1e8, bytes=1e7)
        for (part, op), share in SHARES.items()
    ]
    plain = {"prefill": 0.2, "decode": 0.03}
    return [
        sample
        for phase, seconds in plain.items()
        for sample in to_samples(
            phase, Observed(plain=(seconds + replicate / 1e3,), timed_s=1.1 * seconds, empty_s=1e-6, nodes=tuple(nodes))
        )
    ]
