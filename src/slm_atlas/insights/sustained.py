"""What the sustained pass of a run says: the cost of depth, and how the speed at equal depth goes with time.

The pass (`bench/sustained.py`) gives a grid of times of a token: rounds by depths. Its logarithm is taken for a level
of the round plus a profile of the depths. The profile is the growing KV cache; the levels are the machine, and are
tested for a change. No function here knows where the numbers come from.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import numpy as np

from slm_atlas import stats
from slm_atlas.insights.change_point import MIN_VALUES, Split, Values, split
from slm_atlas.stats import Estimate
from slm_atlas.store.records import Sample

PREFIX = "sustained_"
"""With it begin the names of the pass's samples."""
DEPTH_STEP = 1000
"""Tokens of KV cache that the cost of depth is given for."""
MIN_SPAN = 100
"""Tokens from the shallowest depth to the deepest from which the cost of depth is told. What a sweep's beginning has of
its own, a percent of a token's time perhaps, would be taken for a tenth of it in a thousand tokens."""


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """The base of what is found."""


class Round(Struct, frozen=True):
    """A round of the pass, at the depth all rounds have in common."""

    at_s: float
    """Its middle, in seconds since the pass began."""
    tokens_per_s: float
    """Tokens a second, at the mean depth of a round."""
    temperature_c: float | None
    """The hottest sensor at its end, in degrees Celsius."""
    frequency_mhz: float | None
    """The fastest core's clock at its end."""
    steal_share: float | None
    """The share of the processor's time that other virtual machines took."""


class Depth(Struct, frozen=True):
    """A depth of the pass."""

    depth: float
    """Tokens in the cache."""
    token_s: float
    """Seconds of a token there, at the speed of the burst."""


class Sustained(Struct, frozen=True):
    """What one pass says."""

    replicate: int
    """Of which run."""
    duration_s: float
    """From its beginning to its last round's middle."""
    rounds: tuple[Round, ...]
    """In the order of time."""
    depths: tuple[Depth, ...]
    """From shallow to deep."""
    depth_cost_s: Estimate | None
    """Seconds a token takes longer for `DEPTH_STEP` more in the cache, at the speed of the burst; n are rounds. None:
    depths closer together than `MIN_SPAN`."""
    p_value: float | None
    """How often a machine that does not change looks as changed; None: too few rounds to tell."""
    change_s: float | None
    """When the speed changed, in seconds since the pass began; None: no change found."""
    burst_tokens_per_s: Estimate
    """Tokens a second before the change, or in the first half if none was found; n are rounds."""
    steady_tokens_per_s: Estimate
    """Tokens a second after the change, or in the second half."""
    steady_to_burst: Estimate
    """The second over the first."""

    def summary(self) -> dict[str, float]:
        """Its numbers, by the names they have among a run's metrics."""
        names = ("depth_cost_s", "burst_tokens_per_s", "steady_tokens_per_s", "steady_to_burst")
        known = {name: getattr(self, name) for name in names}
        return {name: estimate.value for name, estimate in known.items() if estimate is not None}


class _Grid(NamedTuple):
    """The pass's numbers; the arrays have a line a round and a column a depth."""

    logs: Values
    """Natural logarithm of the seconds of a token."""
    at_s: Values
    """When."""
    depths: Values
    """Tokens in the cache, a depth each."""


class _Speed(NamedTuple):
    """How fast a part of the rounds was."""

    mean: float
    """Of the levels (logarithms)."""
    error: float
    """Its standard error."""
    n: int
    """Rounds."""
    freedom: float
    """Degrees of freedom of the error."""


