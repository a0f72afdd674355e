"""One panel of an animation, taken apart once: what stays in all frames, and how what moves is drawn at each.

Vega draws the whole chart for the first, the middle and the last frame. The short specification that is left of it must give the same marks there,
letter by letter, and everything between must be the same in all three; else the panel is drawn whole at every frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..export.svg import Picture
from .layers import Drawn, Layer, Moved, Node, cut, moved, parsed
from .motion import Motion, Vega, motion, with_rows, witnessed
from .reach import Box, Reach

OUTSIDE = 1.5
"""px that a mark may stand out of the picture: one that stands out further would have widened it."""
Rows = Mapping[str, Any]


@dataclass(frozen=True)
class Stage:
    """What stays of a panel, in layers, and what draws the rest; `says`: what the witnesses say as long as it stays."""

    width: float
    height: float
    layers: Sequence[Layer]
    defs: str
    motion: Motion | None = None
    says: Sequence[str] = ()

    def at(self, rows: Rows) -> list[Moved] | None:
        """The layers that move, with these rows. None: this frame must be drawn whole."""
        if self.motion is None:
            return []
        svg = svg_of(with_rows(self.motion.spec, rows))
        if witnessed(svg) != list(self.says):
            return None
        found = cut(svg, self.motion.names)
        if found.marks.keys() != {name for layer in self.layers for name in layer.names}:
            return None
        room = (-OUTSIDE, -OUTSIDE, self.width + OUTSIDE, self.height + OUTSIDE)
        shown = [moved(layer, found, room) for layer in self.layers if layer.names]
        return None if any(layer.leaves for layer in shown) else shown

    def lowest(self) -> Picture:
        """What lies below everything that moves."""
        return self.still(self.layers[:1])

    def still(self, layers: Sequence[Layer]) -> Picture:
        """Layers that stay, as a drawing of their own."""
        size = f'width="{self.width:g}" height="{self.height:g}" viewBox="0 0 {self.width:g} {self.height:g}"'
        return Picture(
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{self.defs}{"".join(part for layer in layers for part in layer.parts)}</svg>',
            self.width,
            self.height,
        )

    def reach(self, k: int) -> Box:
        """How far a layer that stays may reach; nowhere when it is empty."""
        return Reach({}).of(parsed(f"<svg>{''.join(self.layers[k].parts)}</svg>")) or (-9.0, -9.0, -9.0, -9.0)

    def to_json(self) -> dict[str, Any]:
        layers = [[list(layer.parts), list(layer.names), [list(a) for a in layer.around]] for layer in self.layers]
        left = None if self.motion is None else [self.motion.spec, list(self.motion.names)]
        return {"size": [self.width, self.height], "layers": layers, "defs": self.defs, "motion": left, "says": list(self.says)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Stage:
        layers = [Layer(*parts) for parts in content["layers"]]
        left = None if content["motion"] is None else Motion(*content["motion"])
        width, height = content["size"]
        return cls(width, height, layers, content["defs"], left, content["says"])


def svg_of(vega: Vega) -> str:
    """A compiled chart as SVG."""
    import vl_convert

    return str(vl_convert.vega_to_svg(vega))


def staged(template: Vega, moving: Iterable[str], first: Rows, others: Sequence[Rows]) -> Stage | None:
    """A compiled chart taken apart, while these datasets move. `others`: rows of more frames to compare with. None: not this chart."""
    moving = list(moving)
    if not moving:
        return _stage(cut(svg_of(with_rows(template, first)), ()), None, ())
    left = motion(template, moving)
    if left is None:
        return None
    known: Drawn | None = None
    says: list[str] = []
    for rows in (first, *others):
        short = svg_of(with_rows(left.spec, rows))
        if known is not None and witnessed(short) != says:
            continue  # it will be drawn whole
        whole, parts = cut(svg_of(with_rows(template, rows)), left.names), cut(short, left.names)
        if _text(whole.marks) != _text(parts.marks) or (known is not None and _rest(whole) != _rest(known)):
            return None
        if known is None:
            known, says = whole, witnessed(short)
    return None if known is None else _stage(known, left, says)


def _stage(whole: Drawn, left: Motion | None, says: Sequence[str]) -> Stage:
    defs = "".join(map(str, whole.defs.values()))
    return Stage(whole.width, whole.height, whole.layers, f"<defs>{defs}</defs>" if defs else "", left, says)


def _text(marks: Mapping[str, Node]) -> dict[str, str]:
    return {name: str(node) for name, node in marks.items()}


def _rest(whole: Drawn) -> tuple[object, ...]:
    return whole.width, whole.height, [(*layer.parts, *layer.names, *layer.around) for layer in whole.layers]
