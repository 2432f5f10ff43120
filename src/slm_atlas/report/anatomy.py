"""A model's anatomy drawn to scale: every parameter has the same area, part by part and layer by layer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import cache
from itertools import groupby
from typing import NamedTuple

from markupsafe import Markup

from slm_atlas.anatomy import Part, inventory
from slm_atlas.catalog import Architecture
from slm_atlas.units import format_count

WIDTH, HEIGHT = 1000.0, 120.0
"""Of the drawing, in its own units; all parameters together fill it."""

NAMES: dict[Part, str] = {
    Part.EMBEDDING: "embedding",
    Part.ATTENTION: "attention",
    Part.MIXER: "other mixers",
    Part.FFN: "feed-forward",
    Part.NORM: "norms",
    Part.LM_HEAD: "language-model head",
}
"""The parts as they are called, in the order they are stacked."""


class Column(NamedTuple):
    """Neighbouring layers of one composition, or what stands outside the layers."""

    parts: Mapping[Part, int]
    """Parameters of one layer by part."""
    layers: int
    """How many layers in a row; 0: outside the layers."""


class Share(NamedTuple):
    """A part of the model in the legend."""

    part: Part
    """The part."""
    name: str
    """What it is called."""
    text: str
    """Its parameters and their share."""


@cache
def shares(arch: Architecture) -> tuple[Share, ...]:
    """What each part takes of the parameters, in the drawing's order."""
    counted = Counter[Part]()
    for tensor in inventory(arch):
        counted[tensor.part] += tensor.size
    total = counted.total()
    told = {part: f"{format_count(counted[part])}, {counted[part] / total:.1%}" for part in NAMES if counted[part]}
    return tuple(Share(part, NAMES[part], text) for part, text in told.items())


def columns(arch: Architecture) -> list[Column]:
    """The model from its first tensor to its last: the embedding, runs of equal layers, the head."""
    by_layer: dict[int | None, Counter[Part]] = defaultdict(Counter)
    for tensor in inventory(arch):
        by_layer[tensor.layer][tensor.part] += tensor.size
    outside = by_layer.pop(None, Counter[Part]())
    head: dict[Part, int] = {part: size for part, size in outside.items() if part in (Part.LM_HEAD, Part.NORM)}
    begin = {part: size for part, size in outside.items() if part not in head}
    in_order = [dict(sorted(parts.items())) for _, parts in sorted(by_layer.items(), key=lambda pair: pair[0] or 0)]
    runs = [Column(parts, len(list(same))) for parts, same in groupby(in_order)]
    return [column for column in (Column(begin, 0), *runs, Column(head, 0)) if column.parts]


@cache
def drawing(arch: Architecture, name: str) -> Markup:
    """The anatomy as an SVG element; colours come from the page's style, by the part's class."""
    found = columns(arch)
    total = sum(sum(column.parts.values()) * max(column.layers, 1) for column in found)
    paths: dict[Part, list[str]] = {}
    rules, x = [], 0.0
    for column in found:
        wide = WIDTH * sum(column.parts.values()) * max(column.layers, 1) / total
        _stack(column, x, wide, paths)
        rules += [f"M{x + wide * number / column.layers:.1f} 0v{HEIGHT:g}" for number in range(column.layers)]
        x += wide
    told = f"{name} drawn to scale: {', '.join(f'{share.name} {share.text}' for share in shares(arch))}"
    drawn = [Markup('<path class="part-{}" d="{}"/>').format(part, "".join(path)) for part, path in paths.items()]
    return Markup(
        '<svg class="anatomy" viewBox="0 0 {:g} {:g}" preserveAspectRatio="none" role="img" aria-label="{}">{}'
        '<path class="layers" d="{}"/></svg>'
    ).format(WIDTH, HEIGHT, told, Markup().join(drawn), "".join(rules))


def _stack(column: Column, x: float, wide: float, paths: dict[Part, list[str]]) -> None:
    """Adds the rectangles of a column, from the top down."""
    total, top = sum(column.parts.values()), 0.0
    for part in (part for part in NAMES if part in column.parts):
        high = HEIGHT * column.parts[part] / total
        paths.setdefault(part, []).append(f"M{x:.1f} {top:.2f}h{wide:.1f}v{high:.2f}h-{wide:.1f}z")
        top += high
