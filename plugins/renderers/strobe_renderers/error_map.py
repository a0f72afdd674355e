"""Which pairs the model gets wrong, and how safe the others are."""

from __future__ import annotations

from typing import Literal

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl

TITLES = {"margin": "margin", "error": "wrong answers", "confidence": "confidence"}


class ErrorMap(Renderer):
    """One number per input at the cursor's step as a map over (a, b): margin of the right answer, wrong answers (bright), or confidence.

    Brightness of margin and confidence runs over the map's own range, which is written above it together with the wrong answers. Stripes mean that
    errors follow a frequency; diagonals that they follow residue classes (a + b).
    """

    consumes = "input_trace"

    show: Literal["margin", "error", "confidence"] = "margin"
    """What the map shows."""
    size: int = 340

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        cells = _cells(frame.data, self.show)
        if cells is None:
            return charts.note("No trace of every pair (a, b) at this step.", width=self.size)
        p = len(cells)
        side = p * charts.whole_pixels(p, self.size)
        low, high = float(cells.min()), float(cells.max())
        picture = charts.image_rows([cells], (0.0, 1.0) if self.show == "error" else (low, max(high, low + 1e-9)), (p, p))
        picture["text"] = f"{TITLES[self.show]} {charts.number(low)} to {charts.number(high)}; {_wrong(frame.data)}"
        legend = "wrong" if self.show == "error" else f"{TITLES[self.show]}, share of the map's range"
        axes = {"extent": (p, p), "x": "operand b, residue", "y": "operand a, residue"}
        chart = charts.heatmap(picture, width=side, height=side, legend=legend, name="map", **axes)
        text = alt.Chart(charts.dataset("range", picture[["text"]])).mark_text(style="annotation", align="right", baseline="bottom")
        words = text.encode(x=alt.XValue(side), y=alt.YValue(-9), text=alt.Text("text:N"))
        layered = charts.layers(chart, words, width=side, height=side)
        return charts.described(layered, f"Map of {TITLES[self.show]} over all pairs of operands a and b.")


def _cells(data: pd.DataFrame, show: str) -> np.ndarray | None:
    """The map [a, b] of the first row; None without one, or when the inputs are not a square grid."""
    if not len(data) or data["rank"].iloc[0] is None:
        return None
    row = data.iloc[0]
    flat = _errors(row) if show == "error" else np.asarray(row[show], dtype=float)
    p = round(len(flat) ** 0.5)
    return flat.reshape(p, p) if p * p == len(flat) else None


def _errors(row: pd.Series) -> np.ndarray:
    return ((np.asarray(row["rank"]) > 0) | (np.asarray(row["margin"], dtype=float) <= 0)).astype(float)


def _wrong(data: pd.DataFrame) -> str:
    errors = _errors(data.iloc[0])
    return f"{int(errors.sum()):,} of {len(errors):,} wrong"
