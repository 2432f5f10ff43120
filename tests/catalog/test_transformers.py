"""Each configuration, built by transformers without memory for its weights: the parameters are those of the catalogue.

Slow, and only where torch and transformers are installed (extra `transformers`):
`python -m pytest -m slow tests/catalog/test_transformers.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import pytest

from slm_atlas.catalog import load
from slm_atlas.catalog.configs import Config, configs

pytestmark = pytest.mark.slow


def built(config: Mapping[str, Any]) -> int:
    """The number of parameters of the model that a configuration describes, tied ones counted once."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    keys = dict(config)
    described = CONFIG_MAPPING[keys.pop("model_type")](**keys)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(described)
    return sum(parameter.numel() for parameter in model.parameters())


def check(known: Config, keys: Mapping[str, Any], params: int) -> None:
    """Builds it and compares; skips where this version cannot build it, and was not seen to."""
    with warnings.catch_warnings(action="ignore"):
        pytest.importorskip("torch")
        version = pytest.importorskip("transformers").__version__
        try:
            count = built(keys)
        except Exception as error:  # whatever a version does to a configuration that it does not know
            if version in known.transformers:
                raise
            pytest.skip(f"transformers {version} does not build it: {str(error).splitlines()[:1]}")
    assert count == params


NATIVE = [model_id for model_id, known in configs().items() if known.native]
STAND_INS = [model_id for model_id, known in configs().items() if known.equivalent is not None]


@pytest.mark.parametrize("model_id", NATIVE)
def test_a_configuration_has_the_parameters_of_the_catalogue(model_id: str) -> None:
    known = configs()[model_id]
    check(known, known.config, load.get(model_id).params)


@pytest.mark.parametrize("model_id", STAND_INS)
def test_an_equivalent_configuration_has_as_many_parameters(model_id: str) -> None:
    known = configs()[model_id]
    assert known.equivalent is not None
    check(known, known.equivalent, load.get(model_id).params)
