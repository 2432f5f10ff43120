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
import textwrap
from collections.abc import Iterator
from functools import lru_cache
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
    # Rows are not changed, and many.
    narrow, found = width < 640, copy.deepcopy(spec | {"datasets": {}}) | {"datasets": spec.get("datasets", {})}
    config = found.setdefault("config", {})
    most, letter = (_NARROW_LABELS, _SMALL_CHARACTER) if narrow else (190, _CHARACTER)
    labels = _label_width(found, letter)
    config["axisY"] = config.get("axisY", {}) | {"labelLimit": most}
    config["legend"] = config.get("legend", {}) | {"columns": 6}
    if narrow:
        config["axisY"] |= {"labelFontSize": 11}
        _slim_legends(found, width - min(labels, most) - _TICKS)
        _break_labels(found)
        _break_titles(found, width - min(labels, most) - _TICKS)
    if "concat" in found:
        return found | _columns(found, width, beside=min(labels, most) + _TICKS)
    _turn(found, found.get("width", width) / (width - labels - _TICKS))
    return found | {"width": width, "autosize": {"type": "fit-x", "contains": "padding"}}


def _columns(spec: dict[str, Any], width: int, *, beside: int) -> dict[str, Any]:
    """The panels of a chart in as many columns as a width takes, each with so many pixels for its upright axis."""
    columns = 1 if width < 640 else min(spec.get("columns", 2), len(spec["concat"]))
    room = (width - columns * beside - (columns - 1) * _GAP) // columns
    spacing: Any = {"row": 88, "column": beside + _GAP} if spec.get("bounds") == "flush" else _GAP
    return {"columns": columns, "spacing": spacing, "concat": [panel | {"width": room} for panel in spec["concat"]]}


_CHARACTER, _SMALL_CHARACTER = 7, 6
"""Pixels of a letter of a label, about; and of one on the upright axis of a narrow picture."""
_NARROW_LABELS = 140
"""Most pixels of such a label; one that is longer has two lines."""
_BOLD_CHARACTER = 8
"""Pixels of a letter of a panel's title, about."""
_SYMBOL = 24
"""Pixels of what stands before a name in a legend, and after it."""
_NUMBERS = 44
"""Pixels of the labels and the title of an axis of numbers."""
_TICKS = 24
"""Pixels between the labels of an axis and its panel."""


def _label_width(spec: dict[str, Any], letter: int) -> int:
    """Pixels that the labels beside a panel need: the names on its upright axis, or numbers."""
    return max((letter * len(name) for name in _names(spec, "y")), default=_NUMBERS)


def _names(spec: dict[str, Any], channel: str) -> set[str]:
    """The names that a channel shows, in all panels."""
    found = [each for each in _encodings(spec, channel) if each.get("type") in ("nominal", "ordinal")]
    return {name for each in found for name in _shown(each, spec)}


def _shown(encoding: dict[str, Any], spec: dict[str, Any]) -> set[str]:
    """The names that an encoding shows: those it lists, or else those in the data."""
    listed = (encoding.get("scale") or {}).get("domain")
    rows = [row for data in spec.get("datasets", {}).values() for row in data]
    return {str(name) for name in listed or (row[encoding["field"]] for row in rows if encoding["field"] in row)}


def _break_labels(spec: dict[str, Any]) -> None:
    """Write names on an upright axis that are too long for it in two lines."""
    most = _NARROW_LABELS // _SMALL_CHARACTER
    long = {name: _halves(name) for name in sorted(_names(spec, "y")) if len(name) > most and " " in name}
    for found in _encodings(spec, "y"):
        if long and isinstance(found.get("axis"), dict):
            found["axis"]["labelExpr"] = f"({json.dumps(long)})[datum.label] || datum.label"


def _halves(text: str) -> list[str]:
    """A text in two lines as alike as its words allow."""
    return textwrap.wrap(text, max(len(text) // 2 + 4, *map(len, text.split())))


def _break_titles(spec: dict[str, Any], room: int) -> None:
    """Write the titles of panels in as many lines as they need."""
    for panel in (spec, *spec.get("concat", [])):
        if isinstance(panel.get("title"), str):
            panel["title"] = textwrap.wrap(panel["title"], room // _BOLD_CHARACTER)


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


def _slim_legends(spec: dict[str, Any], room: int) -> None:
    """Put all legends below, in as many columns of whole names as there is room for, whatever they say themselves."""
    for channel in ("color", "shape", "size"):
        for found in _encodings(spec, channel):
            if isinstance(found.get("legend"), dict):
                longest = max((len(name) for name in _shown(found, spec)), default=1)
                entry = _SYMBOL + _CHARACTER * longest
                found["legend"] |= {"orient": "bottom", "columns": max(1, room // entry), "labelLimit": room}


def _turn(spec: dict[str, Any], squeezed: float) -> None:
    """Turn what is written along lines as the lines turn, where a chart gets narrower by a factor."""
    for layer in spec.get("layer", []):
        mark = layer.get("mark", {})
        if isinstance(mark, dict) and mark.get("angle"):
            rise = -math.tan(math.radians(mark["angle"])) * squeezed
            mark["angle"] = -math.degrees(math.atan(rise)) % 360


def _drawn(spec: dict[str, Any], title: str, *, told: bool) -> Markup:
    """A chart as an element of the page, one image to a screen reader; told: the pointer shows what each mark is."""
    return _of_the_page(svg(spec), title, told)


@lru_cache(maxsize=256)
def _of_the_page(drawn: str, title: str, told: bool) -> Markup:
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(drawn)
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
        if "." in value:
            element.attrib[name] = _NUMBER.sub(_short, value)
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


def _short(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")


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
