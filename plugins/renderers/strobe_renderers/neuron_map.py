"""One neuron's activation over all pairs of inputs."""

from __future__ import annotations

import altair as alt
import numpy as np

from strobe import Frame, Renderer, charts, hookimpl


class NeuronMap(Renderer):
    """Activation of the cursor's neuron over (a, b) at the cursor's step: stripes of one spacing mean one frequency.

    Brightness runs from 0 to the map's own maximum, which is written above it. At 28 x 28 points, frequencies above 14 show as texture only.
    """

    consumes = "activation_maps"
    at = ("layer", "neuron")

    size: int = 340

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        if not len(frame.data):
            return charts.note("No map of this neuron at this step.", width=self.size)
        row = frame.data.sort_values(["layer", "neuron"]).iloc[0]
        cells = np.asarray(row["map"], dtype=float) * float(row.get("scale", 1.0))
        p = int(getattr(frame.family, "p", cells.shape[0]))
        side = cells.shape[0] * charts.whole_pixels(cells.shape[0], self.size)
        picture = charts.image_rows([cells], None, (p, p), neuron=[int(row["neuron"])])
        low, high = picture["low"].iloc[0], picture["high"].iloc[0]
        picture["text"] = f"neuron {int(row['neuron'])}, activation {charts.number(min(low, 0.0))} to {charts.number(high)}"
        legend = "activation, share of the map's maximum"
        chart = charts.heatmap(
            picture, width=side, height=side, extent=(p, p), x="operand b, residue", y="operand a, residue", legend=legend, name="map"
        )
        text = alt.Chart(charts.dataset("range", picture[["text"]])).mark_text(style="annotation", align="right", baseline="bottom")
        words = text.encode(x=alt.XValue(side), y=alt.YValue(-9), text=alt.Text("text:N"))
        return charts.described(
            alt.layer(chart, words).properties(width=side, height=side), "A neuron's activation over all pairs of operands a and b."
        )
