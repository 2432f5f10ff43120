"""Figures as pictures inside the page: drawn beforehand, once for wide and once for narrow windows.

Drawn pictures weigh less than the library that would draw them (0.9 MB), need no script, and print. Text and rules are
in `currentColor`, so that they follow the page's light or dark colours.
"""

from __future__ import annotations

import base64
import copy
import gzip
import json
import math
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup

from slm_atlas.report.drawing import svg
from slm_atlas.report.figures import Figure

WIDE, NARROW = 940, 340
"""Width of a picture, in CSS pixels."""
TOLD = 400
"""Of more marks than this the pointer is not told what each is: the titles would weigh more than the picture."""
_GAP = 28
_SVG = "http://www.w3.org/2000/svg"
_NUMBER = re.compile(r"\d+\.\d{2,}")


def pictures(figure: Figure) -> list[tuple[str, Markup]]:
    """The pictures of a figure, each with when it is shown: `wide` and `narrow`, or one that scrolls: `always`."""
    if "hconcat" in figure.spec or "vconcat" in figure.spec:
        return [("always", _drawn(figure.spec, figure.title, told=True))]
    wide = _drawn(fitted(figure.spec, WIDE), figure.title, told=len(figure.rows) <= TOLD)
    return [("wide", wide), ("narrow", _drawn(fitted(figure.spec, NARROW), figure.title, told=False))]


def packed(figure: Figure) -> str:
    """The pictures and data of a figure in a tenth of their size, which a script of the page unpacks.

    gzip in base64, of JSON: `csv`, and a picture by when it is shown. The same figure gives the same text.
    """
    content: dict[str, str] = {when: str(picture) for when, picture in pictures(figure)} | {"csv": figure.csv()}
    return base64.b64encode(gzip.compress(json.dumps(content).encode(), mtime=0)).decode()


def fitted(spec: dict[str, Any], width: int) -> dict[str, Any]:
    """A chart for a width: panels stand below each other where they would not fit side by side."""
    narrow, found = width < 640, copy.deepcopy(spec)
    config = found.setdefault("config", {})
    labels = _label_width(found)
    config["axisY"] = config.get("axisY", {}) | {"labelLimit": 130 if narrow else 190}
    config["legend"] = config.get("legend", {}) | {
        "columns": 2 if narrow else 6,
        "labelLimit": (width - 40) // 2 if narrow else 240,
    }
    if narrow:
        _slim_legends(found)
    if "concat" in found:
        return found | _columns(found, width, beside=min(labels, 120 if narrow else 190) + _TICKS)
    _turn(found, found.get("width", width) / (width - labels - _TICKS))
    return found | {"width": width, "autosize": {"type": "fit-x", "contains": "padding"}}


def _columns(spec: dict[str, Any], width: int, *, beside: int) -> dict[str, Any]:
    """The panels of a chart in as many columns as a width takes, each with so many pixels for its upright axis."""
    columns = 1 if width < 640 else min(spec.get("columns", 2), len(spec["concat"]))
    room = (width - columns * beside - (columns - 1) * _GAP) // columns
    spacing: Any = {"row": 88, "column": beside + _GAP} if spec.get("bounds") == "flush" else _GAP
    return {"columns": columns, "spacing": spacing, "concat": [panel | {"width": room} for panel in spec["concat"]]}


_CHARACTER = 7
"""Pixels of a letter of a label, about."""
_NUMBERS = 44
"""Pixels of the labels and the title of an axis of numbers."""
_TICKS = 24
"""Pixels between the labels of an axis and its panel."""


def _label_width(spec: dict[str, Any]) -> int:
    """Pixels that the labels beside a panel need: the names on its upright axis, or numbers."""
    fields = {found.get("field") for found in _encodings(spec, "y") if found.get("type") in ("nominal", "ordinal")}
    rows = [row for data in spec.get("datasets", {}).values() for row in data]
    names = [str(row[field]) for row in rows for field in fields if field in row]
    return max((_CHARACTER * len(name) for name in names), default=_NUMBERS)


def _encodings(value: Any, channel: str) -> Iterator[dict[str, Any]]:  # noqa: ANN401  (any part of a chart)
    """Every encoding of a channel, of all panels and layers."""
    if isinstance(value, dict):
        if isinstance(value.get("encoding"), dict) and isinstance(value["encoding"].get(channel), dict):
            yield value["encoding"][channel]
        for key, inner in value.items():
            if key not in ("encoding", "datasets", "config"):
                yield from _encodings(inner, channel)
    elif isinstance(value, list):
        for inner in value:
            yield from _encodings(inner, channel)


