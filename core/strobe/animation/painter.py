"""Draws frames of one folder: what stays on the page once, then at each frame only what moves."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..checkpoints import write_atomically
from ..export.raster import sized
from ..export.sheet import Block, Line, Page, Picture, Place, Sheet, Tile, laid_out, page_parts, placed
from ..export.sizes import Size, check_elements
from .compose import Patch, Pixels, alone, around, magnified, over, packed, painted, png_of, within
from .frames import GROUND, PAGE, PLAN, STILL, Panel, drawing_file, frame_file, read_json, together, write_json
from .layers import Map, Moved
from .motion import Vega, with_rows
from .reach import Box
from .stage import Stage, staged, svg_of
from .sweep import Domains

if TYPE_CHECKING:
    from PIL.Image import Image

Kept = TypeVar("Kept")
TEMPLATES, PICTURES, WORDS = 64, 64, 512
"""Compiled charts, drawn ones and words that a painter keeps."""
QUICK, SLOW, STARTING = 0.02, 0.2, 1.0
"""Seconds: a panel of which only some marks move, one that is drawn whole, and the start of a process."""


@dataclass
class Painter:
    """Draws frames of one folder. `stages`: each panel taken apart, None where it is drawn whole at every frame."""

    folder: Path
    plan: Mapping[str, Any]
    first: Mapping[str, Any]
    stages: list[Stage | None] = field(default_factory=list)
    templates: OrderedDict[str, Vega] = field(default_factory=OrderedDict)
    pictures: OrderedDict[str, Picture] = field(default_factory=OrderedDict)
    words: OrderedDict[str, Patch | None] = field(default_factory=OrderedDict)

    @classmethod
    def of(cls, folder: Path) -> Painter:
        """The painter of a folder. The first one to come takes the panels apart, and draws what stays."""
        painter = cls(folder, read_json(folder / PLAN), read_json(drawing_file(folder, 0)))
        if (folder / STILL).is_file():
            painter.stages = [None if s is None else Stage.from_json(s) for s in read_json(folder / STILL)]
            return painter
        painter.stages = [painter._taken_apart(i) for i in range(len(painter.first["panels"]))]
        for name, picture in ((PAGE, painter._staying(Stage.all_still)), (GROUND, painter._staying(Stage.lowest))):
            write_atomically(folder / name, png_of(picture))
        write_json(folder / STILL, [None if s is None else s.to_json() for s in painter.stages])
        return painter

    def processes(self, frames: int) -> int:
        """How many processes are worth it: one per core, none where starting them takes longer than they save."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        work = frames * sum(SLOW if stage is None else QUICK for stage in self.stages)
        return cores if cores > 1 and work > 2 * STARTING * cores else 0

    def paint(self, i: int) -> None:
        """Draw frame `i`, and put it into its place whole."""
        content = together(read_json(drawing_file(self.folder, i)), self.first)
        shown = [self._shown(at, panel) for at, panel in enumerate(content["panels"])]
        page = self._page(content, [picture for picture, _ in shown])
        patches = self._patches(page, shown) if self._same(page) else None
        if patches is None:
            whole = self._page(content, [None if p["problem"] else self._whole(at, p) for at, p in enumerate(content["panels"])])
            patches = [Patch(box := self._box(whole), self._flat(whole, box))]
            write_atomically(frame_file(self.folder, i), packed(patches, whole=True))
            return
        write_atomically(frame_file(self.folder, i), packed(patches))

    # --- panels --------------------------------------------------------------------------------------------------------------------------------

    def _taken_apart(self, at: int) -> Stage | None:
        panel, frames = self.first["panels"][at], self.plan["frames"]
        if panel["problem"]:
            return None
        others = [together(read_json(drawing_file(self.folder, i)), self.first)["panels"][at] for i in sorted({frames // 2, frames - 1} - {0})]
        if any(other["problem"] or not self._as_first(at, other) for other in others):
            return None
        return staged(self._template(at, panel), self.plan["moving"][at], panel["datasets"], [other["datasets"] for other in others])

    def _shown(self, at: int, panel: Panel) -> tuple[Picture | None, list[Moved] | None]:
        """A panel's picture, and its layers that move; or all of it as a picture, and None."""
        if panel["problem"]:
            return None, None
        stage = self.stages[at]
        if stage is not None and self._as_first(at, panel):
            layers = stage.at(panel["datasets"])
            if layers is not None:
                return stage.lowest(), layers
        return self._whole(at, panel), None

    def _whole(self, at: int, panel: Panel) -> Picture:
        def draw() -> Picture:
            return sized(svg_of(with_rows(self._template(at, panel), panel["datasets"])))

        return _kept(self.pictures, f"{at} {json.dumps([panel['spec'], panel['datasets']])}", PICTURES, draw)

    def _as_first(self, at: int, panel: Panel) -> bool:
        """Whether a panel differs from that of the first frame in its rows alone."""
        first = self.first["panels"][at]
        return panel["spec"] is first["spec"] or self._fixed(at, panel) == self._fixed(at, first)

    def _fixed(self, at: int, panel: Panel) -> str:
        """The specification on axes that hold all frames, and its datasets, as text."""
        spec = Domains.from_json(self.plan["panels"][at]["domains"]).fixed(panel["spec"])
        return json.dumps([spec, sorted(panel["datasets"])])

    def _template(self, at: int, panel: Panel) -> Vega:
        """The compiled chart. Rows do not change what Vega-Lite makes of a specification, once its domains are fixed: only those under a name of
        their own are swapped, and specifications of other frames that are equal by then share it."""
        import vl_convert

        fixed = self._fixed(at, panel)
        whole = {**json.loads(fixed)[0], "datasets": panel["datasets"]}
        return _kept(self.templates, fixed, TEMPLATES, lambda: vl_convert.vegalite_to_vega(whole))

    # --- the page ------------------------------------------------------------------------------------------------------------------------------

    def _page(self, content: Mapping[str, Any], pictures: Sequence[Picture | None]) -> Page:
        plan = self.plan
        panels = zip(plan["panels"], pictures, content["panels"], strict=True)
        tiles = iter([Tile(w["title"], w["how"], picture, w["notes"], w["number"], w["full"], p["problem"]) for w, picture, p in panels])
        blocks = [Block(b["title"], "", [next(tiles) for _ in range(b["panels"])]) for b in plan["blocks"]]
        shape = {"columns": plan["columns"], "framed": plan["framed"], "margin": plan["margin"]}
        lines, footer = (content["lines"], plan["footer"]) if plan["title"] else ([], [*content["lines"], *plan["footer"]])
        return laid_out(Sheet(blocks, plan["colours"], plan["title"], lines, footer, **shape))

    @cached_property
    def _base(self) -> Page:
        """The page of the first frame."""
        return self._first_page(Stage.lowest)

    def _first_page(self, still: Callable[[Stage], Picture]) -> Page:
        pictures: list[Picture | None] = []
        for at, (panel, stage) in enumerate(zip(self.first["panels"], self.stages, strict=True)):
            pictures.append(None if panel["problem"] else self._whole(at, panel) if stage is None else still(stage))
        return self._page(self.first, pictures)

    @cached_property
    def _scale(self) -> float:
        """Picture elements per unit of the page."""
        size = Size(**self.plan["size"])
        return size.scale * size.factor(self._base.width)

    def _box(self, page: Page) -> Pixels:
        scale = self._scale
        check_elements(page.width, page.height, scale)
        return 0, 0, max(round(page.width * scale), 1), max(round(page.height * scale), 1)

    def _staying(self, still: Callable[[Stage], Picture]) -> Image:
        """What stays on the page: no words that change, no panels that are drawn whole."""
        page = self._first_page(still)
        stages = iter([stage for stage, panel in zip(self.stages, self.first["panels"], strict=True) if not panel["problem"]])
        parts = [part for part in page.parts if not isinstance(part, Line) and (not isinstance(part, Place) or next(stages) is not None)]
        return self._flat(Page(parts, page.width, page.height), self._box(page))

    def _flat(self, page: Page, box: Pixels) -> Image:
        """All of a page as RGB."""
        from PIL import Image

        ground = Image.new("RGB", (box[2], box[3]), self.plan["colours"]["page" if self.plan["framed"] else "card"])
        return painted("".join(page_parts(page)), box, self._scale, ground)

    def _same(self, page: Page) -> bool:
        """Whether everything stands where it does on the page of the first frame, and differs from it in nothing but lines and pictures."""

        def frame(part: str | Place | Line) -> object:
            return part.box if isinstance(part, Place | Line) else part

        return [frame(part) for part in page.parts] == [frame(part) for part in self._base.parts]

    # --- what moves ----------------------------------------------------------------------------------------------------------------------------

    @cached_property
    def _ground(self) -> Image:
        from PIL import Image

        with Image.open(self.folder / GROUND) as image:
            return image.convert("RGB")

    def _patches(self, page: Page, shown: Sequence[tuple[Picture | None, list[Moved] | None]]) -> list[Patch]:
        found = [self._words(part) for part in page.parts if isinstance(part, Line)]
        drawn_panels = [(at, layers) for at, (picture, layers) in enumerate(shown) if picture is not None]
        for (at, layers), place in zip(drawn_panels, page.places, strict=True):
            found.append(self._entire(place) if layers is None else self._moved(at, place, layers))
        return [patch for patch in found if patch is not None]

    def _words(self, line: Line) -> Patch | None:
        room = around(line.box, self._scale, (0, 0, *self._ground.size))
        if room is None:
            return None
        picture = self._ground.crop(room)
        for svg, box in line.pieces:
            patch = _kept(self.words, svg, WORDS, partial(self._word, svg, box, room))
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
        stage = self.stages[at]
        assert stage is not None
        room = around(place.box, self._scale, (0, 0, *self._ground.size))
        if room is None:
            return None
        boxes = [None if m.box is None else around(self._on_page(m.box, place), self._scale, room) for m in layers]
        maps = [around(self._on_page(found.box, place), self._scale, room) for m in layers for found in m.maps]
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
            elif k > 0 and (overlay := self._overlay(at, k, place)) is not None:
                over(picture, overlay.picture, overlay.box, whole)
        return Patch(whole, picture)

    def _map(self, found: Map, place: Place, room: Pixels, picture: Image, at: Pixels) -> None:
        """Lay a map upon a part of the page: as it is where its edges are on picture elements, else as a drawing."""
        edges = [value * self._scale for value in self._on_page(found.box, place)]
        exact = (round(edges[0]), round(edges[1]), round(edges[2]), round(edges[3]))
        if all(abs(a - b) < 0.01 for a, b in zip(edges, exact, strict=True)) and (cells := magnified(found.png, exact)) is not None:
            over(picture, cells, exact, at)
        elif (box := around(self._on_page(found.box, place), self._scale, room)) is not None:
            over(picture, painted(_set(found.svg, place), box, self._scale, picture.crop(within(box, at))), box, at)

    @staticmethod
    def _on_page(box: tuple[float, float, float, float], place: Place) -> tuple[float, float, float, float]:
        x, y, factor = place.x, place.y, place.factor
        return x + box[0] * factor, y + box[1] * factor, x + box[2] * factor, y + box[3] * factor

    def _overlay(self, at: int, k: int, place: Place) -> Patch | None:
        """A layer that stays, above one that moves; drawn once, None where it is empty."""

        def draw() -> Patch | None:
            stage = self.stages[at]
            box = around(place.box, self._scale, (0, 0, *self._ground.size))
            if stage is None or box is None:
                return None
            picture = alone(placed(stage.still([stage.layers[k]]), "c-", place.x, place.y, place.factor), box, self._scale)
            inner = picture.getbbox()
            if inner is None:
                return None
            return Patch((box[0] + inner[0], box[1] + inner[1], box[0] + inner[2], box[1] + inner[3]), picture.crop(inner))

        if (at, k) not in self._overlays:
            self._overlays[at, k] = draw()
        return self._overlays[at, k]

    @cached_property
    def _overlays(self) -> dict[tuple[int, int], Patch | None]:
        return {}


def _set(svg: str, place: Place) -> str:
    """A piece of a chart where the chart stands on the page."""
    return f'<g transform="translate({place.x:.4f},{place.y:.4f}) scale({place.factor:.6f})">{svg}</g>'


def _kept(cache: OrderedDict[str, Kept], key: str, most: int, make: Callable[[], Kept]) -> Kept:
    if key not in cache:
        cache[key] = make()
        while len(cache) > most:
            cache.popitem(last=False)
    cache.move_to_end(key)
    return cache[key]
