"""Maps as images: one image mark per map, nearest neighbour, at whole multiples of one pixel.

A key frequency of p = 113 has a period of under 3 pixels, and any resampling invents moire. The picture travels in the dataset, as a PNG of one
pixel per cell, so a step change swaps data. (113 x 113 rectangles cost 18 times the CPU of one image.)
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from .compose import layers
from .data import dataset

# The 31 anchors between which Vega interpolates its "viridis", so that image and legend agree.
VIRIDIS = (
    "440154470e61481a6c482575472f7d443a834144873d4e8a39568c35608d31688e2d708e2a788e27818e23888e21918d1f988b"
    "1fa08822a8842ab07f35b77943bf7154c56866cc5d7ad1518fd744a5db36bcdf27d2e21be9e51afde725"
)
MISSING = 255
"""Palette index of a missing value: transparent."""
DIVERGING = ("#B2182B", "#D6604D", "#F4A582", "#FDDBC7", "#F7F7F7", "#D1E5F0", "#92C5DE", "#4393C3", "#2166AC")
"""ColorBrewer's RdBu, as Vega interpolates it: red below nought, blue above."""
_differences: ContextVar[bool] = ContextVar("differences", default=False)


@contextmanager
def differences() -> Iterator[None]:
    """Within it maps are drawn as differences: diverging colours, nought in the middle, and axes of shares from -1 to 1."""
    token = _differences.set(True)
    try:
        yield
    finally:
        _differences.reset(token)


def of_differences() -> bool:
    """Whether what is drawn now are differences."""
    return _differences.get()


def _span(low: float, high: float) -> tuple[float, float]:
    """What the colours run over: as far below nought as above for differences."""
    reach = max(abs(low), abs(high)) or 1.0
    return (-reach, reach) if of_differences() else (low, high)


@cache
def viridis() -> np.ndarray:
    """Colours from dark (low) to bright (high), uint8 [255, 3]."""
    anchors = np.array([[int(VIRIDIS[i + j : i + j + 2], 16) for j in (0, 2, 4)] for i in range(0, len(VIRIDIS), 6)], dtype=float)
    at = np.linspace(0, len(anchors) - 1, MISSING)
    return _between(anchors, at)


@cache
def diverging() -> np.ndarray:
    """Colours from red (low) over near-white to blue (high), uint8 [255, 3]."""
    anchors = np.array([[int(c[j : j + 2], 16) for j in (1, 3, 5)] for c in DIVERGING], dtype=float)
    return _between(anchors, np.linspace(0, len(anchors) - 1, MISSING))


def _between(anchors: np.ndarray, at: np.ndarray) -> np.ndarray:
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, c]) for c in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def png_url(values: Any, domain: tuple[float, float]) -> str:
    """A map [rows, columns] as a PNG data URL, one pixel per cell, viridis over `domain`; outside it clipped, missing values transparent.

    Within `differences` red to blue, over a domain as far below nought as above.
    """
    from PIL import Image

    cells = np.asarray(values, dtype=float)
    lo, hi = _span(*domain)
    share = np.clip((cells - lo) / (hi - lo if hi > lo else 1.0), 0, 1)
    index = np.where(np.isfinite(cells), np.rint(np.nan_to_num(share) * (MISSING - 1)), MISSING).astype(np.uint8)
    image = Image.fromarray(index)
    image.putpalette([*(diverging() if of_differences() else viridis()).reshape(-1).tolist(), 0, 0, 0])
    file = io.BytesIO()
    image.save(file, "PNG", transparency=MISSING, optimize=False, compress_level=6)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def category_url(cells: Any, colours: Sequence[str]) -> str:
    """A map of categories [rows, columns], small integers, as a PNG data URL, one pixel per cell: category i in `colours[i]`, `#RRGGBB` or
    `#RRGGBBAA`. At most 256 categories."""
    from PIL import Image

    channels = [bytes.fromhex(colour.lstrip("#").ljust(8, "F")) for colour in colours]
    image = Image.fromarray(np.asarray(cells, dtype=np.uint8))
    image.putpalette([part for colour in channels for part in colour[:3]])
    file = io.BytesIO()
    image.save(file, "PNG", transparency=bytes(colour[3] for colour in channels), compress_level=6)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def whole_pixels(cells: int, room: int) -> int:
    """Screen pixels per cell: the largest whole number with which `cells` fit into `room` pixels, at least 1."""
    return max(1, room // max(cells, 1))


def image_rows(
    maps: Sequence[Any], domain: tuple[float, float] | None, extent: tuple[float, float] | None = None, **columns: Sequence[Any]
) -> pd.DataFrame:
    """One row per map: its picture `url`, its corners x0, x1, y0, y1 (cell counts, or `extent` = (columns, rows) in the unit of the axes), its mean
    and range, and `columns` to place or name it. `domain=None` scales each map to its own range, from 0 when it has no negative values.
    """
    rows = []
    for cells in (np.asarray(m, dtype=float) for m in maps):
        seen = cells[np.isfinite(cells)]
        low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 0.0)
        wide, tall = extent or (cells.shape[1], cells.shape[0])
        url = png_url(cells, domain or (min(low, 0.0), high))
        mean = float(seen.mean()) if seen.size else None
        rows.append({"url": url, "x0": 0, "x1": wide, "y0": 0, "y1": tall, "mean": mean, "low": low, "high": high})
    return pd.DataFrame(rows).assign(**columns) if rows else pd.DataFrame(columns=["url", "x0", "x1", "y0", "y1", "mean", "low", "high", *columns])


