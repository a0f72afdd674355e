"""What the model cannot do without."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl


class AblationBars(Renderer):
    """Loss at the cursor's step with one part at its mean: each cluster of neurons (in the colour of its frequency), all clusters, each head.

    The dotted rule is the loss of the whole model on the same inputs: a bar that ends there is a part the model does not use. Log axis, the same at
    every step; ln(classes) is a uniform guess.
    """

    consumes = ("ablation", "key_frequencies")
    picks = [Pick(field="frequency"), Pick(field="head")]

    split: str = "test"
    low: float = 1e-8
    """Loss in nats at which the axis begins."""
    high: float = 100.0
    """Loss in nats at which the axis ends."""
    width: int = charts.WIDTH
    row_height: int = 20

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        data = frame.data
        rows = data[(data["split"] == self.split) & data["loss"].notna()] if len(data) else data
        if not len(rows):
            return charts.note(f"No ablation on the split {self.split!r} at this step.", width=self.width)
        keys = charts.frequency_colours(frame.others.get("key_frequencies"))
        bars = _bars(rows, keys).assign(low=self.low, loss=rows["loss"].astype(float).clip(self.low, self.high).to_numpy())
        ticks = [10.0**e for e in range(-20, 21) if self.low <= 10.0**e <= self.high]
        scale = alt.Scale(type="log", domain=[self.low, self.high], nice=False, clamp=True)
        x = alt.X("loss:Q", scale=scale, axis=alt.Axis(values=ticks, labelExpr=charts.LOG_LABEL, title=f"{self.split} loss without the part, nats"))
        y = alt.Y("part:N", sort=None, axis=alt.Axis(title="part set to its mean", grid=False, labelLimit=150))
        base = alt.Chart(charts.dataset("ablations", bars))
        tooltip = [alt.Tooltip("part:N"), alt.Tooltip("loss:Q", format=".3g"), alt.Tooltip("inputs:Q", title="inputs")]
        drawn = base.mark_bar(size=self.row_height - 8).encode(
            x=x, x2=alt.X2("low:Q"), y=y, color=alt.Color("group:N", scale=keys.scale(), legend=None), tooltip=tooltip
        )
        words = base.mark_text(align="left", dx=5).encode(x=x, y=y, text=alt.Text("text:N"))
        full = charts.dataset("full loss", [{"loss": float(max(rows["full_loss"].iloc[0], self.low))}])
        rule = alt.Chart(full).mark_rule(strokeDash=[1.5, 3], color=charts.colour("ink")).encode(x=x)
        chart = charts.layers(drawn, words, rule, width=self.width, height=alt.Step(self.row_height))
        return charts.described(chart, "Loss with each cluster of neurons and each head set to its mean, one bar per part.")


def _bars(rows: pd.DataFrame, keys: charts.FrequencyColours) -> pd.DataFrame:
    """One row per part: its name, colour group, and loss in words."""
    frequency = rows["frequency"].astype("Int64")
    table = pd.DataFrame({"frequency": frequency, "head": rows["head"].astype("Int64"), "inputs": rows["inputs"].astype(int)}).reset_index(drop=True)
    table["part"] = [_name(row) for row in rows.to_dict("records")]
    table["group"] = [charts.OTHER if pd.isna(k) else keys.group(int(k)) for k in table["frequency"]]
    table["text"] = [charts.number(float(v)) for v in rows["loss"]]
    return table


def _name(row: dict[str, object]) -> str:
    if row["part"] == "head":
        return f"head {int(row['head'])}"  # type: ignore[call-overload]
    many = int(row["neurons"])  # type: ignore[call-overload]
    return f"all {many} committed" if row["part"] == "committed" else f"k {int(row['frequency'])}, {many} neurons"  # type: ignore[call-overload]
