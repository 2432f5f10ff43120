"""Hybrids whose tensors follow no rule, listed one by one (Zamba2, Hymba); the names are ours, in the style of GGUF."""

from __future__ import annotations

from msgspec.structs import replace

from slm_atlas.catalog.architecture import (
    Architecture,
    ListedTensor,
    Mixer,
    MixerKind,
    Multipliers,
    Part,
    PositionKind,
    SlidingWindow,
)
from slm_atlas.catalog.huggingface.keys import Keys
from slm_atlas.catalog.huggingface.mixers import layers_of, mamba2

Layers = tuple[int, ...] | None


def _norm(name: str, *shape: int, layers: Layers = None, uses: int = 1) -> ListedTensor:
    return ListedTensor(name=name, shape=shape, part=Part.NORM, layers=layers, uses=uses)


def _attention(name: str, *shape: int, layers: Layers = None, uses: int = 1) -> ListedTensor:
    return ListedTensor(name=name, shape=shape, part=Part.ATTENTION, layers=layers, uses=uses)


def _mixer(name: str, *shape: int, layers: Layers = None) -> ListedTensor:
    return ListedTensor(name=name, shape=shape, part=Part.MIXER, layers=layers)


def _ffn(name: str, *shape: int, layers: Layers = None, uses: int = 1) -> ListedTensor:
    return ListedTensor(name=name, shape=shape, part=Part.FFN, layers=layers, uses=uses)


# ---- Zamba2 (arXiv 2411.15242) -------------------------------------------------------------------------------------


