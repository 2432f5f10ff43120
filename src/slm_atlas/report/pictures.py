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
_GAP = 64
_SVG = "http://www.w3.org/2000/svg"
_NUMBER = re.compile(r"\d+\.\d{2,}")


def pictures(figure: Figure) -> list[tuple[str, Markup]]:
    """The pictures of a figure, each with when it is shown: `wide` and `narrow`, or one that scrolls: `always`."""
    if "hconcat" in figure.spec:
        return [("always", _drawn(figure.spec, figure.title, told=True))]
    wide = _drawn(fitted(figure.spec, WIDE), figure.title, told=True)
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
    for element in root.iter():
        _slim(element, told=told)
    root.attrib |= {"role": "img", "aria-label": title}
    # The text comes from our own drawing library, parsed and written again: no name in it is markup any more.
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _slim(element: ElementTree.Element, *, told: bool) -> None:
    """Without what only the drawing library reads, numbers to a tenth; what a mark says becomes its title."""
    text = element.attrib.get("aria-label")
    for name in [name for name in element.attrib if name.startswith("aria-") or name in ("role", "class")]:
        del element.attrib[name]
    for name, value in element.attrib.items():
        element.attrib[name] = _NUMBER.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), value)
    if told and text and element.tag.endswith(("path", "line", "rect")):
        ElementTree.SubElement(element, f"{{{_SVG}}}title").text = text
