"""Which frequency each neuron has committed to, and how many there are, over training."""

from __future__ import annotations

from typing import NamedTuple

import altair as alt
import numpy as np
import pandas as pd
from pydantic import Field

from strobe import Frame, Renderer, charts, hookimpl

UNCOMMITTED, DEAD = "uncommitted", "dead"
SHADES, PALEST = 5, 0.4
"""How many shades a neuron that leans to a frequency has, and the opacity of the strongest of them; a committed one is opaque."""


class NeuronCommitment(Renderer):
    """Neurons over steps, stacked: those that one frequency explains at `threshold` or more, by frequency; the uncommitted; and the dead ones.

    Dead means no activation on any input of the probe; a dead neuron has no frequency, so nobody is counted twice. The strip below has a line for
    every neuron, ordered by the frequency that it last committed to and from when on: in full colour while it is committed, paler the less its
    leading frequency explains of it.
    """

    consumes = ("neuron_timeline", "key_frequencies", "phases")
    over = ("step",)
    at = ("layer",)

    threshold: float = 0.85
    width: int = charts.WIDTH
    height: int = 240
    neurons_height: int = Field(128, ge=0, description="of the strip of neurons, px; 0 leaves it out")
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.LayerChart | alt.Chart:
        data = frame.data
        rows = data[data["layer"] == data["layer"].min()].sort_values("step") if len(data) else data
        if rows.empty:
            return charts.note("No neuron frequencies were computed for this run.", width=self.width)
        if charts.of_differences():
            return charts.note("Neurons that follow frequencies have no difference: show the runs side by side.", width=self.width)
        neurons = Neurons.of(rows, self.threshold)
        keys = charts.frequency_colours(frame.others.get("key_frequencies"), neurons.leading())
        bands = self._bands(neurons, keys)
        axis = charts.step_axis(bands["step"], width=self.width, scale=self.step_scale)
        shared = {"phases": frame.others.get("phases"), "cursor": frame.cursor, "bands": False}
        strips = [charts.strip(self._areas(bands, axis, keys), axis, self.height, bottom=not self.neurons_height, **shared)]
        if self.neurons_height:
            strips.append(charts.strip([self._lines(neurons, axis, keys)], axis, self.neurons_height, top=False, **shared))
        text = f"Number of neurons over training steps, stacked by the frequency that holds at least {self.threshold:.0%} of them."
        return charts.described(charts.strips(*strips, spacing=26), text)

    def _bands(self, neurons: Neurons, keys: charts.FrequencyColours) -> pd.DataFrame:
        """Bands from the bottom up: columns step, group, count, low, high."""
        order = [*keys.domain, UNCOMMITTED, DEAD]
        groups = np.where(neurons.frequency < 0, DEAD, np.where(neurons.committed > 0, _grouped(neurons.committed, keys), UNCOMMITTED))
        counts = pd.DataFrame({g: (groups == g).sum(axis=1) for g in order}, index=neurons.steps)
        high = counts.cumsum(axis=1)
        parts = [pd.DataFrame({"step": counts.index, "group": g, "count": counts[g], "low": high[g] - counts[g], "high": high[g]}) for g in order]
        return pd.concat(parts, ignore_index=True)

    def _lines(self, neurons: Neurons, axis: charts.StepAxis, keys: charts.FrequencyColours) -> alt.Chart:
        """A line of one picture per neuron, in the order of the areas above: the first at the bottom."""
        cells, colours = pictured(neurons, keys, self.threshold)
        at = np.searchsorted(axis.pixel(neurons.steps), np.arange(self.width) + 0.5, side="right") - 1
        url = charts.category_url(cells[np.clip(at, 0, None)].T[::-1], colours)
        few = neurons.frequency.shape[1] <= self.neurons_height
        size = {"width": self.width, "height": self.neurons_height, "smooth": not few}
        image = alt.Chart(charts.dataset("each neuron", [{"url": url}])).mark_image(aspect=False, align="left", baseline="top", **size)
        y = alt.Y("top:Q", scale=alt.Scale(domain=[0, 1], nice=False), axis=alt.Axis(title=EACH, values=[]))
        return image.transform_calculate(top="1").encode(x=alt.XValue(0), y=y, url=alt.Url("url:N"))

    def _areas(self, bands: pd.DataFrame, axis: charts.StepAxis, keys: charts.FrequencyColours) -> list[alt.Chart]:
        total = int(bands["high"].max())
        fills, words = keys.scale(), keys.text_scale()
        domain = [*keys.domain, UNCOMMITTED, DEAD]
        fill = alt.Scale(domain=domain, range=[*fills.range, charts.colour("uncommitted"), charts.colour("dormant")])
        tint = alt.Scale(domain=domain, range=[*words.range, charts.colour("muted"), charts.colour("text")])
        y_axis = alt.Axis(title=f"neurons, of {total:,}", values=sorted({round(total * i / 4) for i in range(5)}))
        y = alt.Y("low:Q", scale=alt.Scale(domain=[0, total], nice=False), axis=y_axis)
        area = alt.Chart(charts.dataset("areas", bands)).mark_area()
        x = axis.x(labels=not self.neurons_height)
        drawn = area.encode(x=x, y=y, y2=alt.Y2("high:Q"), color=alt.Color("group:N", scale=fill, legend=None), detail=alt.Detail("group:N"))
        text = alt.Chart(charts.dataset("labels", self._labels(bands, total))).mark_text(style="direct-label", lineHeight=13)
        height = alt.Y("y:Q", scale=alt.Scale(domain=[0, total], nice=False), axis=y_axis)
        labels = text.encode(x=alt.XValue("width"), y=height, text=alt.Text("text:N"), color=alt.Color("group:N", scale=tint, legend=None))
        return [drawn, labels, self._first_dead(bands, axis)]

    def _first_dead(self, bands: pd.DataFrame, axis: charts.StepAxis) -> alt.Chart:
        """How many are dead at first, beside their area; nothing where it ends at the right, which has a label."""
        dead = bands[bands["group"] == DEAD].sort_values("step")
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


