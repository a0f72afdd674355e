"""One neuron's activation over all pairs of inputs."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from pydantic import Field

from strobe import Frame, Renderer, charts, hookimpl

FULL = "full_activation_maps"


class NeuronMap(Renderer):
    """Activation of the cursor's neuron over (a, b) at the cursor's step: stripes of one spacing mean one frequency.

    Every cell where `full_activation_maps` was computed for this neuron; else 28 x 28 points, which show frequencies above 14 as texture only, and a
    line that says what to type. Brightness runs from 0 to the map's own maximum, which is written above it.
    """

    consumes = ("activation_maps", FULL)
    at = ("layer", "neuron")
    cut = (FULL,)

    size: int = Field(340, ge=20, le=2000, description="largest side of the map, px")
    full: bool = Field(True, description="every cell, where that was computed")

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        if not len(frame.data):
            return charts.note("No map of this neuron at this step.", width=self.size)
        row, below = self._chosen(frame)
        cells = np.asarray(row["map"], dtype=float) * float(row.get("scale", 1.0))
        p = int(getattr(frame.family, "p", cells.shape[0]))
        side = cells.shape[0] * charts.whole_pixels(cells.shape[0], self.size)
        picture = charts.image_rows([cells], None, (p, p), neuron=[int(row["neuron"])])
        low, high = picture["low"].iloc[0], picture["high"].iloc[0]
        picture["text"] = (
            f"neuron {int(row['neuron'])}, activation {charts.number(low if charts.of_differences() else min(low, 0.0))} to {charts.number(high)}"
        )
        legend = "activation, share of the map's maximum"
        chart = charts.heatmap(
            picture, width=side, height=side, extent=(p, p), x="operand b, residue", y="operand a, residue", legend=legend, name="map"
        )
        text = alt.Chart(charts.dataset("range", picture[["text"]])).mark_text(style="annotation", align="right", baseline="bottom")
        words = text.encode(x=alt.XValue(side), y=alt.YValue(-9), text=alt.Text("text:N"))
        drawn = charts.layers(chart, words, _lines(below, side), width=side, height=side)
        return charts.described(drawn, "A neuron's activation over all pairs of operands a and b.")

    def _chosen(self, frame: Frame) -> tuple[dict[str, Any], list[str]]:
        """The row to draw, and what to say below: nothing for a map of every cell."""
        small = frame.data.sort_values(["layer", "neuron"]).iloc[0].to_dict()
        points, p = np.asarray(small["map"]).shape[0], int(getattr(frame.family, "p", 0))
        if charts.of_differences() or points >= p:
            return small, []
        if self.full and (row := _same(frame.others.get(FULL), small)) is not None:
            return row, []
        run, neuron = frame.cursor.get("run", "RUN"), int(small["neuron"])
        told = f"strobe analyze {run} \\", f"  -a {FULL} --set '{FULL}.neurons=[{neuron}]'"
        return small, [f"{points} x {points} of {p} x {p} cells. All of them, at all steps:", *told] if self.full else []


def _same(rows: pd.DataFrame | None, small: dict[str, Any]) -> dict[str, Any] | None:
    """The full map at the place of the small one, None where there is none."""
    if rows is None or not len(rows):
        return None
    names = [n for n in ("step", "layer", "neuron") if n in rows and n in small]
    found = rows[(rows[names] == pd.Series({n: small[n] for n in names})).all(axis=1)]
    return found.iloc[0].to_dict() if len(found) else None


def _lines(below: list[str], side: int) -> alt.Chart:
    """What is said below the map and its legend."""
    rows = [{"text": below}] if below else []
    mark = alt.Chart(charts.dataset("how to see more", rows)).mark_text(style="annotation", align="left", baseline="top", lineHeight=14)
    return mark.encode(x=alt.XValue(0), y=alt.YValue(side + 84), text=alt.Text("text:N"))
