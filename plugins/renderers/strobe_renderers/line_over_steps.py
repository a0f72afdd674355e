"""Any number over steps."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Dim, Frame, Number, Renderer, charts, hookimpl


class LineOverSteps(Renderer):
    """Draws any table that has steps: a number as lines over training, one line per value of a dimension.

    The `top` lines that end highest in absolute value are labelled and coloured, the others pale. Several rows per step and line are averaged.
    """

    slots = {"x": Dim(names=("step",), optional=True), "y": Number(), "color": Dim(names=(), optional=True)}
    over = ("step",)

    top: int = 7
    width: int = charts.WIDTH
    height: int = 200
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        y, colour = frame.column("y"), frame.column("color")
        if y is None or "step" not in frame.data or not frame.data["step"].notna().any():
            return charts.note("This table has no number over steps.", width=self.width)
        by = [colour.name] if colour is not None and colour.name != "step" else []
        rows = _series(frame.data, y.name, by)
        if rows.empty:
            return charts.note(f"{y.name} has no value in this run.", width=self.width)
        steps = charts.step_axis(rows["step"], width=self.width, scale=self.step_scale)
        title = f"{y.name}, {y.unit}" if y.unit and y.unit != "1" else y.name
        values = charts.value_axis(rows["value"], title, height=self.height)
        chart = charts.step_lines(rows, self._lines(rows), steps, values, cursor=frame.cursor)
        return charts.described(chart, f"{y.description or y.name} over training steps{f', per {by[0]}' if by else ''}.")

    def _lines(self, rows: pd.DataFrame) -> dict[str, charts.Line]:
        last = rows.sort_values("step").groupby("series", sort=False)["value"].last()
        names = list(last.abs().sort_values(ascending=False, kind="stable").index)
        if len(names) == 1:
            return {names[0]: charts.Line(names[0] if names[0] != "value" else "")}
        tints = charts.theme(charts.active())["config"]["range"]["category"]
        pale = {n: charts.Line("", charts.colour("faint"), width=0.75) for n in names[self.top :]}
        return pale | {n: charts.Line(n, tints[i % len(tints)], charts.colour("text")) for i, n in enumerate(names[: self.top])}


def _series(data: pd.DataFrame, value: str, by: list[str]) -> pd.DataFrame:
    """Rows step, series, value: means over what is neither step nor the dimension shown."""
    known = data.dropna(subset=["step", value])
    means = known.groupby(["step", *by], as_index=False, dropna=False)[value].mean() if len(known) else known
    series = means[by[0]].map(lambda v: "–" if pd.isna(v) else str(v)) if by and len(means) else "value"
    return pd.DataFrame({"step": means["step"].astype(int), "series": series, "value": means[value].astype(float)})
