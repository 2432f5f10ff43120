"""The catalogue: how each small language model is built and trained, each fact with its source."""

from slm_atlas.catalog.architecture import Architecture
from slm_atlas.catalog.checks import check
from slm_atlas.catalog.equivalents import runnable
from slm_atlas.catalog.load import Selection, get, models, parse, select
from slm_atlas.catalog.schema import Model, Source, SourceKind, Training

__all__ = [
    "Architecture",
    "Model",
    "Selection",
    "Source",
    "SourceKind",
    "Training",
    "check",
    "get",
    "models",
    "parse",
    "runnable",
    "select",
]
