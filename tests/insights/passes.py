"""Simulated sustained passes: a cache that costs, a machine that changes, drifts and remembers."""

from __future__ import annotations

import math

import numpy as np

from slm_atlas.store.records import Sample

TOKEN_S = 0.004
"""Seconds of a token with an empty cache, on the machine at its fastest."""
CHUNK, CHUNKS, START = 100, 4, 50
MEAN_DEPTH = START + CHUNK * CHUNKS / 2


def made(
    seed: int,
    *,
    rounds: int = 48,
    change: int | None = None,
    ratio: float = 1.0,
    share: float = 0.1,
    rho: float = 0.3,
    drift: float = 0.0,
    noise: float = 0.005,
) -> list[Sample]:
    """The samples of a pass.

    Args:
        seed: of its noise.
        rounds: how many.
        change: the first round at another speed.
        ratio: that speed over the one before.
        share: by what share a token takes longer for a thousand tokens more in the cache.
        rho: how much of a round's deviation the next one shares.
        drift: how much slower the machine is at the end, as a logarithm; it gets so steadily.
        noise: standard deviation of rounds, and of chunks, relative.
    """
    rng = np.random.default_rng(seed)
    level, now, end = 0.0, 0.0, rounds * CHUNKS * CHUNK * TOKEN_S
    samples: list[Sample] = []
    for number in range(rounds):
        news = rng.normal(0, noise)
        level = news if number == 0 else rho * level + math.sqrt(1 - rho**2) * news
        speed = ratio if change is not None and number >= change else 1.0
        for chunk in range(CHUNKS):
            depth = START + CHUNK * (chunk + 0.5)
            slow = math.exp(level + rng.normal(0, noise) + drift * now / end) / speed
            token_s = TOKEN_S * (1 + share * depth / 1000) * slow
            index = number * CHUNKS + chunk
            numbers = {"token_s": token_s, "depth": depth, "at_s": now + CHUNK * token_s / 2}
            samples += [Sample(metric=f"sustained_{name}", index=index, value=value) for name, value in numbers.items()]
            now += CHUNK * token_s
        samples.append(Sample(metric="sustained_temperature_c", index=number, value=50.0 + number))
    return samples
