"""How large a picture is: a width in millimetres, inches or pixels, and pixels per unit."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ..errors import UsageError

PIXELS = {"px": 1.0, "mm": 96 / 25.4, "cm": 960 / 25.4, "in": 96.0, "pt": 96 / 72}
"""CSS pixels per unit: 96 to the inch."""
SCREEN, PRINT = 2.0, 300 / 96
"""Picture elements per CSS pixel of a PNG: for screens of high density, and 300 to the inch for a width given in mm, cm, in or pt."""
MOST, MOST_ALL = 32_767, 400_000_000
"""Picture elements along one side that a PNG may have, and in all: what viewers open."""
READABLE, LARGEST = 6.0, 1.35
"""Points that axis labels of the theme for print have at least, as far as a factor of 1.35 on their size goes."""


@dataclass(frozen=True)
class Size:
    """`width` in CSS px, None for the picture's own; `scale` picture elements per px, `chosen` by somebody or usual."""

    width: float | None = None
    scale: float = SCREEN
    chosen: bool = True

    @property
    def dpi(self) -> float:
        return 96 * self.scale

    def factor(self, natural: float) -> float:
        """How much larger the picture is than it was laid out."""
        return 1.0 if self.width is None else self.width / natural

    def type_factor(self, natural: float) -> float:
        """How much larger the type of a printed picture must be laid out to stay readable."""
        points = 11 * 0.75 * self.factor(natural)
        return min(max(READABLE / points, 1.0), LARGEST)


def size_of(width: str | float | None = None, scale: float | None = None) -> Size:
    """A size from what people write: `85mm`, `3.3in`, `600`. Raises `UsageError`."""
    pixels, unit = _pixels(width)
    chosen = scale if scale is not None else PRINT if unit in ("mm", "cm", "in", "pt") else SCREEN
    if isinstance(chosen, bool) or not isinstance(chosen, int | float) or not 0.1 <= chosen <= 20:
        raise UsageError(f"scale {chosen!r}: write a number from 0.1 to 20, the picture elements per pixel")
    return Size(pixels, float(chosen), scale is not None or unit not in ("", "px"))


def _pixels(width: str | float | None) -> tuple[float | None, str]:
    if width in (None, ""):
        return None, ""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(width))
    if not found or (found[2] or "px") not in PIXELS:
        raise UsageError(f"width {width!r}: write a number and a unit, one of {', '.join(PIXELS)}; for example 85mm")
    pixels = float(found[1]) * PIXELS[found[2] or "px"]
    if not 60 <= pixels <= MOST:
        raise UsageError(f"width {width!r}: a chart is legible from 16mm (60px) up, and ends at {MOST:,}px")
    return pixels, found[2]


def check_columns(columns: int) -> None:
    """Refuse a page of cards in other than one or two columns."""
    if columns not in (1, 2):
        raise UsageError(f"columns {columns!r}: write 1 or 2")


def check_elements(width: float, height: float, scale: float) -> None:
    """Refuse a picture that no viewer opens."""
    fitted(Size(None, scale), width, height)


def fitted(size: Size, width: float, height: float) -> Size:
    """The size in which a PNG of these px can be opened: a long page gets a smaller scale, down to 1, unless one was asked for.

    Raises `UsageError`.
    """
    largest = min(MOST / max(width, height), (MOST_ALL / (width * height)) ** 0.5)
    if size.scale <= largest:
        return size
    if not size.chosen and largest >= 1:
        return replace(size, scale=largest)
    raise UsageError(
        f"a PNG of {width * size.scale:,.0f} x {height * size.scale:,.0f} picture elements is too large; "
        "take a smaller scale, fewer panels (--only), or svg or pdf"
    )
