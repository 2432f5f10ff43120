"""An architecture in words, as commands and the report show it."""

from __future__ import annotations

from collections.abc import Iterable

from slm_atlas.catalog.architecture import (
    Architecture,
    Attention,
    Ffn,
    Mixer,
    Multipliers,
    Norm,
    NormPlacement,
    PerLayer,
    PositionKind,
)

PLACEMENT = {
    NormPlacement.PRE: "before attention and feed-forward",
    NormPlacement.POST: "after attention and feed-forward",
    NormPlacement.BOTH: "before and after attention and feed-forward",
}


def architecture_fields(shape: Architecture) -> dict[str, object]:
    """An architecture in words, a field each."""
    fields: dict[str, object] = {
        "in llama.cpp": shape.gguf or "cannot run",
        "layers": f"{shape.layers}{f', each run {shape.repeat} times in a row' if shape.repeat > 1 else ''}",
        "hidden size": shape.hidden,
        "vocabulary": f"{shape.vocab:,}",
        "context": f"{shape.context:,}",
        "attention": attention_words(shape.attention),
        "feed-forward": ffn_words(shape.ffn),
        "norm": norm_words(shape.norm),
        "position": _position(shape),
        "embedding": embedding_words(shape),
    }
    if shape.parallel:
        fields["block"] = "attention and feed-forward side by side"
    if shape.mixer is not None:
        fields["other layers"] = mixer_words(shape.mixer, shape.layers)
    if shape.multipliers is not None:
        fields["multipliers"] = _multipliers(shape.multipliers)
    return fields


def mixer_words(mixer: Mixer, layers: int) -> str:
    """What mixes tokens without attention, and where, in words."""
    attending = len(mixer.attention_layers)
    where = (
        f"beside attention in {attending} of {layers} layers, alone in the others"
        if mixer.beside_attention
        else f"in {layers - attending} of {layers} layers"
    )
    state = f"{mixer.heads} heads, state {mixer.state}" if mixer.state else None
    return _join((f"{mixer.kind} {where}", f"{mixer.width} wide", state, f"convolution of {mixer.conv_kernel}"))


def embedding_words(shape: Architecture) -> str:
    """The embedding and the language-model head in words."""
    embedding = shape.embedding
    return _join(
        (
            "tied to the head" if embedding.tied else "untied",
            f"{embedding.dim} wide" if embedding.dim else None,
            "normalized" if embedding.norm else None,
            "bias on the head" if embedding.head_bias else None,
            f"another {embedding.per_layer} wide in every layer" if embedding.per_layer else None,
            f"logits capped at {embedding.logit_softcap:g}" if embedding.logit_softcap else None,
        )
    )


def _multipliers(scales: Multipliers) -> str:
    named = ((name, getattr(scales, name)) for name in scales.__struct_fields__)
    return ", ".join(f"{name} {value:.4g}" for name, value in named if value is not None)


def attention_words(attention: Attention) -> str:
    """Attention in words.

    >>> attention_words(Attention(heads=9, kv_heads=3, head_dim=64))
    'GQA: 9 query heads, 3 key-value heads, 64 wide'
    """
    heads = f"{_span(attention.heads)} query heads, {_span(attention.kv_heads)} key-value heads"
    window = attention.window
    every = f", every {_ordinal(window.full_every)} layer sees all" if window and window.full_every else ""
    return _join(
        (
            f"{attention.kind}: {heads}, {attention.head_dim} wide",
            f"latent {attention.mla.kv_lora_rank} wide" if attention.mla else None,
            "biases on queries, keys and values" if attention.qkv_bias else None,
            "bias on the output" if attention.out_bias else None,
            f"norm on queries and keys ({attention.qk_norm})" if attention.qk_norm != "none" else None,
            "norm before the output" if attention.sub_norm else None,
            "gated output" if attention.output_gate else None,
            f"scores capped at {attention.softcap:g}" if attention.softcap else None,
            f"window of {window.size} tokens{every}" if window else None,
            f"theta {window.theta:,.0f} in the window" if window and window.theta else None,
            f"the last {attention.reused_kv_layers} layers use keys and values of earlier ones"
            if attention.reused_kv_layers
            else None,
        )
    )


def ffn_words(ffn: Ffn) -> str:
    """The feed-forward network in words."""
    gated = "gated" if ffn.gated else "plain"
    shared = "one for all layers" if ffn.shared else None
    return _join((f"{gated} {ffn.activation}, {_span(ffn.intermediate)} wide", "biases" if ffn.bias else None, shared))


def norm_words(norm: Norm) -> str:
    """The normalization layers in words."""
    final = "" if norm.final else ", none before the head"
    learned = ", ".join(name for name, present in (("scale", norm.weight), ("offset", norm.bias)) if present)
    return f"{norm.kind} {PLACEMENT[norm.placement]}, epsilon {norm.eps:g}, learned: {learned or 'nothing'}{final}"


def _position(shape: Architecture) -> str:
    position = shape.position
    if position.kind is not PositionKind.ROPE:
        return position.kind
    part = f"{position.rotary_fraction:.0%} of a head" if position.rotary_fraction < 1 else None
    gaps = f"none in every {_ordinal(position.none_every)} layer" if position.none_every else None
    return _join((f"{position.kind}, theta {position.theta:,.0f}", part, gaps))


def _ordinal(number: int) -> str:
    """A place in a short row.

    >>> _ordinal(2), _ordinal(3), _ordinal(6)
    ('2nd', '3rd', '6th')
    """
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number, 'th') }"


def _span(value: PerLayer) -> str:
    """A value of all layers, or the least and the most of values that differ.

    >>> _span(9), _span((3, 4, 5))
    ('9', '3 to 5')
    """
    return str(value) if isinstance(value, int) else f"{min(value)} to {max(value)}"


def _join(parts: Iterable[str | None]) -> str:
    return ", ".join(part for part in parts if part)
