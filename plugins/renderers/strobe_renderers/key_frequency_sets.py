"""Which frequencies count as key, checkpoint by checkpoint."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl


class KeyFrequencySets(Renderer):
    """A dot per key frequency and checkpoint. Right of the plot: the run's union of key frequencies, with those absent at the end in brackets.

    Before circuits form nearly every frequency passes the rule: checkpoints with more than `crowd` keys are drawn pale.
    """

    consumes = ("key_frequencies", "phases")
    over = ("step",)
    picks = [Pick(field="frequency"), Pick(field="step")]

    crowd: int = 15
    width: int = charts.WIDTH
    height: int = 200
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        rows = frame.data.dropna(subset=["frequencies"]) if len(frame.data) else frame.data
        own = rows[(rows["set"] == "own") & rows["step"].notna()] if len(rows) else rows
        if not len(own):
            return charts.note("No key frequencies were computed for this run.", width=self.width)
        keys = charts.frequency_colours(rows)
        dots = self._dots(own, keys)
        axis = charts.step_axis(dots["step"] if len(dots) else own["step"], width=self.width, scale=self.step_scale)
        top = max([int(dots["frequency"].max()) if len(dots) else 1, *keys.frequencies])
        y = alt.Y("frequency:Q", scale=alt.Scale(domain=[0, top + 1], nice=False), axis=alt.Axis(title="key frequency k", tickCount=5, tickMinStep=1))
        mark = alt.Chart(charts.dataset("dots", dots)).mark_circle(size=22)
        drawn = mark.encode(
            x=axis.x(),
            y=y,
            color=alt.Color("group:N", scale=keys.scale(), legend=None),
            opacity=alt.Opacity("crowded:N", scale=alt.Scale(domain=[False, True], range=[1, 0.3]), legend=None),
            tooltip=[alt.Tooltip("step:Q"), alt.Tooltip("frequency:Q"), alt.Tooltip("n_keys:Q")],
        )
        layers = [drawn, self._labels(rows, keys, top, y)]
        chart = charts.strip(layers, axis, self.height, phases=frame.others.get("phases"), cursor=frame.cursor)
        return charts.described(chart, "Key frequencies of every checkpoint over training steps, and the union over the run.")

    def _dots(self, own: pd.DataFrame, keys: charts.FrequencyColours) -> pd.DataFrame:
        cells = [
            (int(step), int(k), keys.group(k), len(ks), len(ks) > self.crowd)
            for step, ks in zip(own["step"], own["frequencies"], strict=True)
            for k in ks
        ]
        return pd.DataFrame(cells, columns=["step", "frequency", "group", "n_keys", "crowded"])

    def _labels(self, rows: pd.DataFrame, keys: charts.FrequencyColours, top: int, y: alt.Y) -> alt.Chart:
        last = {int(k) for ks in rows[rows["set"] == "last"]["frequencies"] for k in ks}
        heights = charts.spread([(1 - k / (top + 1)) * self.height for k in keys.frequencies], 13, 4, self.height - 4)
        table = [
            {"text": f"k {k}" if k in last else f"(k {k})", "group": keys.group(k), "frequency": (1 - h / self.height) * (top + 1)}
            for k, h in zip(keys.frequencies, heights, strict=True)
        ]
        text = alt.Chart(charts.dataset("labels", table)).mark_text(style="direct-label")
        return text.encode(x=alt.XValue("width"), y=y, text=alt.Text("text:N"), color=alt.Color("group:N", scale=keys.text_scale(), legend=None))