def heatmap(
    maps: pd.DataFrame | np.ndarray | Sequence[Any],
    *,
    width: int,
    height: int,
    extent: tuple[float, float],
    x: str,
    y: str,
    domain: tuple[float, float] = (0.0, 1.0),
    legend: str | None = None,
    origin: str = "top",
    x_ticks: Sequence[float] | None = None,
    y_ticks: Sequence[float] | None = None,
    name: str = "maps",
) -> alt.LayerChart:
    """A map (or, faceted by a column of `image_rows`, several), `width` x `height` px: pass whole multiples of the cell counts (`whole_pixels`).

    `extent` is (columns, rows) in the unit of the axes, `x` and `y` their titles, `domain` what the colours run over, said in the legend.
    `origin="top"` counts rows downwards, as a matrix is written; `"bottom"` upwards.
    """
    if not isinstance(maps, pd.DataFrame):
        several = maps if isinstance(maps, (list, tuple)) or np.ndim(maps) == 3 else [maps]
        maps = image_rows(list(several), domain, extent)
    base = alt.Chart(dataset(name, maps))
    picture = base.mark_image(aspect=False, smooth=False, width=width, height=height, align="left", baseline="top").encode(
        x=_position("x0", x, extent[0], x_ticks),
        y=_position("y0" if origin == "top" else "y1", y, extent[1], y_ticks, reverse=origin == "top"),
        url=alt.Url("url:N"),
    )
    return layers(picture, *([ramp(base, domain, legend)] if legend else []), width=width, height=height)


def _position(field: str, title: str, extent: float, ticks: Sequence[float] | None, *, reverse: bool = False) -> Any:
    middles = [tick + 0.5 for tick in (_ends(extent) if ticks is None else ticks)]
    axis = alt.Axis(title=title, grid=False, domain=False, ticks=False, values=middles, labelExpr="floor(datum.value)", labelPadding=3)
    encoding = alt.X if field.startswith("x") else alt.Y
    return encoding(f"{field}:Q", scale=alt.Scale(domain=[0, extent], nice=False, reverse=reverse), axis=axis)


def _ends(extent: float) -> list[float]:
    """First, middle and last index of an axis of `extent` cells."""
    last = max(int(extent) - 1, 0)
    return sorted({0, last // 2, last})


def ramp(base: alt.Chart, domain: tuple[float, float], title: str) -> alt.Chart:
    """A layer that draws nothing but the legend of the colour ramp, with both ends of its domain."""
    domain = _span(*domain)
    legend = alt.Legend(title=title, values=list(domain), format="~g", orient="bottom", direction="horizontal", offset=4, titleLimit=320)
    scale = alt.Scale(domain=list(domain), scheme="redblue" if of_differences() else "viridis", clamp=True)
    return base.mark_square(size=0, opacity=1).encode(color=alt.Color("mean:Q", scale=scale, legend=legend))
