"""Sizes of cards and plots: columns of the page in pixels, and a renderer's plot fitted to them."""

from __future__ import annotations

from ..errors import UsageError
from ..renderer import Renderer
from ..reports.model import WORDS, Panel

PITCH, GAP = 114, 20
"""px from one column to the next, and between cards: a half card is 664 px wide."""
PADDING = 34
"""px of a card that are not its chart."""
LEAST = 80
"""px; no plot is made narrower."""


def pixels(columns: int) -> int:
    """Width of a card."""
    return columns * PITCH - GAP


def fitted(renderer: Renderer, panel: Panel) -> Renderer:
    """The renderer with its plot as wide and as tall as the panel says; `half` and `full` leave it as it is, and so do settings.

    A plot with a `width` keeps its margins; one with a `size`, a square, gets smaller where it must. Raises `UsageError` for a height that it cannot
    have.
    """
    changes = {}
    wide, square = getattr(renderer, "width", None), getattr(renderer, "size", None)
    if isinstance(panel.width, int) and "width" not in panel.settings and isinstance(wide, int):
        changes["width"] = max(LEAST, wide + PITCH * (panel.width - WORDS["half"]))
    elif isinstance(panel.width, int) and "size" not in panel.settings and isinstance(square, int):
        changes["size"] = max(LEAST, min(square, pixels(panel.width) - PADDING - 60))
    if panel.height is not None and "height" not in panel.settings:
        name = next((n for n in ("height", "size") if isinstance(getattr(renderer, n, None), int)), "")
        if not name:
            raise UsageError(f"{panel.renderer} has no height to set: remove `height`")
        changes[name] = panel.height
    return renderer.model_copy(update=changes) if changes else renderer