def zamba2(keys: Keys, arch: Architecture) -> Architecture:
    """Zamba2: Mamba-2 in every layer, and a few transformer blocks that several layers share.

    A shared block reads the stream beside the embedding, so its attention is twice as wide as the stream.
    """
    shared = layers_of(keys, arch.layers, ("hybrid",), "layers_block_type", "layer_types")
    width = keys.whole("mamba_expand", default=2) * arch.hidden
    head_dim = keys.whole("attention_head_dim", default=max(1, 2 * arch.hidden // keys.whole("num_attention_heads")))
    arch = replace(
        arch,
        attention=replace(arch.attention, head_dim=head_dim),
        mixer=replace(mamba2(keys, arch, shared, width=width), beside_attention=True),
        multipliers=Multipliers(attention=(head_dim / 2) ** -0.5),
    )
    if not keys.flag("use_mem_rope"):
        arch = replace(arch, position=replace(arch.position, kind=PositionKind.NONE))
    blocks = keys.whole("num_mem_blocks", default=1, most=max(1, len(shared)))
    listed = (
        *_zamba2_layers(arch),
        *_zamba2_adapters(keys, arch, shared),
        *(tensor for block in range(blocks) for tensor in _zamba2_shared(arch, block, len(shared[block::blocks]))),
    )
    return replace(arch, listed=listed)


def _zamba2_layers(arch: Architecture) -> tuple[ListedTensor, ...]:
    assert arch.mixer is not None
    hidden, mixer = arch.hidden, arch.mixer
    conv = mixer.width + 2 * mixer.groups * mixer.state
    return (
        _norm("blk.{layer}.attn_norm.weight", hidden),
        _mixer("blk.{layer}.ssm_in.weight", mixer.width + conv + mixer.heads, hidden),
        _mixer("blk.{layer}.ssm_conv1d.weight", conv, mixer.conv_kernel),
        _mixer("blk.{layer}.ssm_conv1d.bias", conv),
        _mixer("blk.{layer}.ssm_dt.bias", mixer.heads),
        _mixer("blk.{layer}.ssm_a", mixer.heads),
        _mixer("blk.{layer}.ssm_d", mixer.heads),
        _norm("blk.{layer}.ssm_norm.weight", mixer.width),
        _mixer("blk.{layer}.ssm_out.weight", hidden, mixer.width),
    )


def _zamba2_adapters(keys: Keys, arch: Architecture, shared: tuple[int, ...]) -> tuple[ListedTensor, ...]:
    """What each layer that uses a shared block adds to it: low-rank adapters, and a projection of what it gives."""
    hidden, rank, width = arch.hidden, keys.whole("adapter_rank", default=128), arch.per_layer(arch.ffn.intermediate)[0]
    adapted = ("q", "k", "v") if keys.flag("use_shared_attention_adapter") else ()
    return (
        *(
            tensor
            for name in adapted
            for tensor in (
                _attention(f"blk.{{layer}}.attn_{name}.lora_a", rank, 2 * hidden, layers=shared),
                _attention(f"blk.{{layer}}.attn_{name}.lora_b", 2 * hidden, rank, layers=shared),
            )
        ),
        _ffn("blk.{layer}.ffn_up.lora_a", rank, hidden, layers=shared),
        _ffn("blk.{layer}.ffn_up.lora_b", 2 * width, rank, layers=shared),
        _ffn("blk.{layer}.shared_out.weight", hidden, hidden, layers=shared),
    )


def _zamba2_shared(arch: Architecture, block: int, uses: int) -> tuple[ListedTensor, ...]:
    hidden, width = arch.hidden, arch.per_layer(arch.ffn.intermediate)[0]
    queries = arch.per_layer(arch.attention.heads)[0] * arch.attention.head_dim
    cached = arch.per_layer(arch.attention.kv_heads)[0] * arch.attention.head_dim
    name = f"shared.{block}"
    return (
        _norm(f"{name}.attn_norm.weight", 2 * hidden, uses=uses),
        _attention(f"{name}.attn_q.weight", queries, 2 * hidden, uses=uses),
        _attention(f"{name}.attn_k.weight", cached, 2 * hidden, uses=uses),
        _attention(f"{name}.attn_v.weight", cached, 2 * hidden, uses=uses),
        _attention(f"{name}.attn_output.weight", hidden, queries, uses=uses),
        _norm(f"{name}.ffn_norm.weight", hidden, uses=uses),
        _ffn(f"{name}.ffn_up.weight", 2 * width, hidden, uses=uses),
        _ffn(f"{name}.ffn_down.weight", hidden, width, uses=uses),
    )


# ---- Hymba (arXiv 2411.13676) --------------------------------------------------------------------------------------


def hymba(keys: Keys, arch: Architecture) -> Architecture:
    """Hymba: attention and Mamba side by side on one input and one output projection, and memory before the text."""
    window = SlidingWindow(
        size=keys.whole("sliding_window"),
        full_layers=tuple(layer for layer in keys.wholes("global_attn_idx") if layer < arch.layers),
    )
    found = Mixer(
        kind=MixerKind.MAMBA,
        attention_layers=tuple(range(arch.layers)),
        beside_attention=True,
        width=keys.whole("mamba_expand", default=2) * arch.hidden,
        conv_kernel=keys.whole("mamba_d_conv"),
        conv_bias=True,
        state=keys.whole("mamba_d_state"),
        norm=True,
    )
    arch = replace(arch, mixer=found, attention=replace(arch.attention, window=window))
    memory = keys.whole("num_memory_tokens", default=0, least=0)
    # Added before the text, not looked up by a token of it.
    rows = ListedTensor(name="memory_embd.weight", shape=(memory, arch.hidden), part=Part.EMBEDDING, uses=0)
    listed = (*_hymba_attention(keys, arch), *_hymba_mamba(keys, arch), *_hymba_ffn(arch))
    return replace(arch, listed=(*((rows,) if memory else ()), *listed))


def _hymba_attention(keys: Keys, arch: Architecture) -> tuple[ListedTensor, ...]:
    """Keys and values are half as many: the later layers of a group use those of its first."""
    assert arch.mixer is not None
    hidden, attention = arch.hidden, arch.attention
    own = tuple(layer for layer in range(arch.layers) if layer not in _reusing(keys))
    kv_heads = arch.per_layer(attention.kv_heads)[0]
    queries = arch.per_layer(attention.heads)[0] * attention.head_dim
    return (
        _norm("blk.{layer}.attn_norm.weight", hidden),
        _attention("blk.{layer}.attn_q.weight", queries, hidden),
        _attention("blk.{layer}.attn_k.weight", kv_heads * attention.head_dim, hidden, layers=own),
        _attention("blk.{layer}.attn_v.weight", kv_heads * keys.whole("v_head_dim"), hidden, layers=own),
        _norm("blk.{layer}.attn_sub_norm.weight", arch.mixer.width),
        _attention("blk.{layer}.attn_output.weight", hidden, arch.mixer.width),
    )


def _reusing(keys: Keys) -> set[int]:
    """The layers that use the keys and values of another: all of a group but its first."""
    groups = [group for group in keys.items("kv_reuse_group") if isinstance(group, list | tuple)]
    return {layer for group in groups for layer in group[1:] if isinstance(layer, int)}


def _hymba_mamba(keys: Keys, arch: Architecture) -> tuple[ListedTensor, ...]:
    assert arch.mixer is not None
    width, state, rank = arch.mixer.width, arch.mixer.state, keys.whole("mamba_dt_rank")
    return (
        _mixer("blk.{layer}.ssm_in.weight", 2 * width, arch.hidden),
        _mixer("blk.{layer}.ssm_conv1d.weight", width, arch.mixer.conv_kernel),
        _mixer("blk.{layer}.ssm_conv1d.bias", width),
        _mixer("blk.{layer}.ssm_x.weight", rank + 2 * state, width),
        _norm("blk.{layer}.ssm_dt_norm.weight", rank),
        _norm("blk.{layer}.ssm_b_norm.weight", state),
        _norm("blk.{layer}.ssm_c_norm.weight", state),
        _mixer("blk.{layer}.ssm_dt.weight", width, rank),
        _mixer("blk.{layer}.ssm_dt.bias", width),
        _mixer("blk.{layer}.ssm_a", width, state),
        _mixer("blk.{layer}.ssm_d", width),
        _norm("blk.{layer}.ssm_norm.weight", width),
    )


def _hymba_ffn(arch: Architecture) -> tuple[ListedTensor, ...]:
    width, hidden = arch.per_layer(arch.ffn.intermediate)[0], arch.hidden
    return (
        _norm("blk.{layer}.ffn_norm.weight", hidden),
        _ffn("blk.{layer}.ffn_gate.weight", width, hidden),
        _ffn("blk.{layer}.ffn_up.weight", width, hidden),
        _ffn("blk.{layer}.ffn_down.weight", hidden, width),
    )
