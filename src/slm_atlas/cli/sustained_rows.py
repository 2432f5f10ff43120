"""Sustained use as a table: burst and steady speed at equal depth, when it changed, what depth costs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import click

from slm_atlas.cli.output import print_table, say, with_interval
from slm_atlas.insights.frame import Row
from slm_atlas.insights.sustained import DEPTH_STEP, MIN_SPAN, Sustained
from slm_atlas.stats import Estimate
from slm_atlas.units import format_rate, format_seconds

_WORDS = ("Sustained use of", "Quant", "Temperature", "Clock", "Passes", "Change")
_COST = f"{DEPTH_STEP:,} deeper, ms/tok"


def print_sustained(found: Sequence[Row]) -> None:
    """What the sustained passes of each model say; nothing where there are none."""
    measured = [row for row in found if row.sustained]
    if not measured:
        return
    lines = [_line(row) for row in measured]
    columns = [name for name in lines[0] if any(line[name] is not None for line in lines)]
    click.echo()
    print_table(columns, [[line[name] for name in columns] for line in lines], right=set(columns) - set(_WORDS))
    passes = [of_pass for row in measured for of_pass in row.sustained]
    low, high = (pick(depth.depth for each in passes for depth in each.depths) for pick in (min, max))
    say(f"Sustained use: speeds are compared at equal depth of the cache, between {low:.0f} and {high:.0f} tokens.")
    if any(len(row.sustained) == 1 for row in measured):
        say("Of a single pass, [low, high] are over its rounds: they say how well this one is known, not the next.")
    if any(each.change_s is None for each in passes):
        say("Where no change was found, burst and steady are the first and the second half of the pass.")
    if any(each.depth_cost_s is None for each in passes):
        say(
            f"What depth costs is not told from less than {MIN_SPAN} tokens: decode for longer, or with more --context."
        )
    silent = _silent(passes)
    if silent:
        say(f"The system shows no {' and no '.join(silent)}.")


def _line(row: Row) -> dict[str, str | None]:
    return {
        "Sustained use of": row.name,
        "Quant": row.quantization,
        "Burst tok/s": _shown(row, "burst_tokens_per_s", format_rate),
        "Steady tok/s": _shown(row, "steady_tokens_per_s", format_rate),
        "Steady/burst": _shown(row, "steady_to_burst", "{:.3f}".format),
        "Temperature": _range(row.sustained, "temperature_c", "{:.0f} °C"),
        "Clock": _range(row.sustained, "frequency_mhz", "{:.0f} MHz"),
        _COST: _shown(row, "depth_cost_s", lambda value: f"{1e3 * value:+.3g}"),
        "Passes": _passes(row.sustained),
        "Change": _change(row.sustained),
    }


def _shown(row: Row, name: str, form: Callable[[float], str]) -> str | None:
    """A number over runs; of a single pass, over its rounds."""
    one: Estimate | None = getattr(row.sustained[0], name)
    estimate = row.metrics.get(name) if len(row.sustained) > 1 else one
    return None if estimate is None else with_interval(estimate, form)


def _range(passes: Sequence[Sustained], name: str, form: str) -> str | None:
    """A reading in the first round and in the last, the median of the passes that have both."""
    ends = [(getattr(each.rounds[0], name), getattr(each.rounds[-1], name)) for each in passes]
    known = [pair for pair in ends if None not in pair]
    if not known:
        return None
    first, last = (statistics.median(pair[end] for pair in known) for end in (0, 1))
    return f"{form.format(first).split()[0]} to {form.format(last)}"


def _passes(passes: Sequence[Sustained]) -> str:
    return f"{len(passes)} x {format_seconds(statistics.median(each.duration_s for each in passes))}"


def _change(passes: Sequence[Sustained]) -> str:
    """When the speed changed, or why that is not known."""
    tested = [each for each in passes if each.p_value is not None]
    moments = [each.change_s for each in passes if each.change_s is not None]
    if not tested:
        rounds = max(len(each.rounds) for each in passes)
        return f"not told: {rounds} rounds are too few, decode for longer"
    if not moments:
        return f"none found (p = {min(each.p_value or 0.0 for each in tested):.2g})"
    after = f"after {format_seconds(statistics.median(moments))}"
    return after if len(passes) == 1 else f"{after}, in {len(moments)} of {len(passes)}"


def _silent(passes: Sequence[Sustained]) -> list[str]:
    """What no round has a reading of."""
    names = {"temperature_c": "temperature", "frequency_mhz": "clock"}
    rounds = [each for of_pass in passes for each in of_pass.rounds]
    return [word for name, word in names.items() if all(getattr(each, name) is None for each in rounds)]
