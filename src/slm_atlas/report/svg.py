"""Drawn charts made small: without what only the drawing library reads, and what siblings share said once."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from xml.etree.ElementTree import Element, SubElement

NAMESPACE = "http://www.w3.org/2000/svg"
_NUMBER = re.compile(r"\d+\.\d{2,}")
_CIRCLE = re.compile(r"M([\d.]+),0A\1,\1,0,1,1,-\1,0A\1,\1,0,1,1,\1,0")
_INHERITED = ("fill", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "text-anchor")
"""Attributes that an element has from those around it, where it says nothing itself."""
_FONT = ("font-family", "font-size", "font-weight")
_DEFAULTS = {"opacity": "1", "font-weight": "normal"}
_EMPTY = ("", "M0,0h0v0h0Z")


def slim(root: Element, *, told: bool) -> None:
    """Make a chart small, in place.

    Args:
        root: the chart.
        told: what a mark says to a screen reader becomes its title, which the pointer shows.
    """
    _clean(root, told=told)
    _prune(root)
    for name in _FONT:
        _common_font(root, name)
    _hoist(root)


def _clean(root: Element, *, told: bool) -> None:
    """No attributes that say nothing, numbers to a tenth, circles as circles, titles."""
    for element in root.iter():
        attributes = element.attrib
        text = attributes.get("aria-label")
        for name in [name for name in attributes if name.startswith("aria-") or name in ("role", "class")]:
            del attributes[name]
        attributes.pop("pointer-events", None)
        for name, value in list(attributes.items()):
            attributes[name] = _NUMBER.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), value)
            if attributes[name] == _DEFAULTS.get(name):
                del attributes[name]
        if told and text and element.tag.endswith(("path", "line", "rect")) and not _is_line(element):
            SubElement(element, f"{{{NAMESPACE}}}title").text = _short(text)
        circle = _CIRCLE.fullmatch(attributes.get("d", ""))
        if circle:
            element.tag = f"{{{NAMESPACE}}}circle"
            del attributes["d"]
            attributes["r"] = circle[1]


def _is_line(element: Element) -> bool:
    """A line through many points, of which a title could tell the first alone."""
    return element.tag.endswith("path") and "fill" not in element.attrib and "transform" not in element.attrib


def _short(text: str) -> str:
    """What a mark says, each value once, numbers to four digits, without what is not known.

    >>> _short("Released: 2024; Score (%): 41.98765; model: A; percent: 41.99; low: null")
    'Released: 2024; model: A; percent: 41.99'
    """
    found: dict[str, str] = {}
    for part in text.split("; "):
        name, _, value = part.rpartition(": ")
        with suppress(ValueError):
            value = f"{float(value):.4g}"
        if value not in ("null", ""):
            found.pop(value, None)
            found[value] = name
    return "; ".join(f"{name}: {value}" if name else value for value, name in found.items())


def _prune(element: Element) -> None:
    """Remove what draws nothing, and groups that say nothing."""
    kept: list[Element] = []
    for child in element:
        _prune(child)
        if _draws_nothing(child):
            continue
        kept += list(child) if child.tag.endswith("}g") and not child.attrib else [child]
    element[:] = kept


def _draws_nothing(element: Element) -> bool:
    if element.tag.endswith("}g"):
        return len(element) == 0
    if not element.tag.endswith("}path"):
        return False
    unseen = "fill" not in element.attrib and "stroke" not in element.attrib
    return unseen or element.get("d") in _EMPTY or element.get("display") == "none"


def _common_font(root: Element, name: str) -> None:
    """The most frequent font of all texts, said once."""
    texts = [element for element in root.iter() if element.tag.endswith("}text")]
    if texts and all(name in text.attrib for text in texts):
        ((common, _),) = Counter(text.attrib[name] for text in texts).most_common(1)
        root.set(name, common)
        for text in texts:
            if text.attrib[name] == common:
                del text.attrib[name]


def _hoist(element: Element) -> None:
    """What all children of a group say, in the words of most: said by the group."""
    for child in element:
        _hoist(child)
    if len(element) < 2 or not element.tag.endswith(("}g", "}svg")):
        return
    for name in _INHERITED:
        values = Counter(child.get(name) for child in element)
        if None not in values and name not in element.attrib:
            ((common, _),) = values.most_common(1)
            element.set(name, str(common))
            for child in element:
                if child.get(name) == common:
                    del child.attrib[name]
