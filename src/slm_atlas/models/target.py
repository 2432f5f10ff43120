"""Which engine a model's name asks for: a file is llama.cpp's, `transformers:ID` and `endpoint:NAME@URL` say theirs."""

from __future__ import annotations

from collections.abc import Iterable

from slm_atlas.errors import UserError
from slm_atlas.models.built import is_built
from slm_atlas.models.served import EXAMPLE, is_served

DEFAULT_ENGINE = "llamacpp"
EVALUATING = ("torch", "hf")
"""Engines that evaluate real weights through transformers, and measure no costs."""


def engine_of(model: str) -> str:
    """The engine that a name asks for.

    >>> engine_of("transformers:opt-125m"), engine_of("endpoint:m@http://localhost:8000/v1"), engine_of("smollm-135m")
    ('transformers', 'endpoint', 'llamacpp')
    """
    return "endpoint" if is_served(model) else "transformers" if is_built(model) else DEFAULT_ENGINE


def engine_for(models: Iterable[str], asked: str | None) -> str:
    """The one engine that runs all these models.

    Args:
        models: as the user names them.
        asked: the engine the user asks for, by its name.

    Raises:
        UserError: they need different engines, or another than is asked for.
    """
    named = list(models)
    wanted = {engine_of(model) for model in named}
    if len(wanted) > 1 and asked is None:
        raise UserError(f"These models need different engines: {', '.join(sorted(wanted))}.", "a command for each")
    engine = asked or next(iter(wanted), DEFAULT_ENGINE)
    for model in named:
        _check(model, engine)
    return engine


def _check(model: str, engine: str) -> None:
    needed = engine_of(model)
    if engine in EVALUATING and needed == "transformers":
        return
    if engine == "endpoint" and needed != "endpoint":
        raise UserError(f"'{model}' does not name a model and its server.", EXAMPLE)
    if needed not in (engine, DEFAULT_ENGINE):
        raise UserError(f"'{model}' is run by the engine {needed}.", f"--engine {needed}")
