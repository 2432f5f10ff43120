"""The catalogue: how each small language model is built and trained, each fact with its source."""

from slm_atlas.catalog.architecture import Architecture
from slm_atlas.catalog.checks import check
from slm_atlas.catalog.equivalents import Runs, runnable, runs
from slm_atlas.catalog.load import get, models, parse
from slm_atlas.catalog.schema import Model, Source, SourceKind, Training
from slm_atlas.catalog.selection import Selection, select

__all__ = [
    "Architecture",
    "Model",
    "Runs",
    "Selection",
    "Source",
    "SourceKind",
    "Training",
    "check",
    "get",
    "models",
    "parse",
    "runnable",
    "runs",
    "select",
]
