"""How a model is built: data enough to list every tensor of it (see `slm_atlas.anatomy`).

A field that differs from layer to layer holds a list with one value a layer (OpenELM's layer-wise scaling); one that
does not, one value. Names of fields are the field's own words; the papers that brought a part stand beside it.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

PerLayer = int | tuple[int, ...]
"""One value for every layer, or one value a layer."""


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of all that is read from the catalogue's files: frozen, and strict about unknown keys."""


class Part(StrEnum):
    """What a tensor is for."""

    EMBEDDING = "embedding"
    ATTENTION = "attention"
    MIXER = "mixer"
    FFN = "ffn"
    NORM = "norm"
    LM_HEAD = "lm_head"


# ---- attention -----------------------------------------------------------------------------------------------------


class AttentionKind(StrEnum):
    """How queries share keys and values."""

    MHA = "MHA"
    """Multi-head: as many key-value heads as query heads."""
    GQA = "GQA"
    """Grouped-query: several query heads share a key-value head (arXiv 2305.13245)."""
    MQA = "MQA"
    """Multi-query: all query heads share one key-value head (arXiv 1911.02150)."""
    MLA = "MLA"
    """Multi-head latent: keys and values are expanded from a compressed latent (arXiv 2405.04434)."""
    HYBRID = "hybrid"
    """Attention in some layers, or beside something else that mixes tokens."""


class QkNorm(StrEnum):
    """A norm on queries and keys before attention."""

    NONE = "none"
    """No such norm."""
    HEAD = "head"
    """One norm of head size, shared by the heads (Qwen3, Gemma-3, OpenELM)."""
    FULL = "full"
    """A norm over all heads at once (OLMo-2)."""
    UNIT = "unit"
    """A norm of each head without a learned scale (MobileLLM-R1)."""


class SlidingWindow(Struct, frozen=True, kw_only=True):
    """Attention that sees only the last tokens, in some or all layers."""

    size: int
    """Tokens seen."""
    full_every: int | None = None
    """Every n-th layer sees everything (6 in Gemma-3); None: no layer does."""
    full_layers: tuple[int, ...] = ()
    """Layers that see everything, where they follow no rule (Hymba)."""
    theta: float | None = None
    """Base of the rotary frequencies in the layers with the window (Gemma-3); None: that of all layers."""
    full_head_dim: int | None = None
    """Dimensions of a head in the layers that see everything (Gemma-4); None: as in those with the window."""

    def covers(self, layer: int) -> bool:
        """Whether a layer sees the window only."""
        if self.full_every is not None and (layer + 1) % self.full_every == 0:
            return False
        return layer not in self.full_layers


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
    absorbed: bool = False
    """Its GGUF stores the expansions of keys and values apart, so that attention works on the latent itself and the
    cache holds the latent; otherwise they are one matrix, and the cache holds expanded keys and values."""


class Attention(Struct, frozen=True, kw_only=True):
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
    sub_norm: bool = False
    """A norm before the output projection (BitNet)."""
    output_gate: bool = False
    """A gate on what attention gives, projected beside the queries (Qwen3.5)."""
    softcap: float | None = None
    """Scores are squeezed into plus and minus this by a tanh (Gemma-2); None: they are not."""
    window: SlidingWindow | None = None
    """A sliding window."""
    reused_kv_layers: int = 0
    """So many of the last layers have no keys and values, and use those of earlier ones (20 in Gemma-4-E2B)."""
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


# ---- layers that are not attention ---------------------------------------------------------------------------------


class MixerKind(StrEnum):
    """What mixes tokens in a layer without attention."""

    RG_LRU = "rg_lru"
    """A gated linear recurrence with a short convolution (Griffin, arXiv 2402.19427)."""
    SHORT_CONV = "short_conv"
    """A gated short convolution (LFM2)."""
    MAMBA = "mamba"
    """A selective state space (arXiv 2312.00752)."""
    MAMBA2 = "mamba2"
    """A state space with scalar decay and heads (arXiv 2405.21060)."""
    DELTA_NET = "gated_delta_net"
    """A gated delta rule, linear in the context (arXiv 2412.06464)."""


class Mixer(Struct, frozen=True, kw_only=True):
    """What mixes tokens without attention, and where (hybrid models)."""

    kind: MixerKind
    """Which mechanism."""
    attention_layers: tuple[int, ...]
    """The layers that have attention, counted from 0."""
    beside_attention: bool = False
    """The layers with attention have the mixer too (Falcon-H1)."""
    width: int
    """Width of its channels (`d_inner`, `lru_width`; all value heads of a delta net)."""
    conv_kernel: int
    """Taps of the short convolution."""
    conv_bias: bool = False
    """A bias on the convolution."""
    state: int = 0
    """State dimensions a channel, or of a head; 0: none."""
    heads: int = 0
    """Heads of the state (value heads of a delta net), or blocks of a recurrence's gates; 0: none."""
    groups: int = 0
    """Groups that share inputs of the state (key heads of a delta net); 0: none."""
    norm: bool = False
    """A norm on what it gives, before the output projection."""


# ---- the other parts -----------------------------------------------------------------------------------------------


class Activation(StrEnum):
    """The non-linearity of the feed-forward network."""

    RELU = "relu"
    RELU2 = "relu2"
    GELU = "gelu"
    GELU_TANH = "gelu_tanh"
    SILU = "silu"


