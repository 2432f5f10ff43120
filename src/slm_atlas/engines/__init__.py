"""Engines run a model file: llama.cpp, and a fake one for tests; each in a worker process of its own."""

from slm_atlas.engines.base import (
    Engine,
    EngineInfo,
    Generation,
    LoadReport,
    LoadSettings,
    MemoryReport,
    NodeCost,
    NodeEvent,
    PhaseProfile,
    Product,
    ProductReport,
    Profile,
    Reading,
    Score,
    Usage,
)
from slm_atlas.engines.worker import ENGINES, Worker

__all__ = [
    "ENGINES",
    "Engine",
    "EngineInfo",
    "Generation",
    "LoadReport",
    "LoadSettings",
    "MemoryReport",
    "NodeCost",
    "NodeEvent",
    "PhaseProfile",
    "Product",
    "ProductReport",
    "Profile",
    "Reading",
    "Score",
    "Usage",
    "Worker",
]
