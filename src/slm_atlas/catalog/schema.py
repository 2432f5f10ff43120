"""What the catalogue says of a model: its identity, architecture and training, each fact with its source.

An `Architecture` is data enough to list every tensor of the model (see `slm_atlas.anatomy`). A field that differs
from layer to layer holds a list with one value a layer (OpenELM's layer-wise scaling); one that does not, one value.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

PerLayer = int | tuple[int, ...]
"""One value for every layer, or one value a layer."""


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of all that is read from the catalogue's files: frozen, and strict about unknown keys."""


class SourceKind(StrEnum):
    """How we know a fact."""

    REPORTED = "reported"
    """Stated by the authors, or in the files they published."""
    DERIVED = "derived"
    """Computed from reported facts."""
    RECALLED = "recalled"
    """Believed, but not confirmed against a source."""


class Source(Struct, frozen=True):
    """Where a fact comes from."""

    kind: SourceKind
    """Reported, derived or recalled."""
    where: str
    """The document, file or computation."""


class AttentionKind(StrEnum):
    """How queries share keys and values."""

    MHA = "MHA"
    """Multi-head: as many key-value heads as query heads."""
    GQA = "GQA"
    """Grouped-query: several query heads share a key-value head."""
    MQA = "MQA"
    """Multi-query: all query heads share one key-value head."""
    MLA = "MLA"
    """Multi-head latent: keys and values are expanded from a compressed latent."""


class QkNorm(StrEnum):
    """A norm on queries and keys before attention."""

    NONE = "none"
    """No such norm."""
    HEAD = "head"
    """One norm of head size, shared by the heads (Qwen3, Gemma-3, OpenELM)."""
    FULL = "full"
    """A norm over all heads at once (OLMo-2)."""


class SlidingWindow(Struct, frozen=True):
    """Attention that sees only the last tokens, in some or all layers."""

    size: int
    """Tokens seen."""
    full_every: int | None = None
    """Every n-th layer sees everything (6 in Gemma-3); None: no layer does."""
    theta: float | None = None
    """Base of the rotary frequencies in the layers with the window (Gemma-3); None: that of all layers."""


class Mla(Struct, frozen=True, kw_only=True):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1)."""

    kv_lora_rank: int
    """Width of the latent that is cached."""
    q_lora_rank: int | None = None
    """Width of the queries' latent; None: queries are not compressed."""
    qk_nope_head_dim: int
    """Dimensions of a query-key head without position."""
    qk_rope_head_dim: int
    """Dimensions of a query-key head with rotary position."""
    v_head_dim: int
    """Dimensions of a value head."""


class Attention(Struct, frozen=True):
    """The attention of a layer."""

    heads: PerLayer
    """Query heads."""
    kv_heads: PerLayer
    """Key-value heads."""
    head_dim: int
    """Dimensions of a head."""
    qkv_bias: bool = False
    """Biases on the query, key and value projections."""
    out_bias: bool = False
    """A bias on the output projection."""
    fused_qkv: bool = False
    """Query, key and value projections stored as one matrix, as the model's GGUF has it."""
    qk_norm: QkNorm = QkNorm.NONE
    """A norm on queries and keys."""
    window: SlidingWindow | None = None
    """A sliding window."""
    mla: Mla | None = None
    """Multi-head latent attention, in place of plain heads."""

    @property
    def kind(self) -> AttentionKind:
        """MHA, GQA, MQA or MLA, from the heads."""
        if self.mla is not None:
            return AttentionKind.MLA
        if self.heads == self.kv_heads:
            return AttentionKind.MHA
        return AttentionKind.MQA if self.kv_heads == 1 else AttentionKind.GQA


class Activation(StrEnum):
    """The non-linearity of the feed-forward network."""

    RELU = "relu"
    RELU2 = "relu2"
    GELU = "gelu"
    GELU_TANH = "gelu_tanh"
    SILU = "silu"


class Ffn(Struct, frozen=True):
    """The feed-forward network of a layer."""

    intermediate: PerLayer
    """Width of the hidden layer."""
    gated: bool
    """A gate multiplies the hidden layer (SwiGLU, GeGLU): three matrices instead of two."""
    activation: Activation
    """The non-linearity."""
    bias: bool = False
    """Biases on the projections."""
    shared: bool = False
    """One network serves all layers (MobiLlama)."""


class NormKind(StrEnum):
    """The normalization layers."""

    RMSNORM = "rmsnorm"
    LAYERNORM = "layernorm"


class NormPlacement(StrEnum):
    """Where a layer normalizes."""

    PRE = "pre"
    """Before attention and before the FFN."""
    POST = "post"
    """After them: before they join the residual stream (OLMo-2), or after (OPT-350M)."""
    BOTH = "both"
    """Before and after (Gemma-2, Gemma-3)."""


class Norm(Struct, frozen=True):
    """The normalization layers."""

    kind: NormKind
    """RMSNorm or LayerNorm."""
    eps: float
    """The epsilon under the root."""
    weight: bool = True
    """A learned scale (OLMo-1 has none)."""
    bias: bool = False
    """A learned offset."""
    placement: NormPlacement = NormPlacement.PRE
    """Where a layer normalizes."""
    final: bool = True
    """One more before the language-model head (OPT-350M has none)."""