class Ffn(Struct, frozen=True, kw_only=True):
    """The feed-forward network of a layer."""

    intermediate: PerLayer
    """Width of the hidden layer."""
    gated: bool
    """A gate multiplies the hidden layer (arXiv 2002.05202): three matrices instead of two."""
    activation: Activation
    """The non-linearity."""
    bias: bool = False
    """Biases on the projections."""
    fused_gate: bool = False
    """Gate and up projections stored as one matrix, as the model's GGUF has it."""
    sub_norm: bool = False
    """A norm before the down projection (BitNet)."""
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


class Norm(Struct, frozen=True, kw_only=True):
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
    shared: bool = False
    """Attention and FFN of a parallel block read one norm (Phi)."""
    final: bool = True
    """One more before the language-model head (OPT-350M has none)."""


class PositionKind(StrEnum):
    """How the model knows where a token stands."""

    ROPE = "rope"
    LEARNED = "learned"
    ALIBI = "alibi"
    NONE = "none"


class Position(Struct, frozen=True, kw_only=True):
    """Positions."""

    kind: PositionKind
    """Rotary, learned, ALiBi or none."""
    theta: float = 10_000.0
    """Base of the rotary frequencies."""
    rotary_fraction: float = 1.0
    """Share of a head's dimensions that is rotated (0.25 in Pythia)."""
    none_every: int | None = None
    """Every n-th layer has no positions (4 in SmolLM3); None: all have."""
    offset: int = 0
    """Rows of a learned table before that of the first position (2 in OPT): it has `context` + `offset` rows."""


class Embedding(Struct, frozen=True, kw_only=True):
    """The token embedding and the language-model head."""

    tied: bool
    """The head uses the embedding's matrix."""
    dim: int | None = None
    """Width of the embedding where it is projected to the hidden width (OPT-350M); None: the hidden width."""
    norm: bool = False
    """A norm on the embedding (BLOOM)."""
    head_bias: bool = False
    """A bias on the language-model head (Phi)."""
    per_layer: int = 0
    """Width of an embedding of its own that every layer looks up (256 in Gemma-4-E2B); 0: none."""
    logit_softcap: float | None = None
    """Logits are squeezed into plus and minus this by a tanh (Gemma-2); None: they are not."""


class Multipliers(Struct, frozen=True, kw_only=True):
    """Constants that scale the streams (maximal update parametrization, arXiv 2203.03466); None: one."""

    embedding: float | None = None
    """The embedding is multiplied by it."""
    residual: float | None = None
    """What attention and FFN add is multiplied by it."""
    attention: float | None = None
    """Scores of attention are multiplied by it, in place of one over the root of the head's dimensions."""
    logits: float | None = None
    """The logits are divided by it."""


class ListedTensor(Struct, frozen=True, kw_only=True):
    """A tensor that is listed because no other field implies it."""

    name: str
    """Its name; `{layer}` stands for the layer."""
    shape: tuple[int, ...]
    """Rows x columns."""
    part: Part
    """What it is for."""
    layers: tuple[int, ...] | None = None
    """Layers that have one; None: it stands outside the layers, unless its name has `{layer}`: then all have."""
    uses: int = 1
    """How many times it is used for a token (a shared block); 0: it is looked up in, or added."""


# ---- all together --------------------------------------------------------------------------------------------------


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
    mixer: Mixer | None = None
    """What mixes tokens without attention, in a hybrid model."""
    multipliers: Multipliers | None = None
    """Constants that scale the streams."""
    listed: tuple[ListedTensor, ...] = ()
    """The tensors of all layers one by one, where the rules do not fit (Zamba2, Hymba); none: the rules fit."""

    @property
    def attention_kind(self) -> AttentionKind:
        """MHA, GQA, MQA or MLA, or hybrid."""
        return self.attention.kind if self.mixer is None else AttentionKind.HYBRID

    def per_layer(self, value: PerLayer) -> tuple[int, ...]:
        """A `PerLayer` field with one value a layer.

        Raises:
            ValueError: a list whose length is not the number of layers.
        """
        values = (value,) * self.layers if isinstance(value, int) else value
        if len(values) != self.layers:
            raise ValueError(f"{len(values)} values for {self.layers} layers")
        return values

    def has_attention(self, layer: int) -> bool:
        """Whether a layer has attention."""
        return self.mixer is None or layer in self.mixer.attention_layers

    def has_mixer(self, layer: int) -> bool:
        """Whether a layer mixes tokens without attention."""
        return self.mixer is not None and (self.mixer.beside_attention or not self.has_attention(layer))

    def has_kv(self, layer: int) -> bool:
        """Whether a layer has keys and values of its own."""
        return self.has_attention(layer) and layer < self.layers - self.attention.reused_kv_layers

    def has_window(self, layer: int) -> bool:
        """Whether the attention of a layer sees a sliding window only."""
        return self.attention.window is not None and self.attention.window.covers(layer)

    def head_dim(self, layer: int) -> int:
        """Dimensions of a head of a layer."""
        window = self.attention.window
        if window is None or window.full_head_dim is None or window.covers(layer):
            return self.attention.head_dim
        return window.full_head_dim

    def has_rope(self, layer: int) -> bool:
        """Whether a layer rotates its queries and keys."""
        every = self.position.none_every
        return self.position.kind is PositionKind.ROPE and (every is None or (layer + 1) % every != 0)
