"""Measuring what a model costs on this machine: latency, memory, and what disturbed them."""

from slm_atlas.bench.calibration import Calibration, keep_calibration, merged, read_calibration
from slm_atlas.bench.gate import Ceilings, Work, calibrated, impossible, measure_ceilings
from slm_atlas.bench.host import describe_host, disturbances, host_state, noise
from slm_atlas.bench.knee import Knee, Probe, find_knee
from slm_atlas.bench.latency import Measurement, measure
from slm_atlas.bench.profiling import Profiled, profile
from slm_atlas.bench.protocol import BenchSettings
from slm_atlas.bench.requests import measure_requests
from slm_atlas.bench.simulate import simulate
from slm_atlas.bench.trace import chrome_trace, keep_trace

__all__ = [
    "BenchSettings",
    "Calibration",
    "Ceilings",
    "Knee",
    "Measurement",
    "Probe",
    "Profiled",
    "Work",
    "calibrated",
    "chrome_trace",
    "describe_host",
    "disturbances",
    "find_knee",
    "host_state",
    "impossible",
    "keep_calibration",
    "keep_trace",
    "measure",
    "measure_ceilings",
    "measure_requests",
    "merged",
    "noise",
    "profile",
    "read_calibration",
    "simulate",
]
