"""How each head shares its attention between the operands, over training."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class AttentionShareOverSteps(Renderer):
    """Mean weight that each head gives to one position, over all inputs, over steps, with the phases marked: the first operand unless told otherwise.

    Near 0 or 1 a head looks at one operand; lines that meet at the dashed half read both equally.
    """

    consumes = ("attention_maps", "phases")
    over = ("step",)

    layer: int = 0
    key: int = 0
    """The position attended to."""
    width: int = charts.WIDTH
    height: int = 140
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        data = frame.data
        here = data[(data["layer"] == self.layer) & (data["key"] == self.key)] if len(data) else data
        here = here[here["query"] == here["query"].max()].dropna(subset=["map"]) if len(here) else here
        if not len(here):
            return charts.note(f"No attention maps of layer {self.layer} to position {self.key} were computed for this run.", width=self.width)
        heads = sorted(int(h) for h in here["head"].unique())
        means = [float(np.mean(cells, dtype=float)) for cells in here["map"]]
        table = pd.DataFrame({"step": here["step"].astype(int), "series": [f"head {int(h)}" for h in here["head"]], "value": means})
        tints = charts.categories()
        lines = {f"head {h}": charts.Line(f"head {h}", *tints[i % len(tints)]) for i, h in enumerate(heads)}
        steps = charts.step_axis(table["step"], width=self.width, scale=self.step_scale)
        values = charts.ValueAxis(0, 1, f"mean weight on {({0: 'a', 1: 'b', 2: '='}).get(self.key, f'position {self.key}')}", self.height)
        half = alt.Chart(charts.dataset("half", [{"value": 0.5}])).mark_rule(style="null").encode(y=values.y())
        chart = charts.step_lines(table, lines, steps, values, phases=frame.others.get("phases"), cursor=frame.cursor)
        text = "Mean attention weight of each head on one position, over training steps; a half is both operands equally."
        return charts.described(charts.layers(half, chart, independent=["color", "strokeDash", "strokeWidth"]), text)
