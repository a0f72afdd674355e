"""How widely heads spread their attention, over training."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class AttentionEntropyOverSteps(Renderer):
    """Mean attention entropy of each head over steps, phases marked: 1 is uniform attention, 0 a single key.

    Of the last query unless `query` names another.
    """

    consumes = ("attention_entropy", "phases")
    over = ("step",)

    layer: int = 0
    query: int | None = None
    width: int = charts.WIDTH
    height: int = 140
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        data = frame.data
        here = data[data["layer"] == self.layer].dropna(subset=["normalised"]) if len(data) else data
        if not len(here):
            return charts.note(f"No attention entropy of layer {self.layer} was computed for this run.", width=self.width)
        rows = here[here["query"] == (here["query"].max() if self.query is None else self.query)]
        table = pd.DataFrame(
            {"step": rows["step"].astype(int), "series": "head " + rows["head"].astype(int).astype(str), "value": rows["normalised"].astype(float)}
        )
        tints = charts.categories()
        lines = {name: charts.Line(name, *tints[i % len(tints)]) for i, name in enumerate(sorted(table["series"].unique()))}
        steps = charts.step_axis(data["step"], width=self.width, scale=self.step_scale)
        values = charts.ValueAxis(0, 1, "entropy / ln keys", self.height)
        chart = charts.step_lines(table, lines, steps, values, phases=frame.others.get("phases"), cursor=frame.cursor)
        return charts.described(chart, "Mean attention entropy of each head over training steps: 1 is uniform, 0 a single key.")
