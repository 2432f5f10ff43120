"""Models are chosen by what they are: one condition at a time, and all together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.catalog import Model, Selection, models, runnable, select
from slm_atlas.catalog.architecture import AttentionKind

CONDITIONS: dict[str, Callable[[Model, Any], bool]] = {
    "family": lambda model, value: model.family.lower() == value.lower(),
    "organization": lambda model, value: value.lower() in model.organization.lower(),
    "license": lambda model, value: value.lower() in model.license.lower(),
    "year": lambda model, value: int(model.release[:4]) == value,
    "in_paper": lambda model, value: model.paper.v1 is value,
    "min_params": lambda model, value: model.params >= value,
    "max_params": lambda model, value: model.params <= value,
    "attention": lambda model, value: model.architecture.attention_kind.lower() == value.lower(),
    "ffn": lambda model, value: ("gated" if model.architecture.ffn.gated else "standard") == value,
    "dataset": lambda model, value: (
        value.lower() in [name.lower() for name in (*model.training.datasets, *model.training.finetune_datasets)]
    ),
    "algorithm": lambda model, value: value.lower() in [name.lower() for name in model.training.algorithms],
    "runnable": lambda model, value: (runnable(model) is not None) is value,
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "family": st.sampled_from(["SmolLM", "smollm2", "QWEN2", "OPT", "none such"]),
    "organization": st.sampled_from(["Hugging Face", "eleutherai", "Alibaba", "meta", "Nobody"]),
    "license": st.sampled_from(["apache", "MIT", "Gemma", "none such"]),
    "year": st.integers(2018, 2027),
    "in_paper": st.booleans(),
    "min_params": st.integers(0, 5_000_000_000),
    "max_params": st.integers(0, 5_000_000_000),
    "attention": st.sampled_from([*AttentionKind, "mha", "HYBRID"]),
    "ffn": st.sampled_from(["gated", "standard"]),
    "dataset": st.sampled_from(["The Pile", "fineweb-edu", "RefinedWeb", "none such"]),
    "algorithm": st.sampled_from(["muP", "KNOWLEDGE DISTILLATION", "none such"]),
    "runnable": st.booleans(),
}


def ids(**wanted: Any) -> set[str]:
    return {model.id for model in select(Selection(**wanted))}


def test_every_condition_is_tried() -> None:
    assert set(CONDITIONS) == set(VALUES) == set(Selection.__struct_fields__)


def test_no_condition_chooses_all_in_the_order_of_the_catalogue() -> None:
    assert select(Selection()) == models()


@given(st.fixed_dictionaries({}, optional=VALUES))
def test_a_model_is_chosen_exactly_when_it_meets_all_conditions(wanted: dict[str, Any]) -> None:
    chosen = select(Selection(**wanted))
    assert chosen == tuple(
        model for model in models() if all(CONDITIONS[name](model, value) for name, value in wanted.items())
    )


@pytest.mark.parametrize(
    ("name", "value", "chosen", "left"),
    [
        ("family", "smollm", "smollm-135m", "smollm2-135m"),
        ("organization", "google", "gemma-2b", "phi-2"),
        ("license", "apache", "smollm-135m", "llama-3.2-1b"),
        ("year", 2023, "pythia-160m", "smollm-135m"),
        ("in_paper", True, "smollm-135m", "smollm3-3b"),
        ("in_paper", False, "smollm3-3b", "smollm-135m"),
        ("min_params", 361_821_120, "smollm-360m", "smollm-135m"),
        ("max_params", 361_821_120, "smollm-360m", "smollm-1.7b"),
        ("attention", "mla", "minicpm3-4b", "smollm-135m"),
        ("attention", "Hybrid", "lfm2-350m", "smollm-135m"),
        ("ffn", "standard", "pythia-160m", "smollm-135m"),
        ("ffn", "gated", "smollm-135m", "pythia-160m"),
        ("dataset", "the pile", "pythia-160m", "smollm-135m"),
        ("dataset", "databricks-dolly-15k", "dolly-v2-3b", "pythia-2.8b"),
        ("algorithm", "Knowledge distillation", "gemma-2-2b", "smollm-135m"),
        ("runnable", True, "bitnet-b1.58-2b-4t", "zamba2-1.2b"),
        ("runnable", False, "opt-350m", "opt-125m"),
    ],
)  # fmt: skip
def test_each_condition_chooses_some_and_leaves_others(name: str, value: object, chosen: str, left: str) -> None:
    found = ids(**{name: value})
    assert chosen in found
    assert left not in found


def test_a_year_is_a_whole_one() -> None:
    assert ids(year=202) == set()


def test_conditions_narrow_each_other() -> None:
    assert ids(family="smollm", max_params=200_000_000) == {"smollm-135m"}
    assert ids(organization="Hugging Face", in_paper=True) == ids(family="SmolLM")
    assert ids(family="OPT", runnable=False) == {"opt-350m"}
    assert ids(min_params=2, max_params=1) == set()