EACH = "each neuron: its frequency, full colour once committed"


class Neurons(NamedTuple):
    """What each neuron does at each step, [step, neuron]."""

    steps: np.ndarray
    frequency: np.ndarray
    """The one that leads; 0 constant, -1 dead."""
    fraction: np.ndarray
    committed: np.ndarray
    """The one it is committed to; 0 none."""

    @classmethod
    def of(cls, rows: pd.DataFrame, threshold: float) -> Neurons:
        """From the rows of `neuron_timeline` of one layer, steps ascending."""
        frequency, fraction = (np.stack(list(rows[name])) for name in ("frequency", "fraction"))
        held = np.where((fraction >= threshold) & (frequency > 0), frequency, 0).astype(int)
        return cls(rows["step"].to_numpy(np.int64), frequency.astype(int), fraction, held)

    def leading(self) -> list[int]:
        """Frequencies by how many neurons they lead at the last step, most first."""
        ends = pd.Series(self.frequency[-1])
        return [int(str(k)) for k in ends[ends > 0].value_counts().index]

    def order(self, keys: charts.FrequencyColours) -> np.ndarray:
        """Neurons by the frequency they last committed to (key ones first), those that did so first before the others; never committed ones last,
        by the frequency that leads them at the end."""
        ever = self.committed > 0
        last = len(self.steps) - 1 - np.argmax(ever[::-1], axis=0)
        held = np.where(ever.any(axis=0), np.take_along_axis(self.committed, last[None], axis=0)[0], 0)
        since = np.argmax(self.committed == held, axis=0)
        place = [keys.domain.index(keys.group(k)) if k else len(keys.domain) for k in held]
        return np.lexsort((np.arange(len(held)), since, np.where(held, held, self.frequency[-1]), place))


def _grouped(frequencies: np.ndarray, keys: charts.FrequencyColours) -> np.ndarray:
    """The colour group of each frequency, in the array's shape."""
    names, inverse = np.unique(frequencies, return_inverse=True)
    return np.array([keys.group(k) for k in names])[inverse].reshape(frequencies.shape)


def pictured(neurons: Neurons, keys: charts.FrequencyColours, threshold: float) -> tuple[np.ndarray, list[str]]:
    """Categories [step, neuron], neurons in their order, and the colour of each: transparent, dead, then `SHADES` + 1 per colour group."""
    order = neurons.order(keys)
    frequency, fraction, committed = (table[:, order] for table in neurons[1:])
    groups = np.array(keys.domain)
    group = np.searchsorted(groups, _grouped(frequency, keys), sorter=np.argsort(groups))
    shade = np.where(committed > 0, SHADES, np.clip(fraction / threshold * SHADES, 0, SHADES - 1).astype(int))
    cells = 2 + np.argsort(groups)[group] * (SHADES + 1) + shade
    opacities = [round(255 * (PALEST * (i + 0.5) / SHADES if i < SHADES else 1)) for i in range(SHADES + 1)]
    tints = [f"{fill}{opacity:02X}" for fill in keys.scale().range for opacity in opacities]
    cells = np.where(frequency > 0, cells, np.where(frequency < 0, 1, 0))
    return cells.astype(np.uint8), ["#00000000", charts.colour("dormant"), *tints]
