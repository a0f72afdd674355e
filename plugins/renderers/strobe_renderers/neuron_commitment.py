"""How many neurons have committed to a frequency, over training."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class NeuronCommitment(Renderer):
    """Neurons over steps, stacked: those that one frequency explains at `threshold` or more, by frequency; the uncommitted; and the dead ones.

    Dead means no activation on any input of the probe; a dead neuron has no frequency, so nobody is counted twice.
    """

    consumes = ("neuron_frequency", "key_frequencies", "phases")
    over = ("step",)
    at = ("layer",)

    threshold: float = 0.85
    width: int = charts.WIDTH
    height: int = 240
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        data = frame.data
        rows = data[data["layer"] == data["layer"].min()] if len(data) else data
        if rows.empty:
            return charts.note("No neuron frequencies were computed for this run.", width=self.width)
        ends = rows[rows["step"] == rows["step"].max()]["frequency"].dropna().astype(int).value_counts()
        keys = charts.frequency_colours(frame.others.get("key_frequencies"), ends.index)
        bands = self._bands(rows, keys)
        axis = charts.step_axis(bands["step"], width=self.width, scale=self.step_scale)
        chart = charts.strip(self._areas(bands, axis, keys), axis, self.height, phases=frame.others.get("phases"), cursor=frame.cursor, bands=False)
        return charts.described(
            chart, f"Number of neurons over training steps, stacked by the frequency that holds at least {self.threshold:.0%} of them."
        )

    def _bands(self, rows: pd.DataFrame, keys: charts.FrequencyColours) -> pd.DataFrame:
        """Bands from the bottom up: columns step, group, count, low, high."""
        committed = rows["fraction"].fillna(0) >= self.threshold
        group = rows["frequency"].map(keys.group, na_action="ignore").where(committed, "uncommitted").mask(rows["dead"].astype(bool), "dead")
        order = [*keys.domain, "uncommitted", "dead"]
        counts = pd.crosstab(rows["step"], group).reindex(columns=order).fillna(0).astype(int)
        high = counts.cumsum(axis=1)
        parts = [pd.DataFrame({"step": counts.index, "group": g, "count": counts[g], "low": high[g] - counts[g], "high": high[g]}) for g in order]
        return pd.concat(parts, ignore_index=True)

    def _areas(self, bands: pd.DataFrame, axis: charts.StepAxis, keys: charts.FrequencyColours) -> list[alt.Chart]:
        total = int(bands["high"].max())
        fills, words = keys.scale(), keys.text_scale()
        domain = [*keys.domain, "uncommitted", "dead"]
        fill = alt.Scale(domain=domain, range=[*fills.range, charts.colour("uncommitted"), charts.colour("dormant")])
        tint = alt.Scale(domain=domain, range=[*words.range, charts.colour("muted"), charts.colour("text")])
        y_axis = alt.Axis(title=f"neurons, of {total:,}", values=sorted({round(total * i / 4) for i in range(5)}))
        y = alt.Y("low:Q", scale=alt.Scale(domain=[0, total], nice=False), axis=y_axis)
        area = alt.Chart(charts.dataset("areas", bands)).mark_area()
        drawn = area.encode(x=axis.x(), y=y, y2=alt.Y2("high:Q"), color=alt.Color("group:N", scale=fill, legend=None), detail=alt.Detail("group:N"))
        text = alt.Chart(charts.dataset("labels", self._labels(bands, total))).mark_text(style="direct-label", lineHeight=13)
        height = alt.Y("y:Q", scale=alt.Scale(domain=[0, total], nice=False), axis=y_axis)
        labels = text.encode(x=alt.XValue("width"), y=height, text=alt.Text("text:N"), color=alt.Color("group:N", scale=tint, legend=None))
        return [drawn, labels, self._first_dead(bands, axis)]

    def _first_dead(self, bands: pd.DataFrame, axis: charts.StepAxis) -> alt.Chart:
        """How many are dead at first, beside their area; nothing where it ends at the right, which has a label."""
        dead = bands[bands["group"] == "dead"].sort_values("step")
        first, last = dead["count"].iloc[0], dead["count"].iloc[-1]
        row = {"x": float(axis.pixel(dead["step"].iloc[0])), "text": f"{first} dead at step {dead['step'].iloc[0]:,}"}
        mark = alt.Chart(charts.dataset("first dead", [row] if first and not last else [])).mark_text(style="annotation", align="left", dx=34)
        return mark.encode(x=alt.X("x:Q", scale=None, axis=None), y=alt.YValue(12), text=alt.Text("text:N"))

    def _labels(self, bands: pd.DataFrame, total: int) -> pd.DataFrame:
        """A label per band at the right end, with the count of the last step; bands that end empty have none."""
        last = bands[(bands["step"] == bands["step"].max()) & (bands["count"] > 0)]
        middle = [(1 - (low + high) / 2 / total) * self.height for low, high in zip(last["low"], last["high"], strict=True)]
        placed = charts.spread(middle, 14, 5, self.height - 5)
        text = [f"k {g}: {n}" if g.isdigit() else [g, str(n)] for g, n in zip(last["group"], last["count"], strict=True)]  # too wide for one line
        return pd.DataFrame({"group": last["group"], "text": text, "y": [(1 - h / self.height) * total for h in placed]})
