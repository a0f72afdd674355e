"""Losses over training: memorising, the hidden progress, and the turn."""

from __future__ import annotations

from collections.abc import Iterator

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class LossCurves(Renderer):
    """Train and test loss over steps, with the restricted and the excluded loss where they were computed, and the phases marked.

    Restricted loss is drawn on the test split and excluded loss on the train split, as in the progress-measures paper (Nanda et al. 2023, fig. 7).
    """

    consumes = ("metrics", "phases", "progress_measures")
    over = ("step",)

    width: int = charts.WIDTH
    height: int = 260
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        rows = pd.concat([pd.DataFrame(columns=["step", "series", "value"]), *series(frame)])
        if rows.empty:
            return charts.note("No loss was recorded for this run.", width=self.width)
        steps = charts.step_axis(rows["step"], width=self.width, scale=self.step_scale)
        unit = "nats" if frame.family is None else frame.family.loss_unit
        values = charts.value_axis(rows["value"], f"loss, {unit}", height=self.height)
        test = charts.Line.styled("test", "test", charts.colour("test_text"))
        lines = {"train": charts.Line.styled("train", "train"), "test": test}
        lines |= {name: charts.Line.styled(name, name) for name in ("restricted", "excluded")}
        lines = {name: line for name, line in lines.items() if (rows["series"] == name).any()}
        chart = charts.step_lines(rows, lines, steps, values, phases=frame.others.get("phases"), cursor=frame.cursor)
        return charts.described(chart, f"Loss in {unit} over training steps, logarithmic where it spans three decades: {', '.join(lines)}.")


def series(frame: Frame) -> Iterator[pd.DataFrame]:
    """Rows step, series, value of every loss that is there."""
    for name in ("train", "test"):
        if f"{name}_loss" in frame.data:
            yield named(frame.data, f"{name}_loss", name)
    progress = frame.others.get("progress_measures")
    if progress is not None and len(progress):
        yield named(progress[progress["split"] == "test"], "restricted_loss", "restricted")
        yield named(progress[progress["split"] == "train"], "excluded_loss", "excluded")


def named(rows: pd.DataFrame, column: str, series: str) -> pd.DataFrame:
    """One column as rows step, series, value; missing values are left out."""
    known = rows[["step", column]].dropna()
    return pd.DataFrame({"step": known["step"].astype(int), "series": series, "value": known[column].astype(float)})
