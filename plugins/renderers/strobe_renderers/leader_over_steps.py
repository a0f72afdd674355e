"""Which value of a dimension holds at each step: the leading frequency of a neuron or a head, a label."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Dim, Frame, Number, Renderer, charts, hookimpl


class LeaderOverSteps(Renderer):
    """A whole-number dimension over steps, such as the frequency that leads a neuron: a stair with a dot per checkpoint, larger where it holds more.

    A jump is a switch. Draws one line: cut the table to one neuron or head (`follow`); of several rows of a step the first counts.
    """

    slots = {
        "x": Dim(names=("step",), optional=True),
        "y": Dim(names=("frequency",)),
        "size": Number(names=("fraction", "share"), optional=True),
    }
    over = ("step",)

    width: int = charts.WIDTH
    height: int = 160
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        column, size = frame.column("y"), frame.column("size")
        data = frame.data
        known = data.dropna(subset=["step", column.name]) if column is not None and "step" in data and len(data) else data.iloc[:0]
        known = known[pd.to_numeric(known[column.name], errors="coerce").notna()] if column is not None and len(known) else known
        if column is None or not len(known):
            return charts.note("Nothing leads at any step.", width=self.width)
        first = known.sort_values("step").drop_duplicates("step")
        weight = first[size.name].astype(float) if size is not None else 1.0
        rows = pd.DataFrame({"step": first["step"].astype(int), "series": "leads", "value": first[column.name].astype(float)}).assign(weight=weight)
        steps = charts.step_axis(rows["step"], width=self.width, scale=self.step_scale)
        values = charts.value_axis(rows["value"], f"{column.name} that leads", height=self.height, log=False)
        stair = charts.step_lines(rows, {"leads": charts.Line("")}, steps, values, cursor=frame.cursor, interpolate="step-after")
        dots = alt.Chart(charts.dataset("leaders", rows)).mark_circle(color=charts.colour("ink"), clip=True)
        scale = alt.Scale(domain=[0, 1], range=[8, 90])
        tips = [alt.Tooltip("step:Q"), alt.Tooltip("value:Q", title=column.name), alt.Tooltip("weight:Q", title="share", format=".0%")]
        drawn = charts.layers(stair, dots.encode(x=steps.x(), y=values.y(), size=alt.Size("weight:Q", scale=scale, legend=None), tooltip=tips))
        return charts.described(drawn, f"{column.description or column.name} over training steps.")
