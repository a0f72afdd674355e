"""The loss along a line, or over a plane, through the weights."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class LossSlice(Renderer):
    """The loss at the cursor's step along a random filter-normalised direction, train and test; of a slice over two directions a map of one split.

    0 is the checkpoint; 1 a displacement as long as the weights. Loss and its colours are logarithmic, their range the step's own.
    """

    consumes = "loss_slice"

    split: str = "train"
    """Which to draw as a map."""
    width: int = charts.WIDTH
    height: int = 200

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        if not len(frame.data):
            return charts.note("No slice of the loss at this step.", width=self.width)
        if len(frame.data["betas"].iloc[0]) > 1:
            return self._map(frame.data)
        parts = [_line(row["alphas"], row["losses"][0], row["split"]) for row in frame.data.to_dict("records")]
        chart = curves(pd.concat(parts, ignore_index=True), "displacement, share of each filter's norm", self.width, self.height)
        return charts.described(chart, "Loss along a random direction through the checkpoint, on train and test.")

    def _map(self, data: pd.DataFrame) -> alt.Chart:
        rows = data[data["split"] == self.split]
        if not len(rows):
            return charts.note(f"No slice of the split {self.split!r}.", width=self.width)
        row = rows.iloc[0]
        cells = _cells(np.asarray(row["alphas"]), np.asarray(row["betas"]), np.asarray(row["losses"]))
        colour = alt.Color("loss:Q", scale=alt.Scale(type="log", scheme="viridis"), legend=alt.Legend(title="loss, nats", format=".1~e", tickCount=4))
        x = alt.X("x0:Q", scale=alt.Scale(zero=False, nice=False), axis=alt.Axis(title="along the first direction", grid=False, tickCount=5))
        y = alt.Y("y0:Q", scale=alt.Scale(zero=False, nice=False), axis=alt.Axis(title="along the second direction", grid=False, tickCount=5))
        tooltip = [alt.Tooltip(f"{name}:Q", format=".3~g") for name in ("alpha", "beta", "loss")]
        side = min(self.width, 340)
        mark = alt.Chart(charts.dataset("map", cells), width=side, height=side).mark_rect(stroke=None)
        chart = mark.encode(x=x, x2=alt.X2("x1:Q"), y=y, y2=alt.Y2("y1:Q"), color=colour, tooltip=tooltip)
        return charts.described(chart, "Loss over the plane of two random directions through the checkpoint.")


def curves(rows: pd.DataFrame, title: str, width: int, height: int) -> alt.LayerChart:
    """Losses `value` over `x` of the series train and test, named at the right end, on a logarithmic axis."""
    looks = {split: charts.Line.styled(split, split) for split in ("train", "test")}
    scale = alt.Scale(domain=list(looks), range=[line.colour for line in looks.values()])
    dash = alt.Scale(domain=list(looks), range=[list(line.dash) for line in looks.values()])
    x = alt.X("x:Q", scale=alt.Scale(zero=False, nice=False), axis=alt.Axis(title=title, tickCount=6))
    y = alt.Y("value:Q", scale=alt.Scale(type="log", nice=True), axis=alt.Axis(title="loss, nats", tickCount=5, labelExpr=charts.LOG_LABEL))
    colour = alt.Color("series:N", scale=scale, legend=None)
    tooltip = [alt.Tooltip("series:N"), alt.Tooltip("x:Q", format=".3~g"), alt.Tooltip("value:Q", format=".3~e")]
    line = alt.Chart(charts.dataset("curves", rows)).mark_line(point=alt.OverlayMarkDef(size=12))
    ends = rows.loc[rows.groupby("series")["x"].idxmax()] if len(rows) else rows
    drawn = line.encode(x=x, y=y, color=colour, strokeDash=alt.StrokeDash("series:N", scale=dash, legend=None), tooltip=tooltip)
    named = [
        alt.Chart(charts.dataset(f"end {split}", ends[ends["series"] == split]))
        .mark_text(style="direct-label", dx=6, dy=dy)
        .encode(x=x, y=y, text=alt.Text("series:N"), color=colour)
        for split, dy in (("test", -6), ("train", 6))
    ]
    return charts.layers(drawn, *named, charts.room(width), width=width, height=height)


def _line(alphas: np.ndarray, losses: np.ndarray, split: str) -> pd.DataFrame:
    table = pd.DataFrame({"x": np.asarray(alphas, float), "series": split, "value": np.asarray(losses, float)})
    return table[table["value"] > 0]


def _cells(alphas: np.ndarray, betas: np.ndarray, losses: np.ndarray) -> pd.DataFrame:
    """One row per point: the square around it, and its loss."""
    half = (alphas[1] - alphas[0]) / 2
    b, a = (grid.ravel() for grid in np.meshgrid(betas, alphas, indexing="ij"))
    table = pd.DataFrame({"alpha": a, "beta": b, "loss": losses.ravel(), "x0": a - half, "x1": a + half, "y0": b - half, "y1": b + half})
    return table[table["loss"] > 0]
