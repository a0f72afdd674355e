"""How fast the weights move."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl

from .similarity_over_steps import one_layer


class VelocityOverSteps(Renderer):
    """Distance moved per step between checkpoints, per parameter group, over training, with the phases marked; below it, how fast the function moves:
    1 - CKA of the residual stream between successive checkpoints, per step, where `function_velocity` was computed.

    Each value holds for the interval that ends at its step, so lines are stairs. Weights that move while 1 - CKA is low only drift; a burst late in
    training is a reorganisation.
    """

    consumes = ("parameter_velocity", "phases", "function_velocity")
    over = ("step",)

    groups: tuple[str, ...] = ("all", "embedding", "attention", "mlp")
    width: int = charts.WIDTH
    height: int = 160
    function_height: int = 70
    """Of the strip of 1 - CKA, px; 0 leaves it out."""
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.LayerChart | alt.Chart:
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
        moves = self._function(frame)
        stairs = {"interpolate": "step-before", **shared}
        strips = [charts.step_lines(rows, lines, steps, values, bottom=not len(moves), **stairs)]
        if len(moves):
            below = charts.value_axis(moves["value"], "1 - CKA, per step", height=self.function_height, log=True)
            function = {"function": charts.Line("function", charts.colour("ink"), dash=(4, 2))}
            strips.append(charts.step_lines(moves, function, steps, below, top=False, name="function", **stairs))
        text = "Distance the weights move per step, per parameter group, and 1 - CKA of what they compute, over training steps."
        return charts.described(charts.strips(*strips, spacing=26), text)

    def _function(self, frame: Frame) -> pd.DataFrame:
        """Rows step, series, value: 1 - CKA per step of the last layer's residual stream."""
        data = frame.others.get("function_velocity")
        if data is None or not len(data) or not self.function_height:
            return pd.DataFrame()
        known = one_layer(data[data["site"] != "logits"], None).dropna(subset=["velocity"])
        rows = pd.DataFrame({"step": known["step"].astype(int), "series": "function", "value": known["velocity"].astype(float)})
        return rows[rows["value"] > 0]
