"""The schema holds every way in which the models are built, and says what it means for each layer."""

import tomllib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.catalog import check, get
from slm_atlas.catalog.architecture import (
    Activation,
    Architecture,
    Attention,
    AttentionKind,
    MixerKind,
    NormKind,
    NormPlacement,
    Part,
    PositionKind,
    QkNorm,
    SlidingWindow,
)
from slm_atlas.catalog.schema import InPaper, Model, SourceKind, Training

OPENELM_270M = """
gguf = "openelm"
layers = 16
hidden = 1280
vocab = 32_000
context = 2048
norm = { kind = "rmsnorm", eps = 1e-6 }
position = { kind = "rope" }
embedding = { tied = true }

[attention]
heads = [12, 12, 12, 12, 12, 16, 16, 16, 16, 16, 16, 16, 20, 20, 20, 20]
kv_heads = [3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5]
head_dim = 64
fused_qkv = true
qk_norm = "head"

[ffn]
intermediate = [768, 1024, 1280, 1536, 1792, 2048, 2560, 2816, 3072, 3328, 3584, 3840, 4352, 4608, 4864, 5120]
gated = true
activation = "silu"
"""

MOBILLAMA_05B = """
layers = 22
hidden = 2048
vocab = 32_000
context = 2048
attention = { heads = 32, kv_heads = 32, head_dim = 64 }
ffn = { intermediate = 5632, gated = true, activation = "silu", shared = true }
norm = { kind = "rmsnorm", eps = 1e-5 }
position = { kind = "rope" }
embedding = { tied = false }
"""

MOBILELLM_LS_125M = """
layers = 30
hidden = 576
vocab = 32_000
context = 2048
repeat = 2
attention = { heads = 9, kv_heads = 3, head_dim = 64 }
ffn = { intermediate = 1536, gated = true, activation = "silu" }
norm = { kind = "rmsnorm", eps = 1e-5 }
position = { kind = "rope" }
embedding = { tied = true }
"""

MINICPM3_4B = """
gguf = "minicpm3"
layers = 62
hidden = 2560
vocab = 73_448
context = 32_768
ffn = { intermediate = 6400, gated = true, activation = "silu" }
norm = { kind = "rmsnorm", eps = 1e-5 }
position = { kind = "rope" }
embedding = { tied = true }

[attention]
heads = 40
kv_heads = 40
head_dim = 96
mla = { kv_lora_rank = 256, q_lora_rank = 768, qk_nope_head_dim = 64, qk_rope_head_dim = 32, v_head_dim = 64 }
"""

RECURRENTGEMMA_2B = """
layers = 26
hidden = 2560
vocab = 256_000
context = 8192
attention = { heads = 10, kv_heads = 1, head_dim = 256, out_bias = true, window = { size = 2048 } }
ffn = { intermediate = 7680, gated = true, activation = "gelu_tanh", bias = true }
norm = { kind = "rmsnorm", eps = 1e-6 }
position = { kind = "rope", rotary_fraction = 0.5 }
embedding = { tied = true }

[mixer]
kind = "rg_lru"
attention_layers = [2, 5, 8, 11, 14, 17, 20, 23]
width = 2560
conv_kernel = 4
heads = 10
"""

FALCON_H1 = """
gguf = "falcon-h1"
layers = 3
hidden = 1024
vocab = 32_784
context = 16_384
attention = { heads = 8, kv_heads = 2, head_dim = 64 }
ffn = { intermediate = 2048, gated = true, activation = "silu" }
norm = { kind = "rmsnorm", eps = 1e-5 }
position = { kind = "rope" }
embedding = { tied = false }

[mixer]
kind = "mamba2"
attention_layers = [0, 1, 2]
beside_attention = true
width = 1536
conv_kernel = 4
state = 128
heads = 24
groups = 1
"""

SHARED_BLOCK = """
layers = 4
hidden = 64
vocab = 256
context = 128
attention = { heads = 4, kv_heads = 4, head_dim = 16 }
ffn = { intermediate = 128, gated = true, activation = "gelu" }
norm = { kind = "rmsnorm", eps = 1e-5 }
position = { kind = "rope" }
embedding = { tied = true }
listed = [
    { name = "blk.{layer}.ssm_in.weight", shape = [128, 64], part = "mixer" },
    { name = "blk.{layer}.shared_out.weight", shape = [64, 64], part = "ffn", layers = [1, 3] },
    { name = "shared.0.attn_q.weight", shape = [64, 64], part = "attention", uses = 2 },
]
mixer = { kind = "mamba2", attention_layers = [1, 3], beside_attention = true, width = 128, conv_kernel = 4 }
"""

