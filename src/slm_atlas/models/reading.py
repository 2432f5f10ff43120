"""The architecture that a GGUF's header describes: the inverse of `models/metadata.py`.

What metadata does not say (biases, norms, which layers have attention) is read off the names of the tensors. The
result is trusted only if its inventory is exactly what the file holds.
"""

from __future__ import annotations

from slm_atlas.anatomy import inventory
from slm_atlas.catalog.architecture import (
    Activation,
    Architecture,
    Attention,
    Embedding,
    Ffn,
    Mixer,
    MixerKind,
    Mla,
    Multipliers,
    Norm,
    NormKind,
    NormPlacement,
    PerLayer,
    Position,
    PositionKind,
    QkNorm,
    SlidingWindow,
)
from slm_atlas.errors import UserError
from slm_atlas.models.header import Header
from slm_atlas.models.metadata import RUNNABLE
from slm_atlas.units import MOST_TOKENS

CONSTANTS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
"""Tensors that converters add to some files: constants, not parameters."""
_ACTIVATION = {
    **dict.fromkeys(("gpt2", "bloom", "phi2", "gemma", "gemma2", "gemma3", "gemma4"), Activation.GELU_TANH),
    **dict.fromkeys(("nemotron", "arcee"), Activation.RELU2),
    "gptneox": Activation.GELU,
}
_FULL_EVERY = {"gemma2": 2, "gemma3": 6}
"""Which layers see everything where the file does not say (`load_swa_pattern`)."""
_NO_ROPE_EVERY = {"smollm3": 4}


def architecture(header: Header) -> Architecture:
    """The architecture a header describes, as llama.cpp runs it.

    Raises:
        UserError: it is not one of those whose tensors are known here, or its tensors are not the ones expected.
    """
    if header.architecture not in RUNNABLE:
        known = ", ".join(RUNNABLE)
        raise UserError(f"Files of the architecture {header.architecture!r} are not known here (but: {known}).")
    try:
        arch = _File(header).architecture()
        tensors = inventory(arch)
    except (ValueError, IndexError, ZeroDivisionError, TypeError) as error:
        raise UserError(f"The file's header contradicts itself: {error}.", "convert it again") from None
    expected = {(tensor.name, tensor.shape) for tensor in tensors}
    found = {(tensor.name, tensor.shape) for tensor in header.tensors if tensor.name not in CONSTANTS}
    if expected != found:
        odd = sorted(repr(name) for name, _ in expected ^ found)
        raise UserError(f"The file has other tensors than its architecture says: {', '.join(odd[:3])}.")
    return arch


