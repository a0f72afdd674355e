"""From SVG text to picture elements, and to other sizes. Imports little: processes that draw frames start with this alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .sizes import Size, fitted
from .svg import Picture

POINTS = 0.75
"""Points per CSS pixel."""


def sized(svg: str, spec: Mapping[str, Any]) -> Picture:
    """A chart that was drawn, with the size it says it has. One that is fitted to a size of its specification's own may draw beyond it."""
    fit = spec.get("autosize") or spec.get("config", {}).get("autosize") or "pad"
    width, height = (float(re.search(rf'<svg[^>]*?\b{side}="([\d.]+)', svg)[1]) for side in ("width", "height"))  # type: ignore[index]
    return Picture(svg, width, height, clipped=(fit.get("type", "pad") if isinstance(fit, Mapping) else fit) != "pad")


def at_size(picture: Picture, size: Size) -> Picture:
    """The page in the width that was asked for: the drawing keeps its units, the picture is larger or smaller."""
    factor = size.factor(picture.width)
    if factor == 1.0:
        return picture
    width, height = picture.width * factor, picture.height * factor
    opening = f'width="{width:.2f}" height="{height:.2f}"'
    return Picture(re.sub(r'width="[\d.]+" height="[\d.]+"', opening, picture.svg, count=1), width, height)


def rastered(picture: Picture, size: Size) -> bytes:
    """A PNG; its header says how large it is on paper. Raises `UsageError` for one that is too large."""
    import vl_convert

    return bytes(vl_convert.svg_to_png(picture.svg, scale=POINTS, ppi=fitted(size, picture.width, picture.height).dpi))
