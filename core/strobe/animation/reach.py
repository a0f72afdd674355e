"""How far a piece of SVG may reach: at least as far as it does. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..export.svg import length

if TYPE_CHECKING:
    from .layers import Node

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""
Matrix = tuple[float, float, float, float, float, float]
_CALL = re.compile(r"(translate|scale|rotate)\(([^)]*)\)")
_COMMAND = re.compile(r"([A-Za-z])([^A-Za-z]*)")
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?")
_RECTANGLE = re.compile(r"M([-\d.e]+),([-\d.e]+)h([-\d.e]+)v([-\d.e]+)h[-\d.e]+Z")
_OTHER = re.compile(r"[A-DF-KN-Zabcdf-z]")
"""Anything but absolute points, one after the other (an e is a number's)."""
EVERYWHERE = (-math.inf, -math.inf, math.inf, math.inf)


def joined(boxes: Iterable[Box | None]) -> Box | None:
    """The least box that holds all."""
    known = [box for box in boxes if box is not None]
    if not known:
        return None
    return min(b[0] for b in known), min(b[1] for b in known), max(b[2] for b in known), max(b[3] for b in known)


@dataclass(frozen=True)
class Reach:
    """`clips`: what clip paths let through, by name. `sure`: as far as things surely reach, not as far as they may."""

    clips: Mapping[str, Box]
    sure: bool = False

    def of(self, node: Node, matrix: Matrix = (1, 0, 0, 1, 0, 0)) -> Box | None:
        """What an element may draw on, in the units of what it stands in; None where it draws nothing."""
        named = node.named
        matrix = _times(matrix, named["transform"]) if "transform" in named else matrix
        own = None if node.tag in ("g", "svg", "tspan", "title") else _moved(_own(node, named, self.sure), matrix)
        if not node.children:
            return own
        found = joined([own, *(self.of(child, matrix) for child in node.children)])
        clip = self.clips.get(named.get("clip-path", "")[5:-1])
        return found if clip is None or found is None else common(found, _moved(clip, matrix) or found)


def clip_boxes(defs: Mapping[str, Node]) -> dict[str, Box]:
    """What clip paths of one rectangle let through."""
    found = {}
    for name, node in defs.items():
        if node.tag == "clipPath" and len(node.children) == 1 and node.children[0].tag == "rect":
            x, y, width, height = (float(node.children[0].get(side) or 0) for side in ("x", "y", "width", "height"))
            found[name] = (x, y, x + width, y + height)
    return found


def within(box: Box, outer: Box) -> bool:
    """Whether a box lies in another."""
    return box[0] >= outer[0] and box[1] >= outer[1] and box[2] <= outer[2] and box[3] <= outer[3]


def common(a: Box, b: Box) -> Box | None:
    """What lies in both."""
    box = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return box if box[0] <= box[2] and box[1] <= box[3] else None


def _own(node: Node, named: Mapping[str, str], sure: bool) -> Box | None:
    """What an element draws itself, as wide as its line and its type may be."""
    line = float(named.get("stroke-width", 1)) * (0.5 if sure else 2) if "stroke" in named else 0.0  # corners stand out
    if node.tag == "text":
        return _text(node, named, sure)
    if node.tag == "line":
        return _grown((0, 0, float(named.get("x2", 0)), float(named.get("y2", 0))), line)
    if node.tag == "path":
        return _grown(_path(named.get("d", "")), line)
    if node.tag in ("image", "rect"):
        x, y, width, height = (float(named.get(name, 0)) for name in ("x", "y", "width", "height"))
        return _grown((x, y, x + width, y + height), line)
    return EVERYWHERE


def _text(node: Node, named: Mapping[str, str], sure: bool) -> Box | None:
    lines = [node.text, *(child.text for child in node.children)]
    if not any(lines):
        return None
    size = float(named.get("font-size", "11").removesuffix("px"))
    width = max(length(line, size, bold=not sure) for line in lines)
    left = {"middle": -width / 2, "end": -width}.get(named.get("text-anchor", ""), 0.0)
    if sure:
        return left, -size / 2, left + width, 0.0
    return left - size / 2, -size * 1.1, left + width + size / 2, size * (0.4 + 1.5 * len(node.children))


def _path(data: str) -> Box | None:
    """All points that a path names: a curve stays within them, an arc within its radii around them."""
    if plain := _RECTANGLE.fullmatch(data):
        left, top, width, height = map(float, plain.groups())
        return left, top, left + width, top + height
    if data and not _OTHER.search(data):
        numbers = [float(n) for n in _NUMBER.findall(data)]
        return min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])
    box, x, y, start = None, 0.0, 0.0, (0.0, 0.0)
    for command, said in _COMMAND.findall(data):
        numbers = [float(n) for n in _NUMBER.findall(said)]
        relative, kind = command.islower(), command.upper()
        pairs: list[tuple[float, float]] = []
        if kind in "MLTCSQ":
            pairs = list(zip(numbers[::2], numbers[1::2], strict=False))
        elif kind in "HV":
            pairs = [(n if kind == "H" else (0 if relative else x), n if kind == "V" else (0 if relative else y)) for n in numbers]
        elif kind == "A" and len(numbers) == 7:
            box = joined([box, _grown((x, y, x, y), 2 * max(numbers[:2]))])
            pairs = [(numbers[5], numbers[6])]
        elif kind == "Z":
            x, y = start
        else:
            return EVERYWHERE
        if relative and len(pairs) > 1:
            return EVERYWHERE
        for across, down in pairs:
            x, y = (x + across, y + down) if relative else (across, down)
            start = (x, y) if kind == "M" else start
            box = joined([box, (x, y, x, y)])
    return box


def _grown(box: Box | None, by: float) -> Box | None:
    if box is None:
        return None
    left, right, top, bottom = *sorted((box[0], box[2])), *sorted((box[1], box[3]))
    return left - by, top - by, right + by, bottom + by


def _times(matrix: Matrix, transform: str) -> Matrix:
    a, b, c, d, e, f = matrix
    for call, said in _CALL.findall(transform):
        numbers = [float(n) for n in _NUMBER.findall(said)]
        if call == "translate":
            x, y = numbers[0], numbers[1] if len(numbers) > 1 else 0.0
            e, f = e + a * x + c * y, f + b * x + d * y
        elif call == "scale":
            x, y = numbers[0], numbers[-1]
            a, b, c, d = a * x, b * x, c * y, d * y
        else:
            cos, sin = math.cos(math.radians(numbers[0])), math.sin(math.radians(numbers[0]))
            a, b, c, d = a * cos + c * sin, b * cos + d * sin, c * cos - a * sin, d * cos - b * sin
    return a, b, c, d, e, f


def _moved(box: Box | None, matrix: Matrix) -> Box | None:
    if box is None or box == EVERYWHERE:
        return box
    a, b, c, d, e, f = matrix
    corners = [(a * x + c * y + e, b * x + d * y + f) for x in (box[0], box[2]) for y in (box[1], box[3])]
    return min(x for x, _ in corners), min(y for _, y in corners), max(x for x, _ in corners), max(y for _, y in corners)
