"""How fast the weights move."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class VelocityOverSteps(Renderer):
    """Distance moved per step between checkpoints, per parameter group, over training, with the phases marked.

    Each value holds for the interval that ends at its step, so lines are stairs. A burst late in training is a reorganisation.
    """

    consumes = ("parameter_velocity", "phases")
    over = ("step",)

    groups: tuple[str, ...] = ("all", "embedding", "attention", "mlp")
    width: int = charts.WIDTH
    height: int = 160
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        data = frame.data
        known = data[data["group"].isin(self.groups) & (data["velocity"].astype(float) > 0)] if len(data) else data
        if not len(known):
            return charts.note("No velocity of these groups is known for this run.", width=self.width)
        rows = pd.DataFrame({"step": known["step"].astype(int), "series": known["group"], "value": known["velocity"].astype(float)})
        steps = charts.step_axis([0, *rows["step"]], width=self.width, scale=self.step_scale)
        values = charts.value_axis(rows["value"], "distance per step, weight units", height=self.height, log=True)
        lines = {"all": charts.Line("all", charts.colour("ink"))}
        lines |= {g: charts.Line.styled(g, f"group-{g}") for g in ("embedding", "attention", "mlp", "unembedding")}
        lines = {g: lines.get(g, charts.Line(g, charts.colour("muted"))) for g in self.groups if (rows["series"] == g).any()}
        shared = {"phases": frame.others.get("phases"), "cursor": frame.cursor}
        chart = charts.step_lines(rows, lines, steps, values, interpolate="step-before", **shared)
        return charts.described(chart, "Distance the weights move per step, per parameter group, over training steps.")
