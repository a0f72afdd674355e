"""How any number is distributed, at one step."""

from __future__ import annotations

from typing import Literal

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Number, Renderer, charts, hookimpl


class Distribution(Renderer):
    """Draws any table that has a number: a histogram of its values at the cursor's step, or (`kind="cumulative"`) the share at or below each value.

    The cumulative share does not depend on bins. How many values are missing stands above the plot.
    """

    slots = {"x": Number()}

    kind: Literal["histogram", "cumulative"] = "histogram"
    bins: int = 30
    width: int = charts.WIDTH
    height: int = 180

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        x = frame.column("x")
        if x is None:
            return charts.note("This table has no number.", width=self.width)
        values = frame.data[x.name].astype("Float64").dropna().to_numpy(dtype=float) if len(frame.data) else np.zeros(0)
        axis = alt.Axis(title=f"{x.name}, {x.unit}" if x.unit and x.unit != "1" else x.name, tickCount=6)
        drawn = self._histogram(values, axis) if self.kind == "histogram" else self._cumulative(values, axis)
        said = f"{len(values):,} values" + (f", {missing:,} missing" if (missing := len(frame.data) - len(values)) else "")
        label = alt.Chart(charts.dataset("count", [{"text": said}])).mark_text(style="annotation", align="right", baseline="bottom")
        words = label.encode(x=alt.XValue(self.width), y=alt.YValue(-9), text=alt.Text("text:N"))
        chart = charts.layers(drawn, words, width=self.width, height=self.height)
        text = f"{'Histogram' if self.kind == 'histogram' else 'Cumulative distribution'} of {x.description or x.name}."
        return charts.described(chart, text)

    def _histogram(self, values: np.ndarray, axis: alt.Axis) -> alt.Chart:
        counts, edges = np.histogram(values, bins=self.bins, range=self._ends(values)) if values.size else (np.zeros(0), np.zeros(1))
        shares = counts / max(values.size, 1)
        bars = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "count": counts, "share": shares, "zero": np.zeros(len(counts))})
        return (
            alt.Chart(charts.dataset("bars", bars))
            .mark_rect(color=charts.theme(charts.active())["config"]["bar"]["color"])
            .encode(
                x=alt.X("low:Q", scale=alt.Scale(zero=False, nice=False), axis=axis),
                x2=alt.X2("high:Q"),
                y=alt.Y("share:Q", scale=alt.Scale(domainMin=0, nice=True), axis=alt.Axis(title="share of rows", format=".0%", tickCount=4)),
                y2=alt.Y2("zero:Q"),
                tooltip=[alt.Tooltip("low:Q"), alt.Tooltip("high:Q"), alt.Tooltip("count:Q")],
            )
        )

    def _ends(self, values: np.ndarray) -> tuple[float, float]:
        """Where the bars begin and end; values closer together than their rounding stand in the middle as one."""
        low, high = float(values.min()), float(values.max())
        finest = 4 * self.bins * float(np.spacing(max(abs(low), abs(high))))
        around = max(0.5, finest) if high - low < finest else 0.0
        return low - around, high + around

    def _cumulative(self, values: np.ndarray, axis: alt.Axis) -> alt.Chart:
        """Share of values at or below each, at no more than 400 places."""
        places = np.unique(np.quantile(values, np.linspace(0, 1, 400), method="lower")) if values.size else values
        below = np.searchsorted(np.sort(values), places, side="right") / max(values.size, 1)
        curve = pd.DataFrame({"value": places, "below": below})
        y = alt.Y("below:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(title="share of rows at or below", format=".0%", tickCount=4))
        x = alt.X("value:Q", scale=alt.Scale(zero=False, nice=False), axis=axis)
        return alt.Chart(charts.dataset("cumulative", curve)).mark_line(interpolate="step-after").encode(x=x, y=y)
