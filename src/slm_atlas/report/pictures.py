"""Figures as pictures inside the page: drawn beforehand, once for wide and once for narrow windows.

Drawn pictures weigh less than the library that would draw them (0.9 MB), need no script, and print. Text and rules are
in `currentColor`, so that they follow the page's light or dark colours.
"""

from __future__ import annotations

import copy
import re
from typing import Any
from xml.etree import ElementTree

import vl_convert
from markupsafe import Markup

from slm_atlas.report.figures import Figure

WIDE, NARROW = 940, 340
"""Width of a picture, in CSS pixels."""
TOLD = 400
"""Of more marks than this the pointer is not told what each is: the titles would weigh more than the picture."""
_GAP = 64
_SVG = "http://www.w3.org/2000/svg"
_NUMBER = re.compile(r"\d+\.\d{2,}")


def pictures(figure: Figure) -> list[tuple[str, Markup]]:
    """The pictures of a figure, each with when it is shown: `wide` and `narrow`, or one that scrolls: `always`."""
    if "hconcat" in figure.spec or "vconcat" in figure.spec:
        return [("always", _drawn(figure.spec, figure.title, told=True))]
    wide = _drawn(fitted(figure.spec, WIDE), figure.title, told=len(figure.rows) <= TOLD)
    return [("wide", wide), ("narrow", _drawn(fitted(figure.spec, NARROW), figure.title, told=False))]


def fitted(spec: dict[str, Any], width: int) -> dict[str, Any]:
    """A chart for a width: panels stand below each other where they would not fit side by side."""
    narrow, found = width < 640, copy.deepcopy(spec)
    config = found.setdefault("config", {})
    config["axisY"] = config.get("axisY", {}) | {"labelLimit": 120 if narrow else 190}
    config["legend"] = config.get("legend", {}) | {
        "columns": 2 if narrow else 6,
        "labelLimit": (width - 40) // 2 if narrow else 240,
    }
    if "concat" in found:
        found |= {"columns": 1 if narrow else 2, "spacing": 88 if narrow else _GAP}
        room = width - 60 if narrow else (width - _GAP - 100) // 2
        found["concat"] = [panel | {"width": room} for panel in found["concat"]]
        return found
    return found | {"width": width, "autosize": {"type": "fit-x", "contains": "padding"}}


def _drawn(spec: dict[str, Any], title: str, *, told: bool) -> Markup:
    """A chart as an element of the page, one image to a screen reader; told: the pointer shows what each mark is."""
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(vl_convert.vegalite_to_svg(spec))
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
