"""Which neuron works on which frequency, at one step."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl

X_TITLE = "neurons, sorted by leading frequency"


class NeuronClusters(Renderer):
    """Share of each neuron's activation map per frequency at the cursor's step: rows are frequencies, columns are neurons.

    Neurons are sorted by the frequency that leads them and then by how much of the neuron it holds; constant neurons come last, in dark.
    """

    consumes = ("neuron_frequency", "key_frequencies")
    at = ("layer",)
    picks = [Pick(field="neuron")]

    threshold: float = 0.85
    width: int = charts.WIDTH
    height: int = 224

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        data = frame.data
        rows = data[data["layer"] == data["layer"].min()] if len(data) else data
        if not len(rows) or rows["fractions"].isna().all():
            return charts.note("No neuron varies with the input at this step.", width=self.width)
        order = rows.assign(last=rows["frequency"].isna()).sort_values(
            ["last", "frequency", "fraction", "neuron"], ascending=[True, True, False, True]
        )
        cells = _matrix(order["fractions"])
        k_max, n = cells.shape
        wide, tall = n * charts.whole_pixels(n, self.width), k_max * charts.whole_pixels(k_max, self.height)
        picture = charts.image_rows([cells[::-1]], (0.0, 1.0), (n, k_max))
        titles = {"x": X_TITLE, "y": "frequency k", "legend": "share of the neuron's map"}
        size = {"width": wide, "height": tall, "extent": (n, k_max)}
        chart = charts.heatmap(picture, **size, **titles, origin="bottom", x_ticks=[], y_ticks=[], name="fractions")
        keys = charts.frequency_colours(frame.others.get("key_frequencies"))
        layers = [
            self._ticks(k_max, tall),
            self._columns(order, n, wide, tall),
            *([] if charts.of_differences() else [self._labels(rows, keys, k_max, wide, tall)]),
            charts.room(wide),
        ]
        layered = charts.layers(chart, *layers, width=wide, height=tall, independent=["color", "y"])
        return charts.described(layered, "Share of each neuron's activation map held by each frequency; neurons sorted by their leading frequency.")

    def _ticks(self, k_max: int, tall: int) -> alt.Chart:
        """Frequency numbers left of the map, in the middle of their rows."""
        every = next(n for n in (1, 2, 5, 10, 20, 50, 100) if k_max / n <= 8)
        rows = [{"k": k, "y": tall - (k - 0.5) / k_max * tall} for k in sorted({1, *range(every, k_max + 1, every)}) if k == 1 or k > every / 2]
        text = alt.Chart(charts.dataset("frequencies", rows)).mark_text(align="right", dx=-6, color=charts.colour("muted"))
        return text.encode(x=alt.XValue(0), y=_pixels(tall), text=alt.Text("k:Q"))

    def _columns(self, order: pd.DataFrame, n: int, wide: int, tall: int) -> alt.Chart:
        """One invisible column per neuron, to be pointed at and clicked."""
        names = ["neuron", "frequency", "fraction"]
        table = order[names].assign(left=np.arange(n), right=np.arange(n) + 1)
        bars = alt.Chart(charts.dataset("neurons", table)).mark_rect(opacity=0)
        x = alt.X("left:Q", scale=alt.Scale(domain=[0, n], nice=False), axis=alt.Axis(title=X_TITLE, values=[]))
        return bars.encode(
            x=x,
            x2=alt.X2("right:Q"),
            y=alt.YValue(0),
            y2=alt.Y2Value(tall),
            tooltip=[alt.Tooltip("neuron:Q"), alt.Tooltip("frequency:Q"), alt.Tooltip("fraction:Q", format=".0%")],
        )

    def _labels(self, rows: pd.DataFrame, keys: charts.FrequencyColours, k_max: int, wide: int, tall: int) -> alt.Chart:
        """Right of the map, per key frequency: how many neurons it leads, and how many of them are committed."""
        counts = [(k, rows[rows["frequency"] == k]["fraction"]) for k in keys.frequencies if k <= k_max]
        heights = charts.spread([tall - (k - 0.5) / k_max * tall for k, _ in counts], 26, 8, tall - 12)
        table = [
            {"text": [f"k {k}: {len(f)}", f"{int((f >= self.threshold).sum())} committed"], "group": keys.group(k), "y": y}
            for (k, f), y in zip(counts, heights, strict=True)
        ]
        text = alt.Chart(charts.dataset("counts", table)).mark_text(align="left", baseline="middle", dx=8, dy=-6, lineHeight=12)
        return text.encode(
            x=alt.XValue(wide), y=_pixels(tall), text=alt.Text("text:N"), color=alt.Color("group:N", scale=keys.text_scale(), legend=None)
        )


def _pixels(tall: int) -> alt.Y:
    return alt.Y("y:Q", scale=alt.Scale(domain=[0, tall], range=[0, tall], nice=False), axis=None)


def _matrix(fractions: pd.Series) -> np.ndarray:
    """Shares [frequency, neuron]; neurons without a frequency are zero."""
    length = max(len(f) for f in fractions if f is not None)
    return np.stack([np.zeros(length) if f is None else np.asarray(f, dtype=float) for f in fractions], axis=1)
