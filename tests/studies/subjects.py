"""Studies of files that are only said to be there: the fake engine behaves as their path tells it to."""

from __future__ import annotations

from pathlib import Path

from slm_atlas.bench import BenchSettings, Work
from slm_atlas.engines import EngineInfo
from slm_atlas.engines.fake import Fake
from slm_atlas.store.records import Artifact, Host
from slm_atlas.studies import Study, StudyModel, Subject
from slm_atlas.units import MIB

ENGINE: EngineInfo = Fake().describe()
HOST = Host(
    id="0f" * 6, cpu="Some CPU", arch="x86_64", cores=2, flags="avx2", memory_bytes=1024 * MIB,
    system="Linux 6", python="3.11.9",
)  # fmt: skip
LIGHT = Work(decode_bytes=1.0, flops_per_token=1.0)
"""Work that no time is too short for."""


def subject(name: str, behaviour: str = "ok", *, suites: tuple[str, ...] = (), work: Work = LIGHT) -> Subject:
    artifact = Artifact(
        sha256=name.ljust(64, "0"), name=name, model_id=None, origin=name, forged=False, architecture="fake",
        quantization="F16", params=1000, size_bytes=2000, tensor_bytes={"F16": 2000},
    )  # fmt: skip
    return Subject(Path(f"fake:{behaviour}"), artifact, work, StudyModel(model=name, suites=suites))


def study(*subjects: Subject, runs: int = 2, bench: BenchSettings | None = None, limit: int | None = 1) -> Study:
    settings = bench or BenchSettings(n_prompt=4, n_gen=2, repetitions=1, threads=1)
    models = tuple(found.model for found in subjects)
    return Study(
        name="test", title="A test", description="", models=models, runs=runs, bench=settings, eval_context=1024,
        limit=limit,
    )  # fmt: skip
