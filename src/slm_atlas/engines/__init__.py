"""Engines run a model: llama.cpp, transformers, a server, a fake one for tests; each in a worker of its own."""

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
    Response,
    Score,
    ServerReport,
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
    "Response",
    "Score",
    "ServerReport",
    "Usage",
    "Worker",
]