GEMMA_4_SMALL = """
gguf = "gemma4"
layers = 10
hidden = 256
vocab = 512
context = 131_072
ffn = { intermediate = [512, 512, 512, 512, 512, 1024, 1024, 1024, 1024, 1024], gated = true, activation = "gelu_tanh" }
norm = { kind = "rmsnorm", eps = 1e-6, placement = "both" }
position = { kind = "rope", theta = 1_000_000.0 }
embedding = { tied = true, per_layer = 32, logit_softcap = 30.0 }

[attention]
heads = 4
kv_heads = 1
head_dim = 64
qk_norm = "head"
reused_kv_layers = 4
window = { size = 512, full_every = 5, theta = 10_000.0, full_head_dim = 128 }
"""

SMOLLM3_SMALL = """
gguf = "smollm3"
layers = 8
hidden = 64
vocab = 256
context = 512
attention = { heads = 4, kv_heads = 1, head_dim = 16 }
ffn = { intermediate = 128, gated = true, activation = "silu" }
norm = { kind = "rmsnorm", eps = 1e-6 }
position = { kind = "rope", theta = 5_000_000.0, none_every = 4 }
embedding = { tied = true }
"""

GEMMA_3_1B = """
gguf = "gemma3"
layers = 26
hidden = 1152
vocab = 262_144
context = 32_768
ffn = { intermediate = 6912, gated = true, activation = "gelu_tanh" }
norm = { kind = "rmsnorm", eps = 1e-6, placement = "both" }
position = { kind = "rope", theta = 1_000_000.0 }
embedding = { tied = true }

[attention]
heads = 4
kv_heads = 1
head_dim = 256
qk_norm = "head"
window = { size = 512, full_every = 6, theta = 10_000.0 }
"""

OPT_350M = """
layers = 24
hidden = 1024
vocab = 50_272
context = 2048
attention = { heads = 16, kv_heads = 16, head_dim = 64, qkv_bias = true, out_bias = true }
ffn = { intermediate = 4096, gated = false, activation = "relu", bias = true }
norm = { kind = "layernorm", eps = 1e-5, bias = true, placement = "post", final = false }
position = { kind = "learned", offset = 2 }
embedding = { tied = true, dim = 512 }
"""

STABLELM_2_1_6B = """
gguf = "stablelm"
layers = 24
hidden = 2048
vocab = 100_352
context = 4096
attention = { heads = 32, kv_heads = 32, head_dim = 64, qkv_bias = true }
ffn = { intermediate = 5632, gated = true, activation = "silu" }
norm = { kind = "layernorm", eps = 1e-5, bias = true }
position = { kind = "rope", rotary_fraction = 0.25 }
embedding = { tied = false }
"""

SHAPES = {
    "openelm-270m": OPENELM_270M,
    "mobillama-0.5b": MOBILLAMA_05B,
    "mobilellm-125m-ls": MOBILELLM_LS_125M,
    "minicpm3-4b": MINICPM3_4B,
    "recurrentgemma-2b": RECURRENTGEMMA_2B,
    "falcon-h1": FALCON_H1,
    "shared block": SHARED_BLOCK,
    "gemma-4, small": GEMMA_4_SMALL,
    "smollm3, small": SMOLLM3_SMALL,
    "gemma-3-1b": GEMMA_3_1B,
    "opt-350m": OPT_350M,
    "stablelm-2-1.6b": STABLELM_2_1_6B,
}


def architecture(text: str) -> Architecture:
    return msgspec.convert(tomllib.loads(text), Architecture)


def problems(arch: Architecture) -> list[str]:
    not_run = None if arch.gguf else "Nothing runs it."
    return check(msgspec.structs.replace(get("smollm-135m"), architecture=arch, not_run=not_run))


@pytest.mark.parametrize("name", SHAPES)
def test_every_kind_of_architecture_fits_and_is_consistent(name: str) -> None:
    assert problems(architecture(SHAPES[name])) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("openelm-270m", AttentionKind.GQA),
        ("mobillama-0.5b", AttentionKind.MHA),
        ("mobilellm-125m-ls", AttentionKind.GQA),
        ("minicpm3-4b", AttentionKind.MLA),
        ("recurrentgemma-2b", AttentionKind.HYBRID),
        ("falcon-h1", AttentionKind.HYBRID),
        ("gemma-3-1b", AttentionKind.MQA),
        ("opt-350m", AttentionKind.MHA),
        ("stablelm-2-1.6b", AttentionKind.MHA),
    ],
)
def test_the_kind_of_attention_follows_from_the_heads_and_the_mixer(name: str, kind: AttentionKind) -> None:
    assert architecture(SHAPES[name]).attention_kind is kind


