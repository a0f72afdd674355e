"""Train and test accuracy over training."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class AccuracyOverSteps(Renderer):
    """Share of inputs answered correctly over steps, train and test, with the phases marked."""

    consumes = ("metrics", "phases")
    over = ("step",)

    width: int = charts.WIDTH
    height: int = 160
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        known = {s: frame.data[["step", f"{s}_accuracy"]].dropna() for s in ("train", "test") if f"{s}_accuracy" in frame.data}
        parts = [
            pd.DataFrame({"step": t["step"].astype(int), "series": s, "value": t[f"{s}_accuracy"].astype(float)}) for s, t in known.items() if len(t)
        ]
        if not parts:
            return charts.note("No accuracy was recorded for this run.", width=self.width)
        rows = pd.concat(parts)
        steps = charts.step_axis(frame.data["step"], width=self.width, scale=self.step_scale)
        values = charts.value_axis(rows["value"], "accuracy, %", height=self.height, percent=True)
        lines = {"train": charts.Line.styled("train", "train"), "test": charts.Line.styled("test", "test", charts.colour("test_text"))}
        lines = {name: line for name, line in lines.items() if (rows["series"] == name).any()}
        chart = charts.step_lines(rows, lines, steps, values, phases=frame.others.get("phases"), cursor=frame.cursor)
        return charts.described(chart, f"Accuracy over training steps: {', '.join(lines)}.")
