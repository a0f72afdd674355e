"""Colour means a frequency (or the test split): one mapping per run, kept in every chart of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import altair as alt
import numpy as np
import pandas as pd

from .theme import active, colour, look, theme

OTHER = "other"


@dataclass(frozen=True)
class FrequencyColours:
    """The frequencies of a run that have a colour, ascending; all others are grey."""

    frequencies: tuple[int, ...] = ()

    def group(self, frequency: int) -> str:
        """`"24"` for a frequency with a colour, `"other"` for the rest: what the colour scales take."""
        return str(int(frequency)) if int(frequency) in self.frequencies else OTHER

    def groups(self, frequencies: Iterable[int]) -> list[str]:
        return [self.group(k) for k in frequencies]

    @property
    def domain(self) -> list[str]:
        return [*map(str, self.frequencies), OTHER]

    def scale(self) -> alt.Scale:
        """For fills and lines."""
        return alt.Scale(domain=self.domain, range=[*look()["frequency_order"][: len(self.frequencies)], colour(OTHER)])

    def text_scale(self) -> alt.Scale:
        """For small text: the same hues at a contrast of 4.5 to 1."""
        return alt.Scale(domain=self.domain, range=[*look()["frequency_text"][: len(self.frequencies)], colour("muted")])

    def on_fill_scale(self) -> alt.Scale:
        """For text that lies on a filled area: dark or white, whichever reads better on that fill."""
        fills = [*look()["frequency_order"][: len(self.frequencies)], colour(OTHER)]
        return alt.Scale(domain=self.domain, range=[on_fill(fill) for fill in fills])


def on_fill(fill: str) -> str:
    """Ink or white for text on `fill` (`"#RRGGBB"`), by its relative luminance."""
    r, g, b = (int(fill[i : i + 2], 16) / 255 for i in (1, 3, 5))
    luminance = 0.2126 * r**2.2 + 0.7152 * g**2.2 + 0.0722 * b**2.2
    return "#1B2430" if luminance > 0.22 else "#FFFFFF"


def categories() -> list[tuple[str, str]]:
    """(line colour, text colour) for things that are neither a frequency nor a split: the theme's categories, with text at 4.5 to 1."""
    words = dict(zip(look()["frequency_order"], look()["frequency_text"], strict=True))
    config = theme(active())["config"]
    words[config["style"]["test"]["color"]] = colour("test_text")
    return [(fill, words.get(fill, fill)) for fill in config["range"]["category"]]


def frequency_colours(key_frequencies: pd.DataFrame | None = None, leading: Iterable[int] = ()) -> FrequencyColours:
    """One mapping per run. As many frequencies as the palette has colours get one, ascending in order of use: those of the last checkpoint,
    then the rest of the union, from the table `key_frequencies`; without that table, `leading` (strongest first).
    """
    wanted = [k for name in ("last", "union") for k in _members(key_frequencies, name)] or [int(k) for k in leading]
    kept = list(dict.fromkeys(wanted))[: len(look()["frequency_order"])]
    return FrequencyColours(tuple(sorted(kept)))


def _members(table: pd.DataFrame | None, name: str) -> list[int]:
    if table is None or "set" not in table or not len(table):
        return []
    rows = zip(table["set"], table["frequencies"], strict=True)
    return [int(k) for held, frequencies in rows if held == name and isinstance(frequencies, (np.ndarray, list, tuple)) for k in frequencies]
