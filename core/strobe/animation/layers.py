"""An SVG that Vega drew, as layers: what stays in all frames of an animation, and the marks between that move. Pure: text in, parts out.

Vega writes one element after the other, `<g class="mark-rule role-mark NAME">` around the items of a mark, and numbers clip paths through a whole
process. Here the paths are named after what they hold, so that drawings can be compared as text; labels for screen readers are left out.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .reach import Box, Reach, clip_boxes, joined, within

_TAG = re.compile(r'<(/?)([\w:]+)((?:\s+[\w:.-]+="[^"]*")*)\s*(/?)>([^<]*)')
_SPOKEN = re.compile(r'\s(?:aria-[a-z]+|role|pointer-events)="[^"]*"')
SAID = "strobe-text:"
"""Begins the label of a text or a picture that `motion` left empty: the rest of it is the text, or the picture's address."""
_LABEL = re.compile(rf'\saria-label="{SAID}([^"]*)"')
_ADDRESS = re.compile(r'((?:xlink:)?href)="[^"]*"')
_ATTRIBUTE = re.compile(r'([\w:.-]+)="([^"]*)"')
_USED = re.compile(r'(url\(#|href="#)([\w-]+)')


@dataclass
class Node:
    """An element: its name, its attributes as they are written, the text in it, and the elements in it."""

    tag: str
    attributes: str
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def get(self, name: str) -> str:
        """An attribute, '' without it."""
        return self.named.get(name, "")

    @property
    def named(self) -> dict[str, str]:
        return dict(_ATTRIBUTE.findall(self.attributes))

    @property
    def opening(self) -> str:
        return f"<{self.tag}{self.attributes}>"

    def __str__(self) -> str:
        inside = self.text + "".join(map(str, self.children))
        return f"{self.opening}{inside}</{self.tag}>" if inside else f"<{self.tag}{self.attributes}/>"


@dataclass(frozen=True)
class Layer:
    """What lies at one height: still parts as SVG, or (`names`) the places of marks that move, each with the groups it lies in."""

    parts: Sequence[str]
    names: Sequence[str] = ()
    around: Sequence[Sequence[str]] = ()
    """Opening tags of the groups around each place, outermost first."""


@dataclass(frozen=True)
class Drawn:
    """A whole drawing: its size, layers from the lowest up, the marks at its places, and the paths and gradients all of them use."""

    width: float
    height: float
    layers: Sequence[Layer]
    marks: Mapping[str, Node]
    defs: Mapping[str, Node]


def parsed(svg: str) -> Node:
    """An SVG as elements."""
    root = Node("", "")
    stack = [root]
    for closing, tag, attributes, empty, text in _TAG.findall(svg):
        if closing:
            stack.pop()
            continue
        node = Node(tag, attributes, text)
        stack[-1].children.append(node)
        if not empty:
            stack.append(node)
    return next(child for child in root.children if child.tag == "svg")


def canonical(svg: str) -> tuple[Node, dict[str, Node]]:
    """The drawing without what nobody sees, and its definitions by names that follow from what they hold."""
    root = parsed(svg)
    defs = {node.get("id"): node for child in root.children if child.tag == "defs" for node in child.children}
    names = {old: f"d{hashlib.sha256(_nameless(node).encode()).hexdigest()[:12]}" for old, node in defs.items()}
    root.children = [child for child in root.children if child.tag != "defs"]
    for node in _all(root):
        node.attributes = _USED.sub(lambda m: m[1] + names.get(m[2], m[2]), _spoken(node))
        node.children = [child for child in node.children if not _unseen(child)]
    return root, {names[old]: _named(node, names[old]) for old, node in defs.items()}


def _unseen(node: Node) -> bool:
    """Whether an element is there for nobody to see: also what Vega lays behind and before every group."""
    plain = node.tag == "path" and node.get("class") in ("background", "foreground") and not re.search(r"\s(?:fill|stroke|style)=", node.attributes)
    return plain or ' opacity="0"' in node.attributes or ' display="none"' in node.attributes


def _spoken(node: Node) -> str:
    """Attributes without labels; the words of a text and the address of a picture are taken from there where `motion` has put them."""
    said = _LABEL.search(node.attributes)
    if said and node.tag == "text":
        _write(node, html.unescape(said[1]))
    elif said and node.tag == "image":
        node.attributes = _ADDRESS.sub(lambda m: f'{m[1]}="{said[1]}"', node.attributes)
    return _SPOKEN.sub("", node.attributes)


def _write(node: Node, words: str) -> None:
    """The words of a text; lines come after one that says how far apart they stand."""
    _, height, *lines = words.split("\n") if words.startswith("\n") else ("", "", words)
    if len(lines) == 1:
        node.text = html.escape(lines[0].strip(), quote=False)
        return
    places = ["", *[f' x="0" dy="{height}"'] * (len(lines) - 1)]
    node.children = [Node("tspan", place, html.escape(line.strip(), quote=False)) for place, line in zip(places, lines, strict=True)]