class PositionKind(StrEnum):
    """How the model knows where a token stands."""

    ROPE = "rope"
    LEARNED = "learned"
    ALIBI = "alibi"
    NONE = "none"


class Position(Struct, frozen=True):
    """Positions."""

    kind: PositionKind
    """Rotary, learned, ALiBi or none."""
    theta: float = 10_000.0
    """Base of the rotary frequencies."""
    rotary_fraction: float = 1.0
    """Share of a head's dimensions that is rotated (0.25 in Pythia)."""
    offset: int = 0
    """Rows of a learned table before that of the first position (2 in OPT): it has `context` + `offset` rows."""


class Embedding(Struct, frozen=True):
    """The token embedding and the language-model head."""

    tied: bool
    """The head uses the embedding's matrix."""
    dim: int | None = None
    """Width of the embedding where it is projected to the hidden width (OPT-350M); None: the hidden width."""


class BlockKind(StrEnum):
    """What mixes tokens in a layer."""

    ATTENTION = "attention"
    RECURRENT = "recurrent"
    CONVOLUTION = "convolution"
    STATE_SPACE = "state_space"


class Mixer(Struct, frozen=True):
    """The parameters of a layer that mixes tokens without attention."""

    width: int
    """Width of the state or convolution channels."""
    conv_kernel: int = 0
    """Taps of the short convolution; 0: none."""
    state: int = 0
    """State dimensions a channel or head; 0: none."""
    heads: int = 0
    """Heads of the state-space model, or blocks of a recurrence's gates (10 in RecurrentGemma-2B); 0: none."""
    groups: int = 0
    """Groups of the state-space model; 0: none."""


class Architecture(Struct, frozen=True, kw_only=True):
    """The shape of a model: enough to list every tensor of it."""

    gguf: str | None = None
    """The name llama.cpp knows it by (`general.architecture`); None: llama.cpp cannot run it."""
    layers: int
    """Blocks that hold parameters."""
    hidden: int
    """Width of the residual stream."""
    vocab: int
    """Rows of the token embedding."""
    context: int
    """Longest sequence it was trained for, in tokens."""
    attention: Attention
    """The attention."""
    ffn: Ffn
    """The feed-forward network."""
    norm: Norm
    """The normalization layers."""
    position: Position
    """Positions."""
    embedding: Embedding
    """Token embedding and head."""
    parallel: bool = False
    """Attention and FFN read the same input and are added together (Pythia)."""
    repeat: int = 1
    """How many times in a row each block is run (2 in MobileLLM's layer-sharing models)."""
    blocks: tuple[BlockKind, ...] | None = None
    """What mixes tokens, a layer each, in a hybrid model; None: attention everywhere."""
    mixer: Mixer | None = None
    """The layers of a hybrid that are not attention."""

    def per_layer(self, value: PerLayer) -> tuple[int, ...]:
        """A `PerLayer` field with one value a layer.

        Raises:
            ValueError: a list whose length is not the number of layers.
        """
        values = (value,) * self.layers if isinstance(value, int) else value
        if len(values) != self.layers:
            raise ValueError(f"{len(values)} values for {self.layers} layers")
        return values


class Training(Struct, frozen=True):
    """What the model was trained on, and how."""

    tokens_billion: float | None = None
    """Tokens seen in pre-training, in billions; None: not published."""
    datasets: tuple[str, ...] = ()
    """Names of the training data sets; none: not published."""
    algorithms: tuple[str, ...] = ()
    """Names of notable training algorithms."""


class Variant(StrEnum):
    """Whether the model was tuned to follow instructions."""

    BASE = "base"
    INSTRUCT = "instruct"


class Model(Struct, frozen=True, kw_only=True):
    """One model of the catalogue."""

    id: str
    """The name used on the command line: lower case, digits, dots and hyphens."""
    name: str
    """The name its authors gave it."""
    family: str
    """The family it belongs to."""
    organization: str
    """Who made it."""
    release: str
    """Year and month of release, as 2024-07."""
    license: str
    """SPDX identifier where there is one."""
    variant: Variant
    """Base or instruction-tuned."""
    hub_id: str | None = None
    """owner/name on the model hub; None: not there."""
    params: int
    """Exact number of parameters, tied matrices counted once."""
    in_paper: bool
    """Counted in the first version of the survey."""
    architecture: Architecture
    """Axis one: how it is built."""
    training: Training
    """Axes two and three: on what and how it was trained."""
    sources: dict[str, Source]
    """Where each fact comes from: by section (`identity`, `params`, `architecture`, `training`), or by dotted field
    (`training.tokens_billion`) where it differs from its section's."""
    doubts: tuple[str, ...] = ()
    """What could not be settled."""

    def source(self, field: str) -> Source:
        """Where a fact comes from: the entry of the field itself, else of its section, else of `identity`."""
        for key in (field, field.split(".")[0], "identity"):
            if key in self.sources:
                return self.sources[key]
        raise KeyError(field)


class Family(Struct, frozen=True):
    """One file of the catalogue: the models of a family."""

    models: tuple[Model, ...]
    """The models, small to large."""
