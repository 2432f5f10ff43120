"""Measuring what a model costs on this machine: latency, memory, and what disturbed them."""

from slm_atlas.bench.gate import Ceilings, Work, impossible, measure_ceilings
from slm_atlas.bench.host import describe_host, host_state, noise
from slm_atlas.bench.latency import Measurement, measure
from slm_atlas.bench.protocol import BenchSettings
from slm_atlas.bench.requests import measure_requests
from slm_atlas.bench.simulate import simulate

__all__ = [
    "BenchSettings",
    "Ceilings",
    "Measurement",
    "Work",
    "describe_host",
    "host_state",
    "impossible",
    "measure",
    "measure_ceilings",
    "measure_requests",
    "noise",
    "simulate",
]