def _nameless(node: Node) -> str:
    return str(Node(node.tag, re.sub(r'\sid="[^"]*"', "", node.attributes), node.text, node.children))


def _named(node: Node, name: str) -> Node:
    return Node(node.tag, re.sub(r'\sid="[^"]*"', f' id="{name}"', node.attributes), node.text, node.children)


def _all(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _all(child)


def cut(svg: str, names: Collection[str]) -> Drawn:
    """A drawing in layers: the marks of these names move. One that occurs several times (in the cells of a grid) is `NAME`, `NAME 1`, ..."""
    root, defs = canonical(svg)
    found: dict[str, Node] = {}
    pieces = [piece for child in root.children for piece in _pieces(child, (), frozenset(names), found)]
    return Drawn(float(root.get("width")), float(root.get("height")), _layers(pieces), found, defs)


Piece = tuple[str, str, tuple[str, ...]]
"""Still SVG or '', the name of a mark that moves or '', and the groups around."""


def _pieces(node: Node, around: tuple[str, ...], names: frozenset[str], found: dict[str, Node]) -> Iterator[Piece]:
    if (name := _name(node, names)) is not None:
        place = f"{name} {k}" if (k := sum(other.split(" ")[0] == name for other in found)) else name
        found[place] = node
        yield "", place, around
    elif not any(_name(inner, names) is not None for inner in _all(node)):
        yield _within(str(node), around), "", around
    else:
        for child in node.children:
            yield from _pieces(child, (*around, node.opening), names, found)


def _name(node: Node, names: frozenset[str]) -> str | None:
    return next((word for word in node.get("class").split() if word in names), None) if node.tag == "g" else None


def _within(svg: str, around: Sequence[str]) -> str:
    """SVG with the groups around it."""
    return "".join(around) + svg + "</g>" * len(around)


def _layers(pieces: Iterable[Piece]) -> list[Layer]:
    """Neighbours of one kind as one layer; the lowest one stays, if only as an empty one."""
    layers = [Layer(())]
    for still, name, around in pieces:
        last = layers.pop() if bool(layers[-1].names) == bool(name) else Layer(())
        parts = (*last.parts, still) if still else last.parts
        layers.append(Layer(parts, (*last.names, name), (*last.around, around)) if name else Layer(parts))
    return layers


@dataclass(frozen=True)
class Map:
    """A picture within the drawing whose cells have sharp edges: where it stands, the PNG, and all of it as SVG."""

    box: Box
    png: bytes
    svg: str


@dataclass(frozen=True)
class Moved:
    """A layer of marks that moved: its SVG with the definitions it uses, and how far it may reach; None: nothing is there."""

    svg: str
    box: Box | None
    leaves: bool
    """Whether something surely stands out of the picture."""
    maps: Sequence[Map] = ()
    """What lies below all of that."""


def moved(layer: Layer, drawn: Drawn, picture: Box) -> Moved:
    """A layer with the marks of a drawing in its places. `picture`: what it must stay in."""
    nodes = [_wrapped(drawn.marks[name], around) for name, around in zip(layer.names, layer.around, strict=True)]
    clips, maps = clip_boxes(drawn.defs), []
    while nodes and (found := _map(nodes[0])) is not None:
        maps.append(found)
        nodes = nodes[1:]
    svg = "".join(map(str, nodes))
    used = [str(node) for name, node in drawn.defs.items() if f"#{name}" in svg]
    box = joined(map(Reach(clips).of, nodes))
    sure = None if box is None or within(box, picture) else joined(map(Reach(clips, sure=True).of, nodes))
    return Moved(f"<defs>{''.join(used)}</defs>{svg}" if used else svg, box, sure is not None and not within(sure, picture), maps)


def _map(mark: Node) -> Map | None:
    """A mark that is one picture and nothing else, drawn without smoothing."""
    node, shifts = mark, ""
    while True:
        if set(node.named) & {"clip-path", "opacity"}:
            return None
        shifts += " " + node.get("transform")
        if len(node.children) != 1:
            break
        (node,) = node.children
    kind, _, data = node.get("xlink:href").partition(";base64,")
    sharp = node.tag == "image" and "pixelated" in node.get("style") and node.get("preserveAspectRatio") == "none"
    if not sharp or kind != "data:image/png" or re.search("scale|rotate|matrix", shifts):
        return None
    box = Reach({}).of(mark)
    return None if box is None else Map(box, base64.b64decode(data), str(mark))


def _wrapped(node: Node, around: Sequence[str]) -> Node:
    for tag in reversed(around):
        ((_, name, attributes, _, _),) = _TAG.findall(tag)
        node = Node(name, attributes, children=[node])
    return node
