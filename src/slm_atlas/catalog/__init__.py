"""The catalogue: how each small language model is built and trained, each fact with its source."""

from slm_atlas.catalog.checks import check
from slm_atlas.catalog.load import get, models, parse, select
from slm_atlas.catalog.schema import Architecture, Model, Source, SourceKind, Training

__all__ = ["Architecture", "Model", "Source", "SourceKind", "Training", "check", "get", "models", "parse", "select"]
