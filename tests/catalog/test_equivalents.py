"""What llama.cpp runs in place of a model that it cannot run."""

from __future__ import annotations

import msgspec
import pytest

from slm_atlas.catalog import Model, check, get, models, runnable
from slm_atlas.catalog.architecture import Activation, NormPlacement
from slm_atlas.catalog.schema import Equivalent

OWN = get("smollm-135m")
FOREIGN = msgspec.structs.replace(OWN, architecture=msgspec.structs.replace(OWN.architecture, gguf=None))


def with_changes(**changes: str | int | float | bool) -> Model:
    """A model that llama.cpp does not run, with an equivalent; a dot in a field is written as two underscores."""
    fields = {field.replace("__", "."): value for field, value in changes.items()}
    return msgspec.structs.replace(FOREIGN, equivalent=Equivalent(changes=fields, differs="Something."))


def test_a_model_that_llama_cpp_runs_is_itself() -> None:
    assert runnable(OWN) is OWN.architecture


def test_without_an_equivalent_there_is_none() -> None:
    assert runnable(FOREIGN) is None


def test_an_equivalent_changes_what_it_names_and_nothing_else() -> None:
    found = runnable(with_changes(gguf="olmo2", norm__placement="post", ffn__activation="gelu", context=512))
    arch = FOREIGN.architecture
    assert found == msgspec.structs.replace(
        arch,
        gguf="olmo2",
        context=512,
        norm=msgspec.structs.replace(arch.norm, placement=NormPlacement.POST),
        ffn=msgspec.structs.replace(arch.ffn, activation=Activation.GELU),
    )
    assert FOREIGN.architecture.gguf is None


def test_the_same_changes_of_two_models_are_two_architectures() -> None:
    first, second = with_changes(gguf="llama"), with_changes(gguf="llama")
    wider = msgspec.structs.replace(second.architecture, hidden=2 * second.architecture.hidden)
    second = msgspec.structs.replace(second, architecture=wider)
    assert runnable(first) is runnable(first)
    assert runnable(first) != runnable(second)


@pytest.mark.parametrize("field", ["no_such", "attention.no_such", "no.such", "hidden.no", "mixer.width", ""])
def test_what_is_not_a_field_is_refused_by_name(field: str) -> None:
    model = msgspec.structs.replace(
        FOREIGN, equivalent=Equivalent(changes={"gguf": "llama", field: 1}, differs="Something.")
    )
    with pytest.raises(msgspec.ValidationError, match=f"`{field}` is not a field"):
        runnable(model)
    assert check(model) == [f"$.equivalent.changes: `{field}` is not a field of the architecture"]


def test_what_runs_has_the_depth_and_width_of_the_model() -> None:
    for model in models():
        found, own = runnable(model), model.architecture
        if found is None:
            assert own.gguf is None, model.id
            continue
        assert found.gguf is not None, model.id
        assert (found.layers, found.hidden, found.vocab) == (own.layers, own.hidden, own.vocab), model.id
        assert (found == own) is (model.equivalent is None), model.id
