"""What an engine is, how it loads a model, and what that allocates."""

from __future__ import annotations

import msgspec

from slm_atlas.engines.values.struct import Struct


class EngineInfo(Struct, frozen=True):
    """Which engine, built how; part of every record."""

    name: str
    """`llamacpp`, `fake`, ..."""
    version: str
    """Version of the engine and of its bindings."""
    build: str
    """Instruction sets and options it was built with."""

    @property
    def text(self) -> str:
        """All of it in one line, as it is stored."""
        return f"{self.name} | {self.version} | {self.build}"


class LoadSettings(Struct, frozen=True):
    """How a model is loaded."""

    path: str
    """The model file."""
    context: int = 512
    """Tokens the KV cache holds."""
    batch: int = 2048
    """Most tokens of one decode call (logical batch)."""
    micro_batch: int = 512
    """Most tokens computed at once (physical batch); sizes the compute buffer."""
    threads: int = 0
    """Threads; 0: as many as the process may use."""
    kv_type: str = "f16"
    """Type of the KV cache: f32, f16, bf16, q8_0, q5_1, q5_0, q4_1 or q4_0."""
    flash_attention: bool | None = None
    """Fused attention on, off, or (None) as the engine chooses: for several sequences generated at once, off."""
    mmap: bool = True
    """Map the file rather than copy it."""
    repack: bool = True
    """Let the engine hold weights in another layout for faster kernels, where it has them."""
    sequences: int = 32
    """Most sequences generated at once. Their caches come beside the one of `context`, when they are first needed."""
    sequences_bytes: int = 1 << 30
    """Most bytes that the caches of all sequences generated at once take: where more would, fewer run at once."""
    dtype: str = "float32"
    """Number type of the weights in PyTorch: float32, bfloat16 or float16."""
    compiled: bool = False
    """Let PyTorch compile the layers first, where there is a C++ compiler: worth while where much is computed."""
    tokenizer: str | None = None
    """For a model behind a server: the folder, or the Hub's name, of its tokenizer; None: there is none at hand."""
    simulate: bool = False
    """Only reckon the cache and the compute buffer: the model cannot be run, and no weights are read or held."""


class LoadReport(Struct, frozen=True):
    """What loading gave."""

    load_s: float
    """Seconds from opening the file to a ready context."""
    n_vocab: int
    """Size of the vocabulary."""
    context: int
    """Tokens the KV cache holds, as the engine granted it."""
    micro_batch: int
    """Physical batch, as granted."""
    threads: int
    """Threads, as granted."""
    model_desc: str
    """The engine's own description of the model."""
    model_params: int
    """Parameters, as the engine counts them."""
    model_size_bytes: int
    """Bytes of all tensors."""
    remarks: list[str] = msgspec.field(default_factory=list)
    """What the engine warns of: a slow stand-in for a kernel that is not installed, say."""
    cores: list[int] | None = None
    """The logical cores its process may use; None where the system does not say."""


class Reading(Struct, frozen=True):
    """A number that the system gives, or why it gives none."""

    value: int | None = None
    """The number."""
    reason: str | None = None
    """Why there is none."""


_NOT_READ = Reading(reason="not read")


class Usage(Struct, frozen=True):
    """What the operating system counted of the engine's process since it began."""

    minor_faults: Reading = _NOT_READ
    """Pages that had to be mapped and were in memory already."""
    major_faults: Reading = _NOT_READ
    """Pages that had to be read from a disk."""
    voluntary_switches: Reading = _NOT_READ
    """Times a thread gave its core away, waiting for something."""
    involuntary_switches: Reading = _NOT_READ
    """Times a thread's core was taken for another."""
    weights_resident_bytes: Reading = _NOT_READ
    """The part of the mapped model file that is in memory."""
    group_peak_bytes: Reading = _NOT_READ
    """Peak memory of the process's control group, page cache included, and of all other processes in it."""


class MemoryReport(Struct, frozen=True):
    """What the engine allocated, in bytes; `process_*` are the whole process's, read from the operating system."""

    model_bytes: int
    """Weights, mapped or copied."""
    repacked_bytes: int
    """The part of `model_bytes` held a second time or in another layout for faster kernels."""
    kv_bytes: int
    """The KV cache."""
    compute_bytes: int | None
    """The compute buffers (activations, and logits of a micro-batch); None: the engine does not say."""
    output_bytes: int | None
    """The output buffer (logits handed to the caller); None: the engine does not say."""
    process_baseline_bytes: int
    """Resident set before the model was loaded: the interpreter and the engine's code."""
    process_peak_bytes: int
    """Peak resident set of the process until now (VmHWM)."""
    usage: Usage = Usage()
    """What the system counted of the process."""
    absent: dict[str, str] = msgspec.field(default_factory=dict)
    """Why a number is None, by its name."""

    @property
    def known_bytes(self) -> int:
        """All that the engine says it allocated; `repacked_bytes` is a part of `model_bytes`."""
        return self.model_bytes + self.kv_bytes + (self.compute_bytes or 0) + (self.output_bytes or 0)
