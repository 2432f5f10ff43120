"""Measuring what a model costs on this machine: latency, memory, and what disturbed them."""
