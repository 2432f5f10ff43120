"""Rows made for tests: one number of one model, measured as all others."""

from __future__ import annotations

from typing import Any

from slm_atlas.insights.frame import Row
from slm_atlas.stats import Estimate

SIZES = (135e6, 360e6, 500e6, 1.1e9, 1.5e9, 2.8e9)


def row(params: float, value: float, *, metric: str = "prefill_s", **other: Any) -> Row:
    """A row with one metric, and others where they are given as `metrics`."""
    estimate = Estimate(value=value, low=value, high=value, n=5, method="given")
    given: dict[str, Any] = {
        "artifact": f"{params}", "name": f"model-{params:.0f}", "architecture": "llama", "quantization": "Q4_K_M",
        "forged": True, "host": "h", "engine": "fake", "settings": {"n_prompt": 50}, "n_runs": 5, "scores": {},
        "failures": (), "metrics": {metric: estimate},
    }  # fmt: skip
    return Row(params=int(params), **(given | other))


def given(value: float) -> Estimate:
    """A value that is known exactly."""
    return Estimate(value=value, low=value, high=value, n=5, method="given")