def test_layer_wise_scaling_gives_each_layer_its_own_heads_and_width() -> None:
    arch = architecture(OPENELM_270M)
    heads, kv_heads = arch.per_layer(arch.attention.heads), arch.per_layer(arch.attention.kv_heads)
    widths = arch.per_layer(arch.ffn.intermediate)
    assert (heads[0], kv_heads[0], widths[0]) == (12, 3, 768)
    assert (heads[-1], kv_heads[-1], widths[-1]) == (20, 5, 5120)
    assert {query // key for query, key in zip(heads, kv_heads, strict=True)} == {4}
    assert arch.attention.qk_norm is QkNorm.HEAD


def test_sharing_within_and_of_layers() -> None:
    assert architecture(MOBILLAMA_05B).ffn.shared
    shared = architecture(MOBILELLM_LS_125M)
    assert (shared.layers, shared.repeat) == (30, 2)


def test_the_latent_of_mla_is_what_is_cached() -> None:
    mla = architecture(MINICPM3_4B).attention.mla
    assert mla is not None
    assert mla.kv_lora_rank + mla.qk_rope_head_dim == 288
    assert mla.q_lora_rank == 768


def test_queries_of_mla_need_not_be_compressed() -> None:
    mla = architecture(MINICPM3_4B.replace(" q_lora_rank = 768,", "")).attention.mla
    assert mla is not None
    assert mla.q_lora_rank is None


def test_a_hybrid_has_attention_in_some_layers_and_a_mixer_in_the_others() -> None:
    arch = architecture(RECURRENTGEMMA_2B)
    assert arch.mixer is not None
    layers = range(arch.layers)
    assert tuple(layer for layer in layers if arch.has_attention(layer)) == arch.mixer.attention_layers
    assert all(arch.has_attention(layer) is not arch.has_mixer(layer) for layer in layers)
    assert arch.mixer.kind is MixerKind.RG_LRU
    assert (arch.mixer.width, arch.mixer.conv_kernel, arch.mixer.heads, arch.mixer.state) == (2560, 4, 10, 0)
    assert arch.attention.kind is AttentionKind.MQA
    assert arch.gguf is None


@pytest.mark.parametrize(("name", "attending"), [("falcon-h1", [0, 1, 2]), ("shared block", [1, 3])])
def test_a_mixer_may_stand_beside_attention(name: str, attending: list[int]) -> None:
    arch = architecture(SHAPES[name])
    assert [layer for layer in range(arch.layers) if arch.has_attention(layer)] == attending
    assert all(arch.has_mixer(layer) for layer in range(arch.layers))


def test_without_a_mixer_every_layer_has_attention_and_nothing_else() -> None:
    arch = architecture(GEMMA_3_1B)
    assert all(arch.has_attention(layer) and not arch.has_mixer(layer) for layer in range(arch.layers))


def test_what_no_rule_implies_is_listed() -> None:
    everywhere, somewhere, shared = architecture(SHARED_BLOCK).listed
    assert (everywhere.layers, everywhere.shape, everywhere.uses) == (None, (128, 64), 1)
    assert somewhere.layers == (1, 3)
    assert (shared.part, shared.uses) == (Part.ATTENTION, 2)


def test_the_last_layers_may_use_keys_and_values_of_earlier_ones() -> None:
    arch = architecture(GEMMA_4_SMALL)
    assert [layer for layer in range(arch.layers) if arch.has_kv(layer)] == [0, 1, 2, 3, 4, 5]


def test_keys_and_values_are_where_attention_is() -> None:
    arch = architecture(RECURRENTGEMMA_2B)
    assert all(arch.has_kv(layer) is arch.has_attention(layer) for layer in range(arch.layers))


def test_heads_may_be_wider_where_everything_is_seen() -> None:
    arch = architecture(GEMMA_4_SMALL)
    assert [layer for layer in range(arch.layers) if not arch.has_window(layer)] == [4, 9]
    assert [arch.head_dim(layer) for layer in range(5)] == [64, 64, 64, 64, 128]


def test_heads_are_of_one_width_where_nothing_else_is_said() -> None:
    for text in (GEMMA_3_1B, OPENELM_270M):
        arch = architecture(text)
        assert {arch.head_dim(layer) for layer in range(arch.layers)} == {arch.attention.head_dim}


def test_some_layers_may_have_no_positions() -> None:
    arch = architecture(SMOLLM3_SMALL)
    assert [layer for layer in range(arch.layers) if not arch.has_rope(layer)] == [3, 7]
    assert not architecture(OPT_350M).has_rope(0)


@given(
    size=st.integers(1, 4096),
    every=st.none() | st.integers(1, 8),
    full=st.frozensets(st.integers(0, 20), max_size=4).map(tuple),
    layer=st.integers(0, 20),
)
def test_a_window_covers_every_layer_but_those_named(
    size: int, every: int | None, full: tuple[int, ...], layer: int
) -> None:
    window = SlidingWindow(size=size, full_every=every, full_layers=full)
    by_rule = every is not None and layer % every == every - 1
    assert window.covers(layer) is not (by_rule or layer in full)


def test_windows_alternate_with_full_attention_each_with_its_own_theta() -> None:
    arch = architecture(GEMMA_3_1B)
    window = arch.attention.window
    assert window is not None
    assert (window.size, window.full_every) == (512, 6)
    assert (window.theta, arch.position.theta) == (10_000.0, 1_000_000.0)
    assert arch.norm.placement is NormPlacement.BOTH
    assert arch.ffn.activation is Activation.GELU_TANH


def test_a_narrow_embedding_learned_positions_and_no_final_norm() -> None:
    arch = architecture(OPT_350M)
    assert arch.embedding.dim == 512
    assert arch.position.kind is PositionKind.LEARNED
    assert arch.context + arch.position.offset == 2050
    assert arch.norm.placement is NormPlacement.POST
    assert not arch.norm.final


def test_part_of_a_head_may_be_rotated() -> None:
    arch = architecture(STABLELM_2_1_6B)
    assert arch.attention.head_dim * arch.position.rotary_fraction == 16
    assert (arch.norm.kind, arch.norm.bias) == (NormKind.LAYERNORM, True)


def test_what_is_not_published_is_none_and_not_zero() -> None:
    training = msgspec.convert(tomllib.loads(""), Training)
    assert (training.tokens_billion, training.tokens_unique_billion, training.finetune_tokens_billion) == (None,) * 3
    assert training.datasets == ()


def test_a_model_is_not_in_the_survey_unless_it_says_so() -> None:
    paper = msgspec.convert(tomllib.loads(""), InPaper)
    assert (paper.v1, paper.v3, paper.fig2b) == (False, False, False)
    assert paper.counts_as is None


def test_a_model_that_the_survey_counts_as_another_says_how_we_know() -> None:
    text = 'v1 = true\ncounts_as = { attention = "none", datasets = [], basis = "Figure 2" }'
    counts = msgspec.convert(tomllib.loads(text), InPaper).counts_as
    assert counts is not None
    assert (counts.attention, counts.datasets, counts.norm) == ("none", (), None)
    with pytest.raises(msgspec.ValidationError, match="missing required field `basis`"):
        msgspec.convert(tomllib.loads('counts_as = { norm = "none" }'), InPaper)


def test_a_tied_head_may_be_counted_too() -> None:
    tied, untied, narrow = get("smollm-135m"), get("pythia-160m"), get("opt-350m")
    assert tied.params_untied - tied.params == 49_152 * 576
    assert untied.params_untied == untied.params
    assert narrow.params_untied - narrow.params == 50_272 * 512


def test_values_are_frozen() -> None:
    with pytest.raises(AttributeError):
        get("smollm-135m").architecture.layers = 1  # type: ignore[misc]


@given(layers=st.integers(1, 40), value=st.integers(1, 100))
def test_one_value_stands_for_every_layer(layers: int, value: int) -> None:
    arch = msgspec.structs.replace(architecture(MOBILLAMA_05B), layers=layers)
    assert arch.per_layer(value) == (value,) * layers


@given(layers=st.integers(1, 40), values=st.lists(st.integers(1, 100), max_size=40).map(tuple))
def test_a_list_has_one_value_a_layer(layers: int, values: tuple[int, ...]) -> None:
    arch = msgspec.structs.replace(architecture(MOBILLAMA_05B), layers=layers)
    if len(values) == layers:
        assert arch.per_layer(values) == values
    else:
        with pytest.raises(ValueError, match=f"{len(values)} values for {layers} layers"):
            arch.per_layer(values)


@given(kv_heads=st.integers(2, 16), group=st.integers(1, 16))
def test_grouped_queries_are_those_that_share_but_not_all(kv_heads: int, group: int) -> None:
    kind = Attention(heads=kv_heads * group, kv_heads=kv_heads, head_dim=64).kind
    assert kind is (AttentionKind.MHA if group == 1 else AttentionKind.GQA)


def source_of(model: Model, field: str) -> str:
    return model.source(field).where


def test_a_source_is_that_of_the_field_or_of_its_section_or_of_the_identity() -> None:
    model = get("smollm2-135m")
    assert model.source("training.datasets").kind is SourceKind.RECALLED
    assert source_of(model, "training.algorithms") == model.sources["training"].where
    assert source_of(model, "architecture.attention.heads") == model.sources["architecture"].where
    assert source_of(model, "organization") == model.sources["identity"].where


def test_a_fact_without_any_source_is_an_error() -> None:
    with pytest.raises(KeyError, match=r"training\.datasets"):
        msgspec.structs.replace(get("smollm2-135m"), sources={}).source("training.datasets")
