"""The figures as one picture, written as XML: requests a second and p50, logarithmic, by concurrency."""

import math
from typing import Any
from xml.etree import ElementTree

_COLOURS = ("#8a8f98", "#b9a26b", "#d98026", "#2563a8", "#7b5ea7", "#55a0d8", "#3c8f6a", "#a84a5c")
_LEFT, _BAR, _GAP, _WIDE, _TOP = 250, 13, 14, 560, 56


def svg(result: dict[str, Any]) -> bytes:
    """The picture of a result of ``benchmarks.serving``."""
    measured: dict[str, dict[str, Any]] = result["measured"]
    panels = (("requests a second", "rate"), ("p50, milliseconds at the caller", "p50"))
    concurrencies = list(next(iter(measured.values())))
    group = _BAR * len(measured) + _GAP
    panel = group * len(concurrencies) + _TOP
    size = {"width": str(_LEFT + _WIDE + 90), "height": str(panel * len(panels) + 30)}
    root = ElementTree.Element(
        "svg",
        {"xmlns": "http://www.w3.org/2000/svg", "font-family": "sans-serif", "font-size": "11", **size},
    )
    ElementTree.SubElement(root, "rect", {**size, "fill": "white"})
    for number, (title, key) in enumerate(panels):
        _panel(
            root, measured, title=f"{title} (logarithmic), by callers at once", key=key, top=panel * number
        )
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content


def _panel(
    root: ElementTree.Element, measured: dict[str, dict[str, Any]], *, title: str, key: str, top: float
) -> None:
    values = [one[key] for by in measured.values() for one in by.values()]
    low, high = math.log10(min(values)) - 0.3, math.log10(max(values))
    _text(root, 10, top + 24, title, weight="bold")
    for place, concurrency in enumerate(next(iter(measured.values()))):
        y = top + 40 + place * (_BAR * len(measured) + _GAP)
        for number, (name, by) in enumerate(measured.items()):
            value = by[concurrency][key]
            width = _WIDE * (math.log10(value) - low) / (high - low)
            bar = {"x": str(_LEFT), "y": f"{y:.1f}", "width": f"{width:.1f}", "height": str(_BAR - 2)}
            ElementTree.SubElement(root, "rect", {**bar, "fill": _COLOURS[number % len(_COLOURS)]})
            _text(root, _LEFT - 6, y + 9, f"{name} · {concurrency}", anchor="end")
            _text(root, _LEFT + width + 5, y + 9, f"{value:,.1f}")
            y += _BAR


def _text(
    parent: ElementTree.Element,
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    weight: str = "normal",
) -> None:
    node = ElementTree.SubElement(
        parent, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor, "font-weight": weight}
    )
    node.text = text