def sustained(samples: Iterable[Sample], replicate: int = 0) -> Sustained | None:
    """What a run's samples say of sustained use; None where they hold no such pass, or one of fewer than three rounds.

    Args:
        samples: of the run, in the order in which they were recorded; what does not belong to the pass is passed over.
        replicate: which run it is.
    """
    series = _series(samples)
    grid = _grid(series)
    if grid is None:
        return None
    levels = round_levels(grid.logs)
    at_s = grid.at_s.mean(axis=1)
    found = split(levels) if len(levels) >= MIN_VALUES else None
    place = found.place if found and found.found else max(1, len(levels) // 2)
    rho = found.rho if found else 0.0
    burst, steady = _speed(levels[:place], rho), _speed(levels[place:], rho)
    token_s = math.exp(burst.mean)
    profile = np.median(grid.logs - levels[:, None], axis=0)
    return Sustained(
        replicate=replicate,
        duration_s=float(at_s[-1]),
        rounds=_rounds(series, at_s, levels),
        depths=tuple(
            Depth(depth=float(depth), token_s=token_s * math.exp(more))
            for depth, more in zip(grid.depths, profile, strict=True)
        ),
        depth_cost_s=_depth_cost(grid, levels, token_s),
        p_value=found.p_value if found else None,
        change_s=_moment(found, grid.at_s),
        burst_tokens_per_s=_rate(burst),
        steady_tokens_per_s=_rate(steady),
        steady_to_burst=_ratio(burst, steady),
    )


def round_levels(logs: Values) -> Values:
    """The level of each round at the mean depth: the median over depths of what is left without the depths' profile.

    Args:
        logs: logarithms of times, a line a round and a column a depth.
    """
    profile = np.median(logs, axis=0)
    levels: Values = np.median(logs - profile, axis=1) + profile.mean()
    return levels


def depth_costs(grid: _Grid, levels: Values) -> Values:
    """Of each round, by what share a token takes longer for one more in the cache.

    The least-squares slope over the depths of a round, once the drift of the machine is taken off: the line through the
    levels of the rounds, each at its time. Without that, a machine that gets slower would look like a costly cache.
    """
    drift = np.interp(grid.at_s, grid.at_s.mean(axis=1), levels)
    relative = np.exp(grid.logs - drift)
    off = grid.depths - grid.depths.mean()
    slopes: Values = (relative * off).sum(axis=1) / (off**2).sum()
    return slopes


def _depth_cost(grid: _Grid, levels: Values, token_s: float) -> Estimate | None:
    if grid.depths[-1] - grid.depths[0] < MIN_SPAN:
        return None
    estimate = stats.median_estimate((depth_costs(grid, levels) * token_s * DEPTH_STEP).tolist())
    method = f"slopes within rounds: {estimate.method.replace('runs', 'rounds')}"
    return msgspec.structs.replace(estimate, method=method)


def _series(samples: Iterable[Sample]) -> dict[str, dict[int, float]]:
    """The pass's numbers, by name and place."""
    found: dict[str, dict[int, float]] = {}
    for sample in samples:
        if sample.metric.startswith(PREFIX):
            found.setdefault(sample.metric.removeprefix(PREFIX), {})[sample.index] = sample.value
    return found


def _grid(series: dict[str, dict[int, float]]) -> _Grid | None:
    """The numbers as a grid; None where they are not one, as in a file that was cut."""
    columns = [list(series.get(name, {}).values()) for name in ("token_s", "depth", "at_s")]
    width = len(set(columns[1]))
    whole = width >= 2 and len({len(column) for column in columns}) == 1 and len(columns[0]) % width == 0
    if not whole or len(columns[0]) < stats.MIN_RUNS * width or min(columns[0]) <= 0:
        return None
    token_s, depths, at_s = (np.array(column).reshape(-1, width) for column in columns)
    return _Grid(np.log(token_s), at_s, depths[0]) if bool((depths == depths[0]).all()) else None


def _rounds(series: dict[str, dict[int, float]], at_s: Values, levels: Values) -> tuple[Round, ...]:
    return tuple(
        Round(
            at_s=float(moment),
            tokens_per_s=math.exp(-level),
            temperature_c=series.get("temperature_c", {}).get(number),
            frequency_mhz=series.get("frequency_mhz", {}).get(number),
            steal_share=series.get("steal_share", {}).get(number),
        )
        for number, (moment, level) in enumerate(zip(at_s, levels, strict=True))
    )


def _moment(found: Split | None, at_s: Values) -> float | None:
    """When the change was: between the last of the one rounds and the first of the others."""
    if found is None or not found.found:
        return None
    return float(at_s[found.place - 1, -1] + at_s[found.place, 0]) / 2


def _speed(levels: Values, rho: float) -> _Speed:
    """The mean level, with the error that values have of which each shares `rho` of its deviation with the next."""
    n = len(levels)
    shared = (1 + rho) / (1 - rho)
    error = statistics.stdev(levels.tolist()) * math.sqrt(shared / n) if n >= stats.MIN_RUNS else math.nan
    return _Speed(float(levels.mean()), error, n, max(1.0, (n - 1) / shared))


def _rate(speed: _Speed) -> Estimate:
    return _exponential(-speed.mean, speed.error, speed.freedom, speed.n)


def _ratio(burst: _Speed, steady: _Speed) -> Estimate:
    """How many times as fast the steady rounds are; the degrees of freedom are the smaller part's, or more (Welch)."""
    error = math.hypot(burst.error, steady.error)
    parts = (part.error**4 / part.freedom for part in (burst, steady))
    spread = sum(parts)
    freedom = error**4 / spread if spread > 0 else min(burst.freedom, steady.freedom)
    return _exponential(burst.mean - steady.mean, error, freedom, burst.n + steady.n)


def _exponential(mean: float, error: float, freedom: float, n: int) -> Estimate:
    """The estimate whose logarithm has this mean and standard error."""
    if math.isnan(error):
        return Estimate(value=math.exp(mean), low=None, high=None, n=n, method="none (too few rounds)")
    half = stats.t_quantile((1 + stats.LEVEL) / 2, freedom) * error
    method = "Student's t of log times of rounds, widened for their autocorrelation"
    return Estimate(value=math.exp(mean), low=math.exp(mean - half), high=math.exp(mean + half), n=n, method=method)
