"""Losses over training: memorising, the hidden progress, and the turn."""

from __future__ import annotations

from collections.abc import Iterator

import altair as alt
import pandas as pd
from pydantic import Field

from strobe import Frame, Renderer, charts, hookimpl

DEEP = 10_000
"""How far below the fastest fall the axis of falls ends."""


class LossCurves(Renderer):
    """Train and test loss over steps, with the restricted and the excluded loss where they were computed, and the phases marked.

    Restricted loss is drawn on the test split and excluded loss on the train split, as in the progress-measures paper (Nanda et al. 2023, fig. 7).
    The strip below, where it has a height and `loss_slope` was computed, is how fast train and test loss fall; at its bottom a loss stands still or
    rises. A fall that begins again long after memorising is the one that generalises.
    """

    consumes = ("metrics", "phases", "progress_measures", "loss_slope")
    over = ("step",)

    width: int = charts.WIDTH
    height: int = 260
    slope_height: int = Field(0, ge=0, description="of the strip that says how fast the losses fall, px; 0 leaves it out")
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.LayerChart | alt.Chart:
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
        falls = self._falls(frame)
        strips = [charts.step_lines(rows, lines, steps, values, bottom=not len(falls), phases=frame.others.get("phases"), cursor=frame.cursor)]
        text = f"Loss in {unit} over training steps, logarithmic where it spans three decades: {', '.join(lines)}."
        if len(falls):
            fall = charts.value_axis(falls["value"], "fall, decades per 1,000 steps", height=self.slope_height, log=True)
            shared = {"phases": frame.others.get("phases"), "cursor": frame.cursor, "top": False, "name": "falls"}
            strips.append(charts.step_lines(falls, {s: line for s, line in lines.items() if s in ("train", "test")}, steps, fall, **shared))
            text += " Below it, how fast train and test loss fall."
        return charts.described(charts.strips(*strips, spacing=26), text)

    def _falls(self, frame: Frame) -> pd.DataFrame:
        """Rows step, series, value: how fast each loss falls, no less than what the axis ends at; none where nothing falls."""
        slopes = frame.others.get("loss_slope")
        if slopes is None or not len(slopes) or not self.slope_height or not (slopes["slope"].astype(float) < 0).any():
            return pd.DataFrame()
        fall = -slopes["slope"].astype(float)
        series = slopes["signal"].str.removesuffix("_loss")
        return pd.DataFrame({"step": slopes["step"].astype(int), "series": series, "value": fall.clip(lower=fall.max() / DEEP)})


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
