"""Orders of models that transformers builds: what determines the model is its identity."""

from __future__ import annotations

import hashlib
import json

import pytest

from slm_atlas.anatomy import Quantization
from slm_atlas.catalog import load
from slm_atlas.errors import UserError
from slm_atlas.models.built import build


def test_an_order_holds_what_determines_the_model() -> None:
    found = build("transformers:opt-350m")
    order = json.loads(found.path.read_text())
    assert (order["dtype"], order["seed"], order["params"]) == ("float32", 0, load.get("opt-350m").params)
    assert order["config"]["model_type"] == found.artifact.architecture == "opt"
    assert found.artifact.sha256 == hashlib.sha256(found.path.read_bytes()).hexdigest()
    assert found.artifact.origin == "transformers:opt-350m@float32"
    assert (found.artifact.forged, found.artifact.quantization) == (True, "F32")
    assert found.decode_bytes < found.artifact.size_bytes == 4 * order["params"]  # type: ignore[operator]
    assert found.flops_per_token == pytest.approx(2 * order["params"], rel=0.2)


def test_the_same_order_is_the_same_model_and_another_type_is_not() -> None:
    first, again, half = build("opt-125m"), build("transformers:opt-125m"), build("opt-125m", Quantization.BF16)
    assert first == again
    assert first.artifact.sha256 != half.artifact.sha256
    assert half.decode_bytes == first.decode_bytes / 2


def test_a_model_without_a_class_is_built_as_its_equivalent() -> None:
    found = build("transformers:dclm-1b")
    assert found.artifact.architecture == "olmo2"


def test_what_cannot_be_built_is_the_users_error() -> None:
    with pytest.raises(UserError, match="F32 or BF16"):
        build("opt-125m", Quantization.Q4_0)
    with pytest.raises(UserError, match="is a file"):
        build("some/model.gguf")
    with pytest.raises(UserError, match="without its authors' code"):
        build("transformers:hymba-1.5b")
    with pytest.raises(UserError, match="slm models list"):
        build("transformers:opt-126m")
