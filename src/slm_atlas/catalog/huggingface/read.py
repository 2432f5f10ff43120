"""The architecture that a Hugging Face configuration (`config.json`) describes, read as transformers reads it.

What a configuration says is read here; what its class does whatever the configuration says stands in `types.py`.
What an architecture's name implies in llama.cpp (the embedding of Gemma and its like is scaled by the root of the
hidden width) is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from msgspec.structs import replace

from slm_atlas.catalog.architecture import (
    Activation,
    Architecture,
    Attention,
    Embedding,
    Ffn,
    Norm,
    NormKind,
    Position,
    PositionKind,
)
from slm_atlas.catalog.checks import MOST_LAYERS
from slm_atlas.catalog.huggingface.keys import Keys
from slm_atlas.catalog.huggingface.parts import activation
from slm_atlas.catalog.huggingface.types import TYPES, Kind
from slm_atlas.errors import UserError

LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "num_transformer_layers", "n_layers")
HIDDEN = ("hidden_size", "n_embd", "n_embed", "model_dim", "dim")
CONTEXT = ("max_position_embeddings", "n_positions", "max_context_length", "seq_len")
HEADS = ("num_attention_heads", "n_head", "num_query_heads", "n_heads")
KV_HEADS = ("num_key_value_heads", "num_kv_heads")
HEAD_DIM = ("head_dim", "kv_channels", "kq_head_dim")
EPSILON = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps")
ACTIVATION = ("hidden_act", "activation_function", "activation_fn_name", "mlp_hidden_act")
TIED = ("share_embedding", "share_input_output_layers", "weight_tying", "tie_word_embeddings")
THETA = ("rope_theta", "rotary_emb_base", "rope_freq_constant")
ROTARY = ("partial_rotary_factor", "rotary_pct")

COMPUTED = {
    **dict.fromkeys(("gpt2", "bloom", "gptneox", "phi2", "gemma", "gemma2", "gemma3", "gemma4"), Activation.GELU_TANH),
    **dict.fromkeys(("nemotron", "arcee"), Activation.RELU2),
}
"""The activation in llama.cpp's graph of an architecture, which no key of a file changes; in all others it is SiLU."""


def architecture(config: Mapping[str, object]) -> Architecture:
    """The architecture a configuration describes.

    Args:
        config: the contents of a `config.json`; of a multimodal model's, its `text_config` is read.

    Raises:
        UserError: a `model_type` that is not known here, or a key that is missing or has an impossible value.
    """
    text = _language_model(config)
    kind = _kind(text.get("model_type"))
    keys = Keys(_with_rope(text), kind.assumed)
    keys.refuse(kind.refused)
    arch = kind.built(_numbers(keys, kind))
    for part in kind.also:
        arch = part(keys, arch)
    return arch if _runs(arch) else replace(arch, gguf=None)


def _language_model(config: Mapping[str, object]) -> Mapping[str, object]:
    inner = config.get("text_config")
    if not isinstance(inner, Mapping):
        return config
    # The head belongs to the whole model, so its own key says whether it is tied.
    outer = {key: config[key] for key in ("tie_word_embeddings",) if key in config}
    return {"model_type": config.get("model_type"), **inner, **outer}


def _kind(name: object) -> Kind:
    if not isinstance(name, str):
        raise UserError("The configuration has no model_type.")
    if name not in TYPES:
        near = get_close_matches(name, TYPES, n=3) or sorted(TYPES)
        raise UserError(f"The model_type '{name[:40]}' is not known here; those most like it are {', '.join(near)}.")
    return TYPES[name]


def _with_rope(text: Mapping[str, object]) -> Mapping[str, object]:
    """The keys that transformers 5 keeps in `rope_parameters`, beside the others as transformers 4 had them."""
    rope = text.get("rope_parameters")
    if not isinstance(rope, Mapping):
        return text
    full, window = rope.get("full_attention", rope), rope.get("sliding_attention")
    found = {key: full[key] for key in (THETA[0], ROTARY[0]) if isinstance(full, Mapping) and key in full}
    if isinstance(window, Mapping):
        found["rope_local_base_freq"] = window.get("rope_theta")
    return found | dict(text)


def _numbers(keys: Keys, kind: Kind) -> Architecture:
    """All that the configuration says in keys common to most types."""
    layers, hidden = keys.whole(*LAYERS, most=MOST_LAYERS), keys.whole(*HIDDEN)
    return Architecture(
        gguf=kind.gguf,
        layers=layers,
        hidden=hidden,
        vocab=keys.whole("vocab_size"),
        context=keys.whole(*CONTEXT),
        attention=_attention(keys, layers, hidden),
        ffn=Ffn(
            intermediate=kind.width(keys, layers, hidden),
            gated=True,
            activation=activation(keys, *ACTIVATION),
            bias=keys.flag("mlp_bias", "use_bias"),
        ),
        norm=Norm(kind=NormKind.RMSNORM, eps=keys.number(*EPSILON)),
        position=Position(
            kind=PositionKind.ROPE,
            theta=keys.number(*THETA, default=10_000.0),
            rotary_fraction=keys.number(*ROTARY, default=1.0, most=1.0),
        ),
        embedding=Embedding(tied=keys.flag(*TIED)),
    )


def _attention(keys: Keys, layers: int, hidden: int) -> Attention:
    heads = keys.per_layer(layers, *HEADS)
    head_dim = keys.whole(*HEAD_DIM, default=0, least=0)
    if not head_dim:
        if not isinstance(heads, int) or hidden % heads:
            raise UserError(f"head_dim: there is none, and {heads} heads do not share {hidden} evenly.")
        head_dim = hidden // heads
    bias = keys.flag("attention_bias", "use_bias")
    return Attention(
        heads=heads,
        kv_heads=heads if keys.is_null(KV_HEADS[0]) else keys.per_layer(layers, *KV_HEADS, default=heads),
        head_dim=head_dim,
        qkv_bias=bias or keys.flag("use_qkv_bias"),
        out_bias=bias,
    )


def _runs(arch: Architecture) -> bool:
    """Whether llama.cpp's graph of that name computes what the model does."""
    own = Activation.GELU_TANH if arch.ffn.activation is Activation.GELU else arch.ffn.activation
    return not arch.ffn.shared and arch.repeat == 1 and own is COMPUTED.get(arch.gguf or "", Activation.SILU)
