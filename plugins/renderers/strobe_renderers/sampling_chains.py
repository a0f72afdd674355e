"""The chains behind a local learning coefficient, at one step."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class SamplingChains(Renderer):
    """n beta (loss - baseline) at every draw of every chain at the cursor's step, each chain a pale line and its running mean strong: a mean that has
    not levelled off is no result. Above stand the label, the coefficient, and the Hessian's pull over the prior's."""

    consumes = "local_learning_coefficient"

    width: int = charts.WIDTH
    height: int = 180

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        chains = frame.data[frame.data["chain"].notna()] if len(frame.data) else frame.data
        rows = _draws(chains)
        if not len(rows):
            return charts.note("No chains were sampled at this step.", width=self.width)
        x = alt.X("draw:Q", scale=alt.Scale(nice=False), axis=alt.Axis(title="draw", tickCount=6))
        base = alt.Chart(charts.dataset("draws", rows))
        y = alt.Axis(title="n beta (loss - baseline)", tickCount=5)
        pale = base.mark_line(strokeWidth=0.75, opacity=0.35).encode(x=x, y=alt.Y("value:Q", axis=y), detail="chain:N")
        strong = base.mark_line(strokeWidth=1.75).encode(x=x, y=alt.Y("mean:Q", axis=y), detail="chain:N")
        text = alt.Chart(charts.dataset("summary", [{"text": _words(frame.data)}])).mark_text(style="annotation", align="right", baseline="bottom")
        label = text.encode(x=alt.XValue(self.width), y=alt.YValue(-9), text=alt.Text("text:N"))
        chart = charts.layers(pale, strong, label, width=self.width, height=self.height)
        return charts.described(chart, "Losses along the chains of a local learning coefficient, and their running means.")


def _draws(chains: pd.DataFrame) -> pd.DataFrame:
    """Rows chain, draw, value, mean."""
    parts = []
    for row in chains.to_dict("records"):
        if row["losses"] is None or pd.isna(row["baseline"]):
            continue
        values = row["nbeta"] * (np.asarray(row["losses"], float) - row["baseline"])
        draw = np.arange(1, len(values) + 1)
        parts.append(pd.DataFrame({"chain": str(row["chain"]), "draw": draw, "value": values, "mean": np.cumsum(values) / draw}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _words(data: pd.DataFrame) -> str:
    mean = data[data["chain"].isna()].iloc[0]
    value = f"LLC {charts.number(mean['llc'])} ± {charts.number(mean['llc_se'])}"
    return f"{mean['label']}; {value}; n beta lambda max / gamma {charts.number(mean['curvature_to_prior'])}"
