"""Models of the catalogue made small: all that an architecture has, in a file of a megabyte.

Kept is which parts there are and how they are joined; made small is how wide they are, how deep and how many.
"""

from __future__ import annotations

from anatomy.shapes import changed
from slm_atlas import catalog
from slm_atlas.catalog.architecture import (
    Architecture,
    Attention,
    AttentionKind,
    Mixer,
    MixerKind,
    Mla,
    PerLayer,
    SlidingWindow,
)

HIDDEN, HEADS, HEAD_DIM, FFN = 256, 4, 64, 512
LATENT, STATE = 128, 64


def miniature(arch: Architecture, *, layers: int = 2) -> Architecture:
    """A small model built as the large one is; of four layers at least where some use the keys of others."""
    layers = max(layers, 4) if arch.attention.reused_kv_layers else layers
    return changed(
        arch,
        layers=layers,
        hidden=HIDDEN,
        vocab=512,
        context=256,
        attention=_attention(arch, layers),
        ffn={"intermediate": _widened(arch.ffn.intermediate, FFN // 2, layers) or FFN},
        position={"rotary_fraction": max(1, round(4 * arch.position.rotary_fraction)) / 4},
        embedding={"per_layer": 64 if arch.embedding.per_layer else 0},
        mixer=None if arch.mixer is None else _mixer(arch.mixer, layers),
    )


def miniatures(*, layers: int = 2) -> dict[str, Architecture]:
    """One for each architecture that the forge knows, by llama.cpp's name."""
    found: dict[str, Architecture] = {}
    # Models that llama.cpp runs as they are first, those with an equivalent after them.
    for model in sorted(catalog.models(), key=lambda model: model.equivalent is not None):
        arch = catalog.runnable(model)
        if arch is not None and arch.gguf not in found:
            found[str(arch.gguf)] = miniature(arch, layers=layers)
    return found


def distinct() -> dict[str, Architecture]:
    """All small models of two layers that differ in anything, by the id of the first model each stands for."""
    found: dict[Architecture, str] = {}
    for model in catalog.models():
        arch = catalog.runnable(model)
        if arch is not None:
            found.setdefault(miniature(arch), model.id)
    return {model_id: arch for arch, model_id in found.items()}


def _attention(arch: Architecture, layers: int) -> Attention:
    """Heads that are together wider than the stream, or narrower, where the model's are."""
    old = arch.attention
    width = arch.hidden if old.mla is not None else arch.per_layer(old.heads)[0] * old.head_dim
    heads = 2 * HEADS if width > arch.hidden else HEADS
    kv_heads = {AttentionKind.MQA: 1, AttentionKind.GQA: 2}.get(old.kind, heads)
    small = {
        "heads": _widened(old.heads, HEADS, layers) or heads,
        "kv_heads": _widened(old.kv_heads, 1, layers) or kv_heads,
        "head_dim": HEAD_DIM // 2 if width < arch.hidden else HEAD_DIM,
        "window": None if old.window is None else _window(old.window),
        "reused_kv_layers": layers // 2 if old.reused_kv_layers else 0,
        "mla": None if old.mla is None else _latent(old.mla),
    }
    return changed(arch, attention=small).attention


def _widened(value: PerLayer, small: int, layers: int) -> PerLayer | None:
    """Where layers differ, later ones are twice as wide as earlier ones."""
    return None if isinstance(value, int) else (small,) * (layers // 2) + (2 * small,) * (layers - layers // 2)


def _window(window: SlidingWindow) -> SlidingWindow:
    return SlidingWindow(
        size=64,
        full_every=None if window.full_every is None else 2,
        theta=window.theta,
        full_head_dim=None if window.full_head_dim is None else 2 * HEAD_DIM,
    )


def _latent(mla: Mla) -> Mla:
    return Mla(
        kv_lora_rank=LATENT,
        q_lora_rank=None if mla.q_lora_rank is None else LATENT,
        qk_nope_head_dim=HEAD_DIM // 2,
        qk_rope_head_dim=HEAD_DIM // 2,
        v_head_dim=HEAD_DIM,
        absorbed=mla.absorbed,
    )


def _mixer(mixer: Mixer, layers: int) -> Mixer:
    """One layer of each kind, and so on; widths as `granite-hybrid.cpp` and `qwen35.cpp` want them."""
    wide = mixer.kind in (MixerKind.MAMBA, MixerKind.MAMBA2)
    width = 2 * HIDDEN if wide else HIDDEN
    heads = width // STATE if mixer.heads else 0
    groups = {0: 0, 1: 1, mixer.heads: heads}.get(mixer.groups, 2)
    return Mixer(
        kind=mixer.kind,
        attention_layers=tuple(range(layers) if mixer.beside_attention else range(1, layers, 3)),
        beside_attention=mixer.beside_attention,
        width=width,
        conv_kernel=mixer.conv_kernel,
        conv_bias=mixer.conv_bias,
        state=STATE if mixer.state else 0,
        heads=heads,
        groups=groups,
        norm=mixer.norm,
    )
