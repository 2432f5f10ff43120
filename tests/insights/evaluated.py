"""Evaluations as a store would hold them: models, tasks and who has which item right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slm_atlas.errors import Outcome
from slm_atlas.insights.frame import Dataset
from slm_atlas.store.records import Artifact, Host, Run, RunKind, Sample

HOST = Host(id="h", cpu="c", arch="a", cores=2, flags="", memory_bytes=1, system="s", python="3")
CHANCE = 0.25


def right(share: float, n: int = 100, *, of: int = 10) -> list[float]:
    """Items right and wrong in a regular pattern: the first of every ten."""
    return [float(index % of < round(share * of)) for index in range(n)]


def evaluated(
    models: Mapping[str, Mapping[str, Sequence[float]]], *, forged: Sequence[str] = (), metric: str = "acc"
) -> Dataset:
    """A run for each model and task (`piqa`, `piqa_5shot`), with the scores of its items."""
    artifacts = {name: artifact(name, forged=name in forged) for name in models}
    runs, samples = [], {}
    for name, tasks in models.items():
        for task, values in tasks.items():
            runs.append(run(name, task, metric))
            samples[runs[-1].key] = [
                Sample(metric=metric, index=index, value=value, scope=task, item=str(index))
                for index, value in enumerate(values)
            ]
    return Dataset(artifacts, {HOST.id: HOST}, runs, samples)


def artifact(name: str, *, forged: bool = False) -> Artifact:
    return Artifact(
        sha256=name, name=name, model_id=None, origin=name, forged=forged, architecture="llama", quantization="Q4_1",
        params=1000, size_bytes=1, tensor_bytes={},
    )  # fmt: skip


def run(model: str, task: str, metric: str, **changed: Any) -> Run:
    base, _, shots = task.partition("_shots_")
    settings = {
        "suite": "lm-eval", "task": task, "lm_eval_task": base, "shots": int(shots or 0), "metric": metric,
        "chance": CHANCE, "task_version": "1", "data_hash": task, "data": "folder", "items": 100,
    }  # fmt: skip
    return Run(
        key=f"{model}/{task}", kind=RunKind.EVAL, artifact=model, host=HOST.id, engine="e",
        settings=settings | changed, replicate=0, outcome=Outcome.OK, cause=None, log_tail="", started_at="",
        elapsed_s=1.0, notes={}, atlas_version="0",
    )  # fmt: skip
