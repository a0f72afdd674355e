"""What stays in all frames of a folder: panels taken apart, a page with room for the tallest, and what lies below and above what moves.

Each part is one piece of work that leaves a file, so that several processes can share them, and whoever comes later goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..export.sheet import Block, Line, Page, Place, Sheet, Tile, laid_out, page_parts
from ..export.sizes import Size, check_elements
from ..export.svg import Picture, placed
from .compose import Patch, Pixels, alone, around, packed, painted, patches_of, png_of
from .frames import GROUND, PAGE, apart_file, over_file, put, read_json, room_file, whole_file, write_json
from .reach import Box
from .script import Script
from .stage import Stage, staged

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass
class Backdrop:
    """What stays. `stages` are there once every panel is taken apart."""

    script: Script
    overlays: dict[tuple[int, int], Patch] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.script.folder

    # --- panels --------------------------------------------------------------------------------------------------------------------------------

    def apart(self, at: int) -> None:
        """Take a panel apart."""
        stage = self._taken_apart(at)
        write_json(apart_file(self.folder, at), None if stage is None else stage.to_json())

    def _taken_apart(self, at: int) -> Stage | None:
        script, frames = self.script, self.script.frames
        panel = script.first["panels"][at]
        if panel["problem"]:
            return None
        others = [script.content(i)["panels"][at] for i in sorted({frames // 2, frames - 1} - {0})]
        if any(other["problem"] or not script.as_first(at, other) for other in others):
            return None
        return staged(script.template(at, panel), script.plan["moving"][at], panel["datasets"], [other["datasets"] for other in others])

    def room(self, at: int) -> None:
        """Draw a panel whole at every frame, to know how large it gets."""
        sizes = []
        for i in range(self.script.frames):
            if not self.script.content(i)["panels"][at]["problem"]:
                picture = self.script.whole(at, i)
                put(whole_file(self.folder, at, i), picture.svg.encode())
                sizes.append((picture.width, picture.height))
        write_json(room_file(self.folder, at), (max(w for w, _ in sizes), max(h for _, h in sizes)) if sizes else None)

    @cached_property
    def stages(self) -> Sequence[Stage | None]:
        """Each panel taken apart, None where it is drawn whole at every frame."""
        parted = [read_json(apart_file(self.folder, at)) for at in range(len(self.script.first["panels"]))]
        return [None if known is None else Stage.from_json(known) for known in parted]

    @cached_property
    def _rooms(self) -> Sequence[tuple[float, float] | None]:
        return [read_json(room_file(self.folder, at)) if stage is None else (stage.width, stage.height) for at, stage in enumerate(self.stages)]

    def roomy(self, at: int, picture: Picture) -> Picture:
        """A panel's picture with as much room around it as the panel needs at any frame."""
        room = self._rooms[at]
        return picture if room is None else picture.within(*room)

    # --- the page ------------------------------------------------------------------------------------------------------------------------------

    def page(self, content: Mapping[str, Any], pictures: Sequence[Picture | None]) -> Page:
        """The page of a frame."""
        plan = self.script.plan
        panels = zip(plan["panels"], pictures, content["panels"], strict=True)
        tiles = iter([Tile(w["title"], w["how"], picture, w["notes"], w["number"], w["full"], p["problem"]) for w, picture, p in panels])
        blocks = [Block(b["title"], "", [next(tiles) for _ in range(b["panels"])]) for b in plan["blocks"]]
        shape = {"columns": plan["columns"], "framed": plan["framed"], "margin": plan["margin"]}
        lines, footer = (content["lines"], plan["footer"]) if plan["title"] else ([], [*content["lines"], *plan["footer"]])
        return laid_out(Sheet(blocks, plan["colours"], plan["title"], lines, footer, **shape))

    @cached_property
    def base(self) -> Page:
        """The page of the first frame, of every panel what lies below all that moves."""
        pictures: list[Picture | None] = []
        for at, (panel, stage) in enumerate(zip(self.script.first["panels"], self.stages, strict=True)):
            known = None if panel["problem"] else self.script.whole(at, 0) if stage is None else stage.lowest()
            pictures.append(None if known is None else self.roomy(at, known))
        return self.page(self.script.first, pictures)

    @cached_property
    def scale(self) -> float:
        """Picture elements per unit of the page."""
        size = Size(**self.script.plan["size"])
        return size.scale * size.factor(self.base.width)

    def box(self, page: Page) -> Pixels:
        check_elements(page.width, page.height, self.scale)
        return 0, 0, max(round(page.width * self.scale), 1), max(round(page.height * self.scale), 1)

    def flat(self, page: Page) -> Image:
        """All of a page as RGB."""
        from PIL import Image

        plan, box = self.script.plan, self.box(page)
        ground = Image.new("RGB", (box[2], box[3]), plan["colours"]["page" if plan["framed"] else "card"])
        return painted("".join(page_parts(page)), box, self.scale, ground)

    def as_base(self, page: Page) -> bool:
        """Whether everything stands where it does on the page of the first frame, and differs from it in nothing but lines and pictures."""

        def frame(part: str | Place | Line) -> object:
            return part.box if isinstance(part, Place | Line) else part

        return [frame(part) for part in page.parts] == [frame(part) for part in self.base.parts]

    # --- below and above what moves --------------------------------------------------------------------------------------------------------------

    def draw_ground(self) -> None:
        """What lies below everything that moves: no words that change, no panels that are drawn whole."""
        stages = iter([stage for stage, panel in zip(self.stages, self.script.first["panels"], strict=True) if not panel["problem"]])
        parts = [part for part in self.base.parts if not isinstance(part, Line) and (not isinstance(part, Place) or next(stages) is not None)]
        put(self.folder / GROUND, png_of(self.flat(Page(parts, self.base.width, self.base.height))))

    def draw_over(self, at: int) -> None:
        """The layers of a panel that stay above one that moves."""
        stage, place = self.stages[at], self._place(at)
        found = [] if stage is None or place is None else [self._drawn_over(stage, k, place) for k in self._upper(at)]
        put(over_file(self.folder, at), packed(found, mode="RGBA"))

    def _drawn_over(self, stage: Stage, k: int, place: Place) -> Patch:
        from PIL import Image

        nothing = Patch((0, 0, 1, 1), Image.new("RGBA", (1, 1)))
        if (box := self._reached(stage, k, place)) is None:
            return nothing
        picture = alone(self._layer(stage, k, place), box, self.scale)
        inner = picture.getbbox()
        if inner is None:
            return nothing
        return Patch((box[0] + inner[0], box[1] + inner[1], box[0] + inner[2], box[1] + inner[3]), picture.crop(inner))

    def draw_page(self) -> None:
        """All that stays: what lies above is drawn upon what lies below."""
        page = self.ground.copy()
        for at, stage in enumerate(self.stages):
            place = self._place(at)
            for k in self._upper(at):
                assert stage is not None
                assert place is not None
                if (box := self._reached(stage, k, place)) is not None:
                    page.paste(painted(self._layer(stage, k, place), box, self.scale, page.crop(box)), box[:2])
        put(self.folder / PAGE, png_of(page))

    def _reached(self, stage: Stage, k: int, place: Place) -> Pixels | None:
        return around(on_page(stage.reach(k), place), self.scale, self.within(place))

    @staticmethod
    def _layer(stage: Stage, k: int, place: Place) -> str:
        return placed(stage.still([stage.layers[k]]), "c-", place.x, place.y, place.factor)

    def _upper(self, at: int) -> list[int]:
        stage = self.stages[at]
        return [] if stage is None else [k for k, layer in enumerate(stage.layers) if k > 0 and not layer.names]

    def overlay(self, at: int, k: int) -> Patch:
        """A layer that stays, above one that moves."""
        if (at, k) not in self.overlays:
            self.overlays.update(zip([(at, upper) for upper in self._upper(at)], patches_of(over_file(self.folder, at)), strict=True))
        return self.overlays[at, k]

    @cached_property
    def ground(self) -> Image:
        from PIL import Image

        with Image.open(self.folder / GROUND) as image:
            return image.convert("RGB")

    def _place(self, at: int) -> Place | None:
        """Where a panel stands; None for one with a problem."""
        drawn = [i for i, panel in enumerate(self.script.first["panels"]) if not panel["problem"]]
        return self.base.places[drawn.index(at)] if at in drawn else None

    def within(self, place: Place) -> Pixels:
        """The picture elements of a panel's room."""
        whole = self.box(self.base)
        return around(place.box, self.scale, whole) or whole


def on_page(box: Box, place: Place) -> Box:
    """A box within a panel, where the panel stands."""
    x, y, factor = place.x, place.y, place.factor
    return x + box[0] * factor, y + box[1] * factor, x + box[2] * factor, y + box[3] * factor
