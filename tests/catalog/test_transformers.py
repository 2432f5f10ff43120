"""Each configuration, built by transformers without memory for its weights: the parameters are those of the catalogue.

Slow, and only where torch and transformers are installed (extra `transformers`):
`python -m pytest -m slow tests/catalog/test_transformers.py`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from slm_atlas.catalog import load
from slm_atlas.catalog.configs import configs
from slm_atlas.catalog.huggingface import architecture

pytestmark = pytest.mark.slow

NATIVE = [model_id for model_id, known in configs().items() if known.native]
STAND_INS = [model_id for model_id, known in configs().items() if known.equivalent is not None]


def described(config: Mapping[str, Any]) -> Any:
    """The configuration as transformers holds it."""
    from transformers import CONFIG_MAPPING

    keys = dict(config)
    return CONFIG_MAPPING[keys.pop("model_type")](**keys)


def parameters(config: Mapping[str, Any]) -> int:
    """The number of parameters of the model that a configuration describes, tied ones counted once."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(described(config))
    return sum(parameter.numel() for parameter in model.parameters())


def of_transformers(model_id: str, ask: Callable[[Mapping[str, Any]], Any], config: Mapping[str, Any] | None) -> Any:
    """What transformers says of a configuration; skips where this version cannot build it, and was not seen to."""
    assert config is not None
    with warnings.catch_warnings(action="ignore"):
        pytest.importorskip("torch")
        version = pytest.importorskip("transformers").__version__
        try:
            return ask(config)
        except Exception as error:  # whatever a version does to a configuration that it does not know
            if version in configs()[model_id].transformers:
                raise
            return pytest.skip(f"transformers {version} does not build it: {str(error).partition(chr(10))[0]}")


@pytest.mark.parametrize("model_id", NATIVE)
def test_a_configuration_has_the_parameters_of_the_catalogue(model_id: str) -> None:
    assert of_transformers(model_id, parameters, configs()[model_id].config) == load.get(model_id).params


@pytest.mark.parametrize("model_id", STAND_INS)
def test_an_equivalent_configuration_has_as_many_parameters(model_id: str) -> None:
    assert of_transformers(model_id, parameters, configs()[model_id].equivalent) == load.get(model_id).params


@pytest.mark.parametrize("model_id", NATIVE)
def test_a_configuration_reads_the_same_after_transformers_saved_it(model_id: str) -> None:
    config = configs()[model_id].config
    saved = of_transformers(model_id, lambda keys: described(keys).to_json_string(use_diff=False), config)
    assert architecture(json.loads(saved)) == architecture(config)
