"""Train and test accuracy over training."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class AccuracyOverSteps(Renderer):
    """Share of inputs answered correctly over steps, train and test, with the phases marked.

    As training recorded it; for a run without that, as measured at the checkpoints.
    """

    consumes = ("metrics", "phases", "loss_and_accuracy")
    over = ("step",)
    needs = {"metrics": ("train_accuracy", "test_accuracy"), "loss_and_accuracy": ("accuracy",)}

    width: int = charts.WIDTH
    height: int = 160
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        known = {split: accuracies(frame, split) for split in ("train", "test")}
        parts = [table for table in known.values() if len(table)]
        if not parts:
            return charts.note("No accuracy was recorded or measured for this run.", width=self.width)
        rows = pd.concat(parts)
        steps = charts.step_axis(rows["step"], width=self.width, scale=self.step_scale)
        values = charts.value_axis(rows["value"], "accuracy, %", height=self.height, percent=True)
        lines = {"train": charts.Line.styled("train", "train"), "test": charts.Line.styled("test", "test", charts.colour("test_text"))}
        lines = {name: line for name, line in lines.items() if len(known[name])}
        chart = charts.step_lines(rows, lines, steps, values, phases=frame.others.get("phases"), cursor=frame.cursor)
        return charts.described(chart, f"Accuracy over training steps: {', '.join(lines)}.")


def accuracies(frame: Frame, split: str) -> pd.DataFrame:
    """Rows step, series, value of one split, from the metrics or else from the checkpoints."""
    column, measured = f"{split}_accuracy", frame.others.get("loss_and_accuracy")
    known = frame.data[["step", column]].dropna() if column in frame.data else pd.DataFrame({"step": [], column: []})
    if not len(known) and measured is not None and len(measured):
        known = measured[measured["split"] == split][["step", "accuracy"]].dropna().rename(columns={"accuracy": column})
    return pd.DataFrame({"step": known["step"].astype(int), "series": split, "value": known[column].astype(float)})
