"""How many neurons have stopped working, over training."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class DormantOverSteps(Renderer):
    """Neurons over steps that hardly fire (dormant: score at or below tau) and that are zero on every input (dead), phases marked.

    The two differ: a pruned cohort is dormant with no dead neuron, and of an untrained layer both counts are high.
    """

    consumes = ("dormant_neurons", "phases")
    over = ("step",)

    layer: int = 0
    split: str = "all"
    width: int = charts.WIDTH
    height: int = 140
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        data = frame.data
        rows = data[(data["layer"] == self.layer) & (data["split"] == self.split)].dropna(subset=["dormant"]) if len(data) else data
        if not len(rows):
            return charts.note(f"No dormant neurons of layer {self.layer} on split {self.split} were counted for this run.", width=self.width)
        table = rows.melt(id_vars="step", value_vars=["dormant", "dead"], var_name="series").astype({"step": int, "value": float})
        lines = {"dormant": charts.Line("dormant", charts.colour("dormant")), "dead": charts.Line("dead", charts.colour("muted"), dash=(3, 3))}
        steps = charts.step_axis(rows["step"], width=self.width, scale=self.step_scale)
        values = charts.value_axis(table["value"], f"neurons, of {int(rows['neurons'].max()):,}", height=self.height, log=False, zero=True)
        chart = charts.step_lines(pd.DataFrame(table), lines, steps, values, phases=frame.others.get("phases"), cursor=frame.cursor)
        return charts.described(chart, f"Number of dormant and of dead neurons over training steps, on split {self.split}.")
