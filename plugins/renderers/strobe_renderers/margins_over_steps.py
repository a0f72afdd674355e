"""How safe the answers are, over training."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class MarginsOverSteps(Renderer):
    """Margin of the target over the best other class: smallest, median and largest over the inputs of a split, over steps, with the phases marked.

    Where the smallest is above 0 every answer is right; it keeps moving long after the accuracy is 100 %, and shows a regress that the loss hides.
    """

    consumes = ("margins", "phases")
    over = ("step",)

    split: str = "all"
    width: int = charts.WIDTH
    height: int = 180
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        rows = _long(frame.data, self.split)
        if not len(rows):
            return charts.note(f"No margins of the split {self.split!r} were computed for this run.", width=self.width)
        steps = charts.step_axis(rows["step"], width=self.width, scale=self.step_scale)
        values = charts.value_axis(rows["value"], "margin, logits", height=self.height, log=False, zero=True)
        ink, pale = charts.colour("ink"), charts.colour("muted")
        lines = {
            "minimum": charts.Line("smallest", ink),
            "p01": charts.Line("1 %", pale, dash=(4, 3), width=1.25),
            "median": charts.Line("median", pale),
            "maximum": charts.Line("largest", pale, dash=(1.5, 3), width=1.25),
        }
        chart = charts.step_lines(rows, lines, steps, values, phases=frame.others.get("phases"), cursor=frame.cursor)
        return charts.described(chart, "Smallest, median and largest margin of the right answer over training steps.")


def _long(data: pd.DataFrame, split: str) -> pd.DataFrame:
    """Rows step, series, value."""
    mine = data[data["split"] == split] if len(data) else data
    parts = [
        pd.DataFrame({"step": mine["step"], "series": name, "value": mine[name].astype(float)})
        for name in ("minimum", "p01", "median", "maximum")
        if len(mine)
    ]
    return pd.concat(parts, ignore_index=True).dropna() if parts else pd.DataFrame(columns=["step", "series", "value"])
