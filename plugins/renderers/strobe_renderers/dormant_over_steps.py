"""How many neurons have stopped working, over training."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd
from pydantic import Field

from strobe import Frame, Renderer, charts, hookimpl

HALF = 0.5
"""Share of its norm that a cohort has to lose between two checkpoints to be written about."""
DEEP = 1000
"""How far below the largest norm the axis ends."""


class DormantOverSteps(Renderer):
    """Neurons over steps that hardly fire (dormant: score at or below tau) and that are zero on every input (dead), phases marked.

    The two differ: a pruned cohort is dormant with no dead neuron, and of an untrained layer both counts are high. The strip below, where
    `cohort_norms` was computed, is the weight of the neurons of each frequency, the norm that they read with times the one that they write with:
    where a line falls away, the words say how many neurons lose how much between two checkpoints.
    """

    consumes = ("dormant_neurons", "phases", "cohort_norms", "key_frequencies")
    over = ("step",)

    layer: int = 0
    split: str = "all"
    width: int = charts.WIDTH
    height: int = 140
    norms_height: int = Field(110, ge=0, description="of the strip of the norms of each frequency's neurons, px; 0 leaves it out")
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.LayerChart | alt.Chart:
        data = frame.data
        rows = data[(data["layer"] == self.layer) & (data["split"] == self.split)].dropna(subset=["dormant"]) if len(data) else data
        if not len(rows):
            return charts.note(f"No dormant neurons of layer {self.layer} on split {self.split} were counted for this run.", width=self.width)
        table = rows.melt(id_vars="step", value_vars=["dormant", "dead"], var_name="series").astype({"step": int, "value": float})
        lines = {"dormant": charts.Line("dormant", charts.colour("dormant")), "dead": charts.Line("dead", charts.colour("muted"), dash=(3, 3))}
        steps = charts.step_axis(rows["step"], width=self.width, scale=self.step_scale)
        values = charts.value_axis(table["value"], f"neurons, of {int(rows['neurons'].max()):,}", height=self.height, log=False, zero=True)
        shared = {"phases": frame.others.get("phases"), "cursor": frame.cursor}
        norms = self._norms(frame)
        strips = [charts.step_lines(pd.DataFrame(table), lines, steps, values, bottom=not len(norms), **shared)]
        if len(norms):
            strips.append(self._cohorts(norms, frame, steps, shared))
        text = f"Number of dormant and of dead neurons over training steps, on split {self.split}"
        text += "; below, the norm of the neurons of each frequency." if len(norms) else "."
        return charts.described(charts.strips(*strips, spacing=26), text)

    def _norms(self, frame: Frame) -> pd.DataFrame:
        """The rows of `cohort_norms` of the layer that can be drawn."""
        table = frame.others.get("cohort_norms")
        if table is None or not len(table) or not self.norms_height:
            return pd.DataFrame()
        return table[(table["layer"] == self.layer) & (table["norm"].astype(float) > 0)]

    def _cohorts(self, norms: pd.DataFrame, frame: Frame, steps: charts.StepAxis, shared: dict[str, Any]) -> alt.LayerChart:
        """A line per frequency, on a logarithmic axis, and what was lost in words."""
        keys = charts.frequency_colours(frame.others.get("key_frequencies"), norms["frequency"].unique())
        tints = dict(zip(keys.domain, zip(keys.scale().range, keys.text_scale().range, strict=True), strict=True))
        lines = {str(k): charts.Line(f"k {k}", *tints[keys.group(k)]) for k in sorted(norms["frequency"].unique())}
        norm = norms["norm"].astype(float)
        rows = pd.DataFrame(
            {"step": norms["step"].astype(int), "series": norms["frequency"].astype(str), "value": norm.clip(lower=norm.max() / DEEP)}
        )
        values = charts.value_axis(rows["value"], "norm in times out, sum over its neurons", height=self.norms_height, log=True)
        drawn = charts.step_lines(rows, lines, steps, values, top=False, name="norms", **shared)
        return charts.layers(drawn, self._lost(norms, steps, values), width=steps.width, height=self.norms_height, independent=["color"])

    def _lost(self, norms: pd.DataFrame, steps: charts.StepAxis, values: charts.ValueAxis) -> alt.Chart:
        """Of each frequency whose neurons lose half or more between two checkpoints: how many lose how much, where it begins."""
        rows = []
        for k, part in norms.sort_values("step").groupby("frequency"):
            falls = part[(part["change"].astype(float) <= -HALF) & (part["step"] > part["members_step"])]
            if len(falls):
                first = falls.iloc[0]
                text = f"{int(first['members'])} neurons of k {k} lose {-first['change']:.0%}"
                height = values.value(self.norms_height - 8 - 13 * len(rows))
                rows.append({"x": float(steps.pixel(first["step"])) - 10, "text": text, "value": height})
        mark = alt.Chart(charts.dataset("lost", rows)).mark_text(style="annotation", align="right", baseline="bottom")
        return mark.encode(x=alt.X("x:Q", scale=None, axis=None), y=values.y(), text=alt.Text("text:N"))