def _slim_legends(spec: dict[str, Any]) -> None:
    """Put all legends below, in two columns at most, whatever they say themselves."""
    for channel in ("color", "shape", "size"):
        for found in _encodings(spec, channel):
            if isinstance(found.get("legend"), dict):
                found["legend"] |= {"orient": "bottom", "columns": min(2, found["legend"].get("columns", 2))}


def _turn(spec: dict[str, Any], squeezed: float) -> None:
    """Turn what is written along lines as the lines turn, where a chart gets narrower by a factor."""
    for layer in spec.get("layer", []):
        mark = layer.get("mark", {})
        if isinstance(mark, dict) and mark.get("angle"):
            rise = -math.tan(math.radians(mark["angle"])) * squeezed
            mark["angle"] = -math.degrees(math.atan(rise)) % 360


def _drawn(spec: dict[str, Any], title: str, *, told: bool) -> Markup:
    """A chart as an element of the page, one image to a screen reader; told: the pointer shows what each mark is."""
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(svg(spec))
    root[:] = [kept for child in root for kept in _slimmed(child, told=told)]
    for name in set(root.attrib) - {"width", "height", "viewBox"}:
        del root.attrib[name]
    root.attrib |= {"role": "img", "aria-label": title}
    # The text comes from our own drawing library, parsed and written again: no name in it is markup any more.
    return Markup(ElementTree.tostring(root, encoding="unicode"))


_IDLE = {"opacity": "1", "transform": "translate(0,0)", "stroke-dashoffset": "0", "stroke-miterlimit": "10"}
"""Attributes that say nothing at these values."""
_UNSEEN = ("role", "class", "pointer-events", "font-family")
"""Attributes that only the drawing library reads, or that the page's style sets."""
_SEEN = ("fill", "stroke")
_CIRCLE = re.compile(r"M([\d.]+),0A\1,\1,0,1,1,-\1,0A\1,\1,0,1,1,\1,0")
_PLACE = re.compile(r"translate\(([-\d.]+),([-\d.]+)\)")


def _slimmed(element: ElementTree.Element, *, told: bool) -> list[ElementTree.Element]:
    """An element without what nobody sees: empty groups and paths, idle attributes, digits beyond a tenth.

    What a mark says to a screen reader becomes its title, where the pointer is told it.
    """
    if element.tag.endswith("defs"):
        return [element]
    text = element.attrib.get("aria-label")
    children = [kept for child in element for kept in _slimmed(child, told=told)]
    for name, value in list(element.attrib.items()):
        element.attrib[name] = _NUMBER.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), value)
        if name.startswith("aria-") or name in _UNSEEN or _IDLE.get(name) == element.attrib[name]:
            del element.attrib[name]
    element[:] = children
    if element.tag == f"{{{_SVG}}}g" and (not children or not element.attrib):
        return children
    if element.tag.endswith("path") and not _is_drawn(element):
        return []
    if told and text and element.tag.endswith(("path", "line", "rect")):
        title = "; ".join(part for part in text.split("; ") if not part.endswith(": null"))
        ElementTree.SubElement(element, f"{{{_SVG}}}title").text = title
    _as_circle(element)
    return [element]


def _is_drawn(path: ElementTree.Element) -> bool:
    """Whether a path has any ink: the root draws with none, and areas behind marks have none of their own."""
    hidden = path.attrib.get("display") == "none" or not path.attrib.get("d")
    return not hidden and any(path.attrib.get(ink, "none") not in ("none", "transparent") for ink in _SEEN)


def _as_circle(element: ElementTree.Element) -> None:
    """A round symbol in a third of the letters."""
    round_ = _CIRCLE.fullmatch(element.attrib.get("d", ""))
    place = _PLACE.fullmatch(element.attrib.get("transform", ""))
    if element.tag.endswith("path") and round_ and place:
        del element.attrib["d"], element.attrib["transform"]
        element.tag = f"{{{_SVG}}}circle"
        element.attrib |= {"cx": place[1], "cy": place[2], "r": round_[1]}
        if element.attrib.get("stroke", "none") == "none":
            element.attrib.pop("stroke-width", None)
