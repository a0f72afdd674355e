"""How fast the function changes, beside how fast the weights move."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl

from .similarity_over_steps import one_layer


class FunctionVelocityOverSteps(Renderer):
    """Change per step between checkpoints: 1 - CKA of the residual stream, mean change of a logit, and, pale, the distance the weights move.

    Each on its own logarithmic strip, drawn as stairs: a value holds for the interval that ends at its step. Weights that move while the function
    stands still only drift.
    """

    consumes = ("function_velocity", "parameter_velocity", "phases")
    over = ("step",)

    width: int = charts.WIDTH
    height: int = 90
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.LayerChart | alt.Chart:
        parts = {name: rows[rows["value"] > 0] for name, rows in self._parts(frame).items()}
        parts = {name: rows for name, rows in parts.items() if len(rows)}
        if not parts:
            return charts.note("No change of the function was computed for this run.", width=self.width)
        steps = charts.step_axis([0, *pd.concat(parts.values())["step"]], width=self.width, scale=self.step_scale)
        strips = []
        for i, (name, rows) in enumerate(parts.items()):
            values = charts.value_axis(rows["value"], f"{name}, per step", height=self.height, log=True)
            line = {name: charts.Line("", charts.colour("muted" if name.startswith("weights") else "ink"))}
            shared = {"phases": frame.others.get("phases"), "cursor": frame.cursor, "top": i == 0, "bottom": i == len(parts) - 1}
            table = rows.assign(series=name)[["step", "series", "value"]]
            strips.append(charts.step_lines(table, line, steps, values, interpolate="step-before", name=name, **shared))
        return charts.described(
            charts.strips(*strips, spacing=26), "Change of the function per step, beside that of the weights, over training steps."
        )

    def _parts(self, frame: Frame) -> dict[str, pd.DataFrame]:
        found = {}
        if len(frame.data):
            logits = frame.data["site"] == "logits"
            found["1 - CKA"] = _values(one_layer(frame.data[~logits], None), "velocity")
            found["logits"] = _values(frame.data[logits], "logit_velocity")
            weights = frame.others.get("parameter_velocity")
            if weights is not None and len(weights):
                found["weights, distance"] = _values(weights[weights["group"] == "all"], "velocity")
        return found


def _values(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    known = rows.dropna(subset=[column]) if len(rows) else rows
    return pd.DataFrame({"step": known["step"].astype(int), "value": known[column].astype(float)} if len(known) else {"step": [], "value": []})
