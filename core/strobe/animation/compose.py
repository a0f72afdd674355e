"""Pictures put together of parts: SVG becomes picture elements only where something changes. A frame is what differs from the page of all frames."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..export.svg import FONT
from .reach import Box

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.PngImagePlugin import PngInfo

Pixels = tuple[int, int, int, int]
"""Left, top, right, bottom in picture elements."""
FAST = 1
"""How hard frames are packed."""


def around(box: Box, scale: float, within: Pixels) -> Pixels | None:
    """The picture elements that a box touches, none outside of `within`."""
    left, top, right, bottom = (min(max(value, -1e6), 1e6) * scale for value in box)
    found = (
        max(math.floor(left) - 1, within[0]),
        max(math.floor(top) - 1, within[1]),
        min(math.ceil(right) + 1, within[2]),
        min(math.ceil(bottom) + 1, within[3]),
    )
    return found if found[0] < found[2] and found[1] < found[3] else None


def painted(svg: str, box: Pixels, scale: float, ground: Image) -> Image:
    """A drawing upon what lies there already (`ground`, RGB, as large as the box). `scale`: picture elements per unit.

    Never upon nothing: vl-convert has no colour brighter than it is opaque.
    """
    import vl_convert
    from PIL import Image

    width, height = ground.size
    view = " ".join(f"{value / scale:.6f}" for value in (box[0], box[1], width, height))
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{width}" height="{height}"'
    inner = f'<svg width="{width}" height="{height}" viewBox="{view}" overflow="visible" font-family="{FONT}">{svg}</svg>'
    png = vl_convert.svg_to_png(f"{opening}>{_lying(ground)}{inner}</svg>", scale=1, ppi=72)
    return Image.open(io.BytesIO(png)).convert("RGB")


def _lying(ground: Image) -> str:
    """A picture as SVG: a plain one is a rectangle."""
    size = f'width="{ground.width}" height="{ground.height}"'
    if all(low == high for low, high in cast("tuple[tuple[int, int], ...]", ground.getextrema())):
        return f'<rect {size} fill="rgb{ground.getpixel((0, 0))}"/>'
    return f'<image {size} image-rendering="optimizeSpeed" xlink:href="data:image/png;base64,{base64.b64encode(png_of(ground)).decode()}"/>'


def alone(svg: str, box: Pixels, scale: float) -> Image:
    """A drawing without what lies below it, RGBA: from what it looks like upon black and upon white."""
    import numpy as np
    from PIL import Image

    size = (box[2] - box[0], box[3] - box[1])
    black, white = (np.asarray(painted(svg, box, scale, Image.new("RGB", size, colour)), dtype=np.int32) for colour in ("black", "white"))
    opacity = 255 - (white - black).max(axis=2)
    colour = np.where(opacity[..., None] > 0, black * 255 // np.maximum(opacity, 1)[..., None], 0)
    return Image.fromarray(np.dstack([colour.clip(0, 255), opacity]).astype(np.uint8))


def magnified(png: bytes, box: Pixels) -> Image | None:
    """A picture with sharp cells as large as a box, RGB; None where something shows through it."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        cells = picture.convert("RGBA")
    if cells.getchannel("A").getextrema() != (255, 255):
        return None
    return cells.convert("RGB").resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.NEAREST)


def over(picture: Image, part: Image, box: Pixels, at: Pixels) -> None:
    """Lay a part of a page (at `box`) upon another (RGB, at `at`), in place, as far as they meet."""
    left, top, right, bottom = max(box[0], at[0]), max(box[1], at[1]), min(box[2], at[2]), min(box[3], at[3])
    if left < right and top < bottom:
        part = part.crop((left - box[0], top - box[1], right - box[0], bottom - box[1]))
        picture.paste(part, (left - at[0], top - at[1]), part if part.mode == "RGBA" else None)


def within(box: Pixels, outer: Pixels) -> Pixels:
    """A box as seen from the corner of another."""
    return box[0] - outer[0], box[1] - outer[1], box[2] - outer[0], box[3] - outer[1]


def png_of(picture: Image, said: PngInfo | None = None) -> bytes:
    """A picture, hardly packed: it is deleted when the film is there."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=FAST, pnginfo=said)
    return buffer.getvalue()


# --- frames on disk ----------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Patch:
    """What one frame shows at one place of the page."""

    box: Pixels
    picture: Image


def packed(patches: Sequence[Patch], whole: bool = False, mode: str = "RGB") -> bytes:
    """Patches as a PNG: one under the other, and where they belong. `whole`: one that is a whole frame."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    strip = Image.new(mode, (max((p.picture.width for p in patches), default=1), sum(p.picture.height for p in patches) or 1))
    y = 0
    for patch in patches:
        strip.paste(patch.picture, (0, y))
        y += patch.picture.height
    said = PngInfo()
    said.add_text("strobe", json.dumps({"whole": whole, "boxes": [p.box for p in patches]}))
    return png_of(strip, said)


def patches_of(file: Path) -> Iterator[Patch]:
    """The other way round."""
    from PIL import Image

    with Image.open(file) as image:
        y = 0
        for box in boxes_of(image) or []:
            height = box[3] - box[1]
            yield Patch(box, image.crop((0, y, box[2] - box[0], y + height)))
            y += height


def boxes_of(image: Image) -> list[Pixels] | None:
    """Where the patches in a PNG belong; None for a whole frame."""
    said = json.loads(image.info.get("strobe", '{"whole": true}'))
    return None if said["whole"] else [tuple(box) for box in said["boxes"]]


@dataclass(frozen=True)
class Reel:
    """Frames on disk as pictures: one is in memory at a time. `page`: what all of them lie upon; frames that are whole PNGs need none."""

    frames: Sequence[Path]
    background: str
    page: Path | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def size(self) -> tuple[int, int]:
        """Width and height that hold every frame: tables grow, axes do not."""
        from PIL import Image

        sizes = {self._page.size} if self.page is not None else set()
        for frame in self.frames:
            with Image.open(frame) as image:
                if boxes_of(image) is None:
                    sizes.add(image.size)
        return max(w for w, _ in sizes), max(h for _, h in sizes)

    def changed(self, i: int) -> list[Pixels] | None:
        """Where a frame differs from the page; None: anywhere."""
        from PIL import Image

        with Image.open(self.frames[i]) as image:
            return boxes_of(image)

    def picture(self, i: int, size: tuple[int, int]) -> Image:
        """A frame as RGB, on a canvas of this size."""
        from PIL import Image

        if self.changed(i) is None:
            canvas = Image.new("RGB", size, self.background)
            with Image.open(self.frames[i]) as image:
                canvas.paste(image.convert("RGB"))
            return canvas
        canvas = self.still(size)
        for patch in self.patches(i):
            canvas.paste(patch.picture, patch.box[:2])
        return canvas

    def still(self, size: tuple[int, int]) -> Image:
        """The page, on a canvas of this size."""
        from PIL import Image

        canvas = Image.new("RGB", size, self.background)
        canvas.paste(self._page)
        return canvas

    def patches(self, i: int) -> list[Patch]:
        """What a frame shows besides the page, one upon the other."""
        return list(patches_of(self.frames[i]))

    @cached_property
    def _page(self) -> Image:
        from PIL import Image

        with Image.open(self.page) as image:  # type: ignore[arg-type]
            return image.convert("RGB")
