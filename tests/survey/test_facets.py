"""What is counted of a model: bins at their edges, lists over layers, what is not published."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from slm_atlas.catalog import get, models
from slm_atlas.survey.facets import (
    FACETS,
    MEASURES,
    RATIO_BINS,
    TOKENS_BINS,
    VOCABULARY_BINS,
    embedding_share,
    ffn_ratio,
    ratio_bin,
    tokens_bin,
    tokens_per_parameter,
    vocabulary_bin,
)

from .made import made, with_ffn

BY_NAME = {facet.name: facet for facet in FACETS}


@pytest.mark.parametrize(
    ("size", "label"),
    [
        (50_257, "<=50k"),
        (51_200, "<=50k"),
        (51_201, "50k~100k"),
        (99_999, "50k~100k"),
        (100_000, "100k~150k"),
        (149_999, "100k~150k"),
        (150_000, "150k~200k"),
        (199_999, "150k~200k"),
        (200_000, ">200k"),
    ],
)
def test_a_vocabulary_falls_in_the_bin_of_figure_2(size: int, label: str) -> None:
    assert vocabulary_bin(size) == label


@pytest.mark.parametrize(
    ("ratio", "label"),
    [
        (2.0, "<2.75"),
        (8 / 3, "<2.75"),
        (5504 / 2048, "2.75"),
        (6912 / 2560, "2.75"),
        (2.8125, "2.75"),
        (2.82, "3"),
        (3.0, "3"),
        (3.49, "3"),
        (3.5, "4"),
        (4.0, "4"),
        (4.001, ">4"),
        (8.0, ">4"),
    ],
)
def test_a_ratio_falls_in_the_bin_of_figure_2(ratio: float, label: str) -> None:
    assert ratio_bin(ratio) == label


@given(st.floats(0.01, 1e9), st.floats(0.01, 1e9))
def test_bins_keep_the_order_of_numbers(one: float, other: float) -> None:
    small, large = sorted((one, other))
    for bin_of, bins in ((ratio_bin, RATIO_BINS), (tokens_bin, TOKENS_BINS)):
        assert bins.index(bin_of(small)) <= bins.index(bin_of(large))
    assert VOCABULARY_BINS.index(vocabulary_bin(int(small))) <= VOCABULARY_BINS.index(vocabulary_bin(int(large)))


def test_layers_that_differ_count_by_their_mean() -> None:
    model = with_ffn((500, 4000), layers=2)
    assert ffn_ratio(model) == 2.25
    assert BY_NAME["ffn-ratio"].labels(model) == ("<2.75",)
    assert all(BY_NAME["ffn-ratio"].labels(model) == ("<2.75",) for model in models() if model.family == "OpenELM")


def test_what_is_not_published_is_not_zero() -> None:
    model = made(tokens_billion=None)
    assert tokens_per_parameter(model) is None
    assert BY_NAME["tokens-bins"].labels(model) == ()
    assert BY_NAME["datasets"].labels(model) == ()
    assert BY_NAME["data"].labels(model) == ("not named",)


def test_tokens_a_parameter() -> None:
    assert tokens_per_parameter(made(params=2_000_000_000, tokens_billion=40.0)) == 20.0


def test_an_untied_head_counts_as_embedding() -> None:
    arch = get("smollm-135m").architecture
    untied = made(params=10 * arch.vocab * arch.hidden, embedding=replace(arch.embedding, tied=False))
    assert embedding_share(untied) == pytest.approx(20.0)
    assert embedding_share(replace(untied, architecture=arch)) == pytest.approx(10.0)


def test_every_model_has_a_known_label_for_every_facet() -> None:
    for model in models():
        for facet in FACETS:
            assert not facet.order or set(facet.labels(model)) <= set(facet.order)
            assert facet.several or len(facet.labels(model)) <= 1


def test_names_are_used_once() -> None:
    names = [facet.name for facet in FACETS] + [measure.name for measure in MEASURES]
    assert len(names) == len(set(names))
