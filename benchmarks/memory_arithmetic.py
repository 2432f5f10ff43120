"""How far the memory arithmetic is from what llama.cpp allocates, over every model of the catalogue that it runs.

python benchmarks/memory_arithmetic.py [--quant Q4_K_M] [--quant F16]: the engine reckons its buffers without reading
weights (`bench.simulate`), so nothing is forged; a few minutes for all.
"""

from __future__ import annotations

from statistics import quantiles
from typing import NamedTuple

import click

from slm_atlas.anatomy import Quantization, estimate
from slm_atlas.bench import simulate
from slm_atlas.catalog import models, runnable

CONTEXTS = (512, 2048, 8192)
LOG_BYTES = 2**20 * 0.005
"""The engine's log gives two decimals of a MiB for each cache."""


class Error(NamedTuple):
    """One comparison."""

    model: str
    context: int
    quantization: str
    kv_bytes: int
    """Ours less the engine's."""
    compute: float
    """Ours over the engine's, less one."""
    together: float
    """The same of cache and compute buffer together."""


def compare(model_id: str, quantization: Quantization, context: int) -> Error | None:
    """Ours beside the engine's; None for a model that it does not run."""
    found = {model.id: runnable(model) for model in models()}[model_id]
    if found is None:
        return None
    ours, engine = estimate(found, quantization, context=context), simulate(found, quantization, context=context)
    assert engine.compute_bytes is not None
    total, theirs = ours.kv_bytes + ours.compute_bytes, engine.kv_bytes + engine.compute_bytes
    compute = ours.compute_bytes / engine.compute_bytes - 1
    return Error(model_id, context, quantization, ours.kv_bytes - engine.kv_bytes, compute, total / theirs - 1)


def spread(errors: list[float]) -> str:
    """Median, 95th percentile and worst of the absolute errors, in percent."""
    sizes = sorted(abs(error) for error in errors)
    return f"median {sizes[len(sizes) // 2]:.3%}, 95 % within {quantiles(sizes, n=20)[-1]:.2%}, worst {sizes[-1]:.2%}"


@click.command()
@click.argument("names", nargs=-1)
@click.option("--quant", "quants", multiple=True, default=("Q4_K_M", "F16"), show_default=True)
def main(names: tuple[str, ...], quants: tuple[str, ...]) -> None:
    """Print the errors for the models named, or for all."""
    chosen = [model.id for model in models() if not names or model.id in names]
    jobs = [(model, Quantization(quant), context) for model in chosen for quant in quants for context in CONTEXTS]
    with click.progressbar(jobs, label="models x quantizations x contexts") as bar:
        errors = [error for job in bar if (error := compare(*job)) is not None]
    exact = sum(abs(error.compute) < 0.001 for error in errors)
    off = [error for error in errors if abs(error.kv_bytes) > 2 * LOG_BYTES + 2]
    print(f"{len(errors)} cases: {len({error.model for error in errors})} models, contexts {CONTEXTS}, {quants}")
    print(f"cache: {len(errors) - len(off)} equal to the engine's log; others: {off[:5]}")
    print(f"compute buffer: {spread([error.compute for error in errors])}; {exact} within 0.1 %")
    print(f"cache and compute buffer together: {spread([error.together for error in errors])}")
    for error in sorted(errors, key=lambda error: -abs(error.compute))[:12]:
        print(f"  {error.model} {error.quantization} at {error.context}: compute buffer {error.compute:+.1%}")


if __name__ == "__main__":
    main()
