"""Measuring what a model costs on this machine: latency, memory, and what disturbed them."""

from slm_atlas.bench.calibration import Calibration, keep_calibration, merged, read_calibration
from slm_atlas.bench.disturbing import disturbances, noise
from slm_atlas.bench.fit import Need, foresee, shortage
from slm_atlas.bench.gate import Ceilings, Work, calibrated, impossible, measure_ceilings
from slm_atlas.bench.host import describe_host, host_state
from slm_atlas.bench.knee import Knee, Probe, find_knee
from slm_atlas.bench.latency import Measurement, fitting_context, load_settings, measure, misfit
from slm_atlas.bench.profiling import Profiled, profile
from slm_atlas.bench.protocol import BenchSettings
from slm_atlas.bench.requests import measure_requests
from slm_atlas.bench.room import Room, room
from slm_atlas.bench.simulate import simulate
from slm_atlas.bench.trace import chrome_trace, keep_trace

__all__ = [
    "BenchSettings",
    "Calibration",
    "Ceilings",
    "Knee",
    "Measurement",
    "Need",
    "Probe",
    "Profiled",
    "Room",
    "Work",
    "calibrated",
    "chrome_trace",
    "describe_host",
    "disturbances",
    "find_knee",
    "fitting_context",
    "foresee",
    "host_state",
    "impossible",
    "keep_calibration",
    "keep_trace",
    "load_settings",
    "measure",
    "measure_ceilings",
    "measure_requests",
    "merged",
    "misfit",
    "noise",
    "profile",
    "read_calibration",
    "room",
    "shortage",
    "simulate",
]
