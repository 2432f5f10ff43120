"""The values that engines take and give: plain structures, which travel over a pipe."""

from slm_atlas.engines.values.answering import (
    FirstToken,
    Generation,
    Generations,
    Pair,
    Prompt,
    Reply,
    Request,
    Score,
    Scores,
    Work,
)
from slm_atlas.engines.values.kernels import (
    NOT_WRITTEN,
    Conversion,
    Product,
    ProductReport,
)
from slm_atlas.engines.values.loading import (
    EngineInfo,
    LoadReport,
    LoadSettings,
    MemoryReport,
    Reading,
    Usage,
)
from slm_atlas.engines.values.profiling import (
    EMPTY,
    NodeCost,
    NodeEvent,
    PhaseProfile,
    Profile,
)
from slm_atlas.engines.values.serving import (
    Response,
    ServerReport,
)
from slm_atlas.engines.values.struct import Struct

__all__ = [
    "EMPTY",
    "NOT_WRITTEN",
    "Conversion",
    "EngineInfo",
    "FirstToken",
    "Generation",
    "Generations",
    "LoadReport",
    "LoadSettings",
    "MemoryReport",
    "NodeCost",
    "NodeEvent",
    "Pair",
    "PhaseProfile",
    "Product",
    "ProductReport",
    "Profile",
    "Prompt",
    "Reading",
    "Reply",
    "Request",
    "Response",
    "Score",
    "Scores",
    "ServerReport",
    "Struct",
    "Usage",
    "Work",
]
