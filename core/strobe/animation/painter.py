"""Draws frames of one folder: at each only what moves, upon what stays."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..export.sheet import Line, Page, Place
from ..export.svg import Picture, placed
from .backdrop import Backdrop, on_page
from .compose import Patch, Pixels, around, magnified, over, packed, painted, within
from .frames import frame_file, put
from .layers import Map, Moved
from .reach import Box
from .script import Script, kept

if TYPE_CHECKING:
    from PIL.Image import Image

WORDS = 512
"""Words that a painter keeps."""
Shown = tuple[Picture | None, "list[Moved] | None"]
"""A panel's picture, and its layers that move; or all of it as a picture, and None."""


@dataclass
class Painter:
    """Draws frames upon what stays of all of them."""

    backdrop: Backdrop
    words: OrderedDict[str, Patch | None] = field(default_factory=OrderedDict)

    @classmethod
    def of(cls, folder: Path) -> Painter:
        return cls(Backdrop(Script.of(folder)))

    @property
    def script(self) -> Script:
        return self.backdrop.script

    def paint(self, i: int) -> None:
        """Draw frame `i`, and put it into its place whole."""
        content, back = self.script.content(i), self.backdrop
        shown = [self._shown(at, i) for at in range(len(content["panels"]))]
        page = back.page(content, [picture for picture, _ in shown])
        if back.as_base(page):
            put(frame_file(back.folder, i), packed(self._patches(page, shown)))
            return
        whole = back.page(content, [None if panel["problem"] else self._whole(at, i) for at, panel in enumerate(content["panels"])])
        put(frame_file(back.folder, i), packed([Patch(back.box(whole), back.flat(whole))], whole=True))

    def _shown(self, at: int, i: int) -> Shown:
        panel, stage = self.script.content(i)["panels"][at], self.backdrop.stages[at]
        if panel["problem"]:
            return None, None
        if stage is not None and self.script.as_first(at, panel):
            layers = stage.at(panel["datasets"])
            if layers is not None:
                return stage.lowest(), layers
        return self._whole(at, i), None

    def _whole(self, at: int, i: int) -> Picture:
        return self.backdrop.roomy(at, self.script.whole(at, i))

    # --- what moves ----------------------------------------------------------------------------------------------------------------------------

    @property
    def _scale(self) -> float:
        return self.backdrop.scale

    @property
    def _ground(self) -> Image:
        return self.backdrop.ground

    def _patches(self, page: Page, shown: Sequence[Shown]) -> list[Patch]:
        found = [self._line(part) for part in page.parts if isinstance(part, Line)]
        drawn_panels = [(at, layers) for at, (picture, layers) in enumerate(shown) if picture is not None]
        for (at, layers), place in zip(drawn_panels, page.places, strict=True):
            found.append(self._entire(place) if layers is None else self._moved(at, place, layers))
        return [patch for patch in found if patch is not None]

    def _line(self, line: Line) -> Patch | None:
        room = around(line.box, self._scale, (0, 0, *self._ground.size))
        if room is None:
            return None
        picture = self._ground.crop(room)
        for svg, box in line.pieces:
            patch = kept(self.words, svg, WORDS, partial(self._word, svg, box, room))
            if patch is not None:
                over(picture, patch.picture, patch.box, room)
        return Patch(room, picture)

    def _word(self, svg: str, box: Box, room: Pixels) -> Patch | None:
        at = around(box, self._scale, room)
        return None if at is None else Patch(at, painted(svg, at, self._scale, self._ground.crop(at)))

    def _entire(self, place: Place) -> Patch | None:
        box = around(place.box, self._scale, (0, 0, *self._ground.size))
        if box is None:
            return None
        svg = placed(place.picture, "c-", place.x, place.y, place.factor)
        return Patch(box, painted(svg, box, self._scale, self._ground.crop(box)))

    def _moved(self, at: int, place: Place, layers: Sequence[Moved]) -> Patch | None:
        """The part of a panel in which something moves: layers one upon the other, those that stay between them."""
        stage = self.backdrop.stages[at]
        assert stage is not None
        room = self.backdrop.within(place)
        boxes = [None if m.box is None else around(on_page(m.box, place), self._scale, room) for m in layers]
        maps = [around(on_page(found.box, place), self._scale, room) for m in layers for found in m.maps]
        known = [box for box in (*boxes, *maps) if box is not None]
        if not known:
            return None
        whole = min(b[0] for b in known), min(b[1] for b in known), max(b[2] for b in known), max(b[3] for b in known)
        picture, moves = self._ground.crop(whole), iter(zip(layers, boxes, strict=True))
        for k, layer in enumerate(stage.layers):
            if layer.names:
                moved, box = next(moves)
                for found in moved.maps:
                    self._map(found, place, room, picture, whole)
                if box is not None:
                    over(picture, painted(_set(moved.svg, place), box, self._scale, picture.crop(within(box, whole))), box, whole)
            elif k > 0:
                overlay = self.backdrop.overlay(at, k)
                over(picture, overlay.picture, overlay.box, whole)
        return Patch(whole, picture)

    def _map(self, found: Map, place: Place, room: Pixels, picture: Image, at: Pixels) -> None:
        """Lay a map upon a part of the page: as it is where its edges are on picture elements, else as a drawing."""
        edges = [value * self._scale for value in on_page(found.box, place)]
        exact = (round(edges[0]), round(edges[1]), round(edges[2]), round(edges[3]))
        if all(abs(a - b) < 0.01 for a, b in zip(edges, exact, strict=True)) and (cells := magnified(found.png, exact)) is not None:
            over(picture, cells, exact, at)
        elif (box := around(on_page(found.box, place), self._scale, room)) is not None:
            over(picture, painted(_set(found.svg, place), box, self._scale, picture.crop(within(box, at))), box, at)


def _set(svg: str, place: Place) -> str:
    """A piece of a chart where the chart stands on the page."""
    return f'<g transform="translate({place.x:.4f},{place.y:.4f}) scale({place.factor:.6f})">{svg}</g>'
