"""How any number is distributed, at one step."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Number, Renderer, charts, hookimpl


class Distribution(Renderer):
    """Draws any table that has a number: a histogram of its values at the cursor's step, with their cumulative share as a line.

    The cumulative share (right end: 100 %) does not depend on the bins. Missing values are counted below the plot.
    """

    slots = {"x": Number()}

    bins: int = 30
    width: int = charts.WIDTH
    height: int = 180

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        x = frame.column("x")
        if x is None:
            return charts.note("This table has no number.", width=self.width)
        values = frame.data[x.name].astype("Float64").dropna().to_numpy(dtype=float) if len(frame.data) else np.zeros(0)
        title = f"{x.name}, {x.unit}" if x.unit and x.unit != "1" else x.name
        bars, curve = self._histogram(values), self._cumulative(values)
        axis = alt.X("low:Q", scale=alt.Scale(zero=False, nice=False), axis=alt.Axis(title=title, tickCount=6))
        y = alt.Y("share:Q", scale=alt.Scale(domainMin=0, nice=True), axis=alt.Axis(title="share of rows", format=".0%", tickCount=4))
        histogram = alt.Chart(charts.dataset("bars", bars)).mark_rect(color=charts.colour("other")).encode(
            x=axis, x2="high:Q", y=y, y2="zero:Q", tooltip=["low:Q", "high:Q", "count:Q"]
        )  # fmt: skip
        line = alt.Chart(charts.dataset("cumulative", curve)).mark_line(interpolate="step-after", style="null")
        cumulative = line.encode(x=alt.X("low:Q", axis=None), y=alt.Y("below:Q", scale=alt.Scale(domain=[0, 1]), axis=None))
        words = f"{len(values):,} values" + (f", {missing:,} missing" if (missing := len(frame.data) - len(values)) else "")
        label = alt.Chart(charts.dataset("count", [{"text": words}])).mark_text(style="annotation", align="right", baseline="bottom")
        layers = [histogram, cumulative, label.encode(x=alt.value(self.width), y=alt.value(-9), text="text:N")]
        chart = alt.layer(*layers).resolve_scale(y="independent").properties(width=self.width, height=self.height)
        return charts.described(chart, f"Histogram and cumulative share of {x.description or x.name}.")

    def _histogram(self, values: np.ndarray) -> pd.DataFrame:
        if not values.size:
            return pd.DataFrame(columns=["low", "high", "count", "share", "zero"])
        counts, edges = np.histogram(values, bins=self.bins)
        return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "count": counts, "share": counts / values.size, "zero": 0.0})

    def _cumulative(self, values: np.ndarray) -> pd.DataFrame:
        """Share of values at or below each, at no more than 200 places."""
        places = np.unique(np.quantile(values, np.linspace(0, 1, 200))) if values.size else values
        below = np.searchsorted(np.sort(values), places, side="right") / max(values.size, 1)
        return pd.DataFrame({"low": places, "below": below})