class _File:
    """A header, asked for one part of the architecture after another."""

    def __init__(self, header: Header) -> None:
        self._header, self._kind = header, header.architecture
        self._shapes = {tensor.name: tensor.shape for tensor in header.tensors}

    def architecture(self) -> Architecture:
        vocab = self._shapes.get("token_embd.weight", (0, 0))[0]
        attention, parallel = self._attention(), bool(self._get("use_parallel_residual")) or self._kind == "phi2"
        return Architecture(
            gguf=self._kind,
            layers=self._layers,
            hidden=self._whole("embedding_length"),
            vocab=vocab,
            context=self._context(),
            attention=attention,
            ffn=self._ffn(),
            norm=self._norm(parallel),
            position=self._position(attention),
            embedding=self._embedding(),
            parallel=parallel,
            mixer=self._mixer(),
            multipliers=self._multipliers(),
        )

    def _context(self) -> int:
        context = self._whole("context_length")
        if not 0 < context <= MOST_TOKENS:
            raise UserError(f"The file claims a context of {context:,} tokens.", "convert it again")
        return context

    # ---- attention -------------------------------------------------------------------------------------------------

    def _attention(self) -> Attention:
        heads = self._per_layer("attention.head_count")
        mla, window = self._mla(), self._window()
        kv_heads = self._kv_heads(heads)
        head_dim = mla.qk_nope_head_dim + mla.qk_rope_head_dim if mla else self._head_dim(heads)
        return Attention(
            heads=heads,
            kv_heads=heads if mla else kv_heads,
            head_dim=head_dim,
            qkv_bias=self._has("attn_q.bias") or self._has("attn_qkv.bias"),
            out_bias=self._has("attn_output.bias"),
            fused_qkv=self._has("attn_qkv.weight") and not self._has("ssm_out.weight"),
            qk_norm=self._qk_norm(head_dim),
            sub_norm=self._has("attn_sub_norm.weight"),
            output_gate=self._kind == "qwen35",
            softcap=self._number("attn_logit_softcapping"),
            window=window,
            reused_kv_layers=self._whole("attention.shared_kv_layers", 0),
            mla=mla,
        )

    def _kv_heads(self, heads: PerLayer) -> PerLayer:
        """Hybrids write zero for the layers without attention, which `Mixer.attention_layers` says already."""
        found = self._per_layer("attention.head_count_kv", heads)
        if isinstance(found, int) or 0 not in found:
            return found
        attending = {count for count in found if count}
        return attending.pop() if len(attending) == 1 else tuple(count or 1 for count in found)

    def _head_dim(self, heads: PerLayer) -> int:
        default = self._whole("embedding_length") // (heads if isinstance(heads, int) else heads[0])
        return self._whole("attention.key_length_swa", self._whole("attention.key_length", default))

    def _qk_norm(self, head_dim: int) -> QkNorm:
        layer = next(
            (layer for layer in range(self._layers) if f"blk.{layer}.attn_q_norm.weight" in self._shapes), None
        )
        if layer is None:
            return QkNorm.NONE
        sizes = {head_dim, self._whole("attention.key_length", head_dim)}
        return QkNorm.HEAD if self._shapes[f"blk.{layer}.attn_q_norm.weight"][0] in sizes else QkNorm.FULL

    def _mla(self) -> Mla | None:
        if not self._has("attn_kv_a_mqa.weight"):
            return None
        absorbed = self._has("attn_k_b.weight")
        suffix, rope = "_mla" if absorbed else "", self._whole("rope.dimension_count")
        return Mla(
            kv_lora_rank=self._whole("attention.kv_lora_rank"),
            q_lora_rank=self._whole("attention.q_lora_rank") if self._has("attn_q_a.weight") else None,
            qk_nope_head_dim=self._whole(f"attention.key_length{suffix}") - rope,
            qk_rope_head_dim=rope,
            v_head_dim=self._v_head_dim(suffix),
            absorbed=absorbed,
        )

    def _v_head_dim(self, suffix: str) -> int:
        heads = self._whole("attention.head_count")
        return self._whole(f"attention.value_length{suffix}", self._whole("embedding_length") // heads)

    def _window(self) -> SlidingWindow | None:
        size = self._whole("attention.sliding_window", 0)
        if not size:
            return None
        every, layers = self._full_layers()
        wide, narrow = self._get("attention.key_length"), self._get("attention.key_length_swa")
        return SlidingWindow(
            size=size,
            full_every=every,
            full_layers=layers,
            theta=self._number("rope.freq_base_swa"),
            full_head_dim=wide if isinstance(wide, int) and narrow not in (None, wide) else None,
        )

    def _full_layers(self) -> tuple[int | None, tuple[int, ...]]:
        """Every which layer sees everything, or else which do."""
        pattern = self._get("attention.sliding_window_pattern")
        if isinstance(pattern, int):
            return (pattern, ()) if pattern > 1 else (None, ())
        if not isinstance(pattern, list):
            return _FULL_EVERY.get(self._kind), ()
        full = tuple(layer for layer, windowed in enumerate(pattern) if not windowed)
        every = full[0] + 1 if full else None
        regular = every is not None and full == tuple(range(every - 1, len(pattern), every))
        return (every, ()) if regular else (None, full)

    # ---- the rest --------------------------------------------------------------------------------------------------

    def _mixer(self) -> Mixer | None:
        layers = range(self._layers)
        outs = ("ssm_out", "shortconv.out_proj")
        mixing = [layer for layer in layers if any(f"blk.{layer}.{name}.weight" in self._shapes for name in outs)]
        attending = tuple(layer for layer in layers if f"blk.{layer}.attn_output.weight" in self._shapes)
        if not mixing:
            return None
        first = f"blk.{mixing[0]}"
        short = f"{first}.shortconv.out_proj.weight" in self._shapes
        delta = f"{first}.ssm_alpha.weight" in self._shapes
        return Mixer(
            kind=MixerKind.SHORT_CONV if short else MixerKind.DELTA_NET if delta else MixerKind.MAMBA2,
            attention_layers=attending,
            beside_attention=any(layer in attending for layer in mixing),
            width=self._whole("embedding_length") if short else self._whole("ssm.inner_size"),
            conv_kernel=self._whole("shortconv.l_cache" if short else "ssm.conv_kernel"),
            conv_bias=f"{first}.ssm_conv1d.bias" in self._shapes,
            state=0 if short else self._whole("ssm.state_size"),
            heads=0 if short else self._whole("ssm.time_step_rank"),
            groups=0 if short else self._whole("ssm.group_count"),
            norm=f"{first}.ssm_norm.weight" in self._shapes,
        )

    def _ffn(self) -> Ffn:
        width = self._per_layer("feed_forward_length")
        if self._kind == "qwen":
            width = width // 2 if isinstance(width, int) else tuple(one // 2 for one in width)
        first = width if isinstance(width, int) else width[0]
        rows = self._shapes.get("blk.0.ffn_up.weight", (first,))[0]
        gated = self._has("ffn_gate.weight") or rows == 2 * first
        default = Activation.SILU if gated else Activation.GELU
        return Ffn(
            intermediate=width,
            gated=gated,
            activation=_ACTIVATION.get(self._kind, default),
            bias=self._has("ffn_up.bias"),
            fused_gate=rows == 2 * first,
            sub_norm=self._has("ffn_sub_norm.weight"),
        )

    def _norm(self, parallel: bool) -> Norm:
        rms = self._number("attention.layer_norm_rms_epsilon")
        eps = self._number("attention.layer_norm_epsilon") or 1e-5 if rms is None else rms
        before, after = self._has("attn_norm.weight"), self._has("post_ffw_norm.weight")
        placement = NormPlacement.BOTH if before and after else NormPlacement.POST if after else NormPlacement.PRE
        return Norm(
            kind=NormKind.LAYERNORM if rms is None else NormKind.RMSNORM,
            eps=eps,
            weight=before or after,
            bias=self._has("attn_norm.bias"),
            placement=placement,
            shared=parallel and not self._has("ffn_norm.weight"),
        )

    def _position(self, attention: Attention) -> Position:
        if "position_embd.weight" in self._shapes:
            return Position(kind=PositionKind.LEARNED)
        if self._kind == "bloom":
            return Position(kind=PositionKind.ALIBI)
        if self._kind == "granitehybrid" and self._get("rope.scaling.finetuned") is False:
            return Position(kind=PositionKind.NONE)
        rotated = self._whole("rope.dimension_count", attention.head_dim)
        full = self._whole("attention.key_length", attention.head_dim)
        return Position(
            kind=PositionKind.ROPE,
            theta=self._number("rope.freq_base") or 10_000.0,
            rotary_fraction=1.0 if attention.mla else rotated / full,
            none_every=_NO_ROPE_EVERY.get(self._kind),
        )

    def _embedding(self) -> Embedding:
        return Embedding(
            tied="output.weight" not in self._shapes,
            norm="token_embd_norm.weight" in self._shapes and self._kind != "lfm2",
            head_bias="output.bias" in self._shapes,
            per_layer=self._whole("embedding_length_per_layer_input", 0),
            logit_softcap=self._number("final_logit_softcapping"),
        )

    def _multipliers(self) -> Multipliers | None:
        found = Multipliers(
            embedding=self._number("embedding_scale"),
            residual=self._number("residual_scale"),
            attention=self._number("attention.scale"),
            logits=self._number("logit_scale"),
        )
        return None if found == Multipliers() else found

    # ---- keys ------------------------------------------------------------------------------------------------------

    @property
    def _layers(self) -> int:
        layers = self._whole("block_count")
        if layers > len(self._shapes):  # a layer has tensors: such a header is not worth a look at each of them
            raise UserError(f"The file claims {layers:,} layers, more than it has tensors.", "convert it again")
        return layers

    def _has(self, name: str) -> bool:
        """Whether the first layer, or one soon after it in a hybrid, has a tensor."""
        return any(f"blk.{layer}.{name}" in self._shapes for layer in range(min(self._layers, 8)))

    def _get(self, key: str) -> object:
        return self._header.metadata.get(f"{self._kind}.{key}")

    def _whole(self, key: str, default: int | None = None) -> int:
        value = self._get(key)
        value = default if value is None else value
        if not isinstance(value, int):
            raise UserError(f"The file does not say its {key} as a number.", "convert it again")
        return value

    def _number(self, key: str) -> float | None:
        value = self._get(key)
        # Numbers are stored in float32: its seven digits are the number that was written.
        return float(f"{value:.7g}") if isinstance(value, int | float) else None

    def _per_layer(self, key: str, default: PerLayer | None = None) -> PerLayer:
        value = self._get(key)
        if isinstance(value, list | tuple):
            return tuple(int(str(one)) for one in value)
        if value is None and default is not None:
            return default
        return self._whole(key)
