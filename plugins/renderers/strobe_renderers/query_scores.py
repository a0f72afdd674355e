"""What '=' looks for: the attention score of every residue, head by head, at one step."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl


class QueryScores(Renderer):
    """Attention score of each residue as seen from '=', less its mean, a strip per head at the cursor's step; key frequencies in colour.

    A wave with k periods means that the head attends by frequency k; an amplitude below 1 nat moves attention little.
    """

    consumes = ("query_frequency", "key_frequencies")
    picks = [Pick(field="head"), Pick(field="frequency")]

    key: int = 0
    width: int = charts.WIDTH
    height: int = 64

    @hookimpl
    def render(self, frame: Frame) -> alt.FacetChart | alt.Chart:
        known = frame.data.dropna(subset=["scores"]) if len(frame.data) else frame.data
        known = known[known["key"] == self.key] if len(known) else known
        if not len(known):
            return charts.note("No head's scores vary with the token at this step.", width=self.width)
        keys = charts.frequency_colours(frame.others.get("key_frequencies"))
        data = charts.dataset("scores", _points(known, keys))
        p = len(known["scores"].iloc[0])
        x = alt.X("token:Q", scale=alt.Scale(domain=[0, p - 1], nice=False), axis=alt.Axis(title="residue", tickCount=8, labelFlush=True))
        y = alt.Y("score:Q", axis=alt.Axis(title="score, nats", tickCount=3))
        line = alt.Chart(data).mark_line(strokeWidth=1.25).encode(x=x, y=y, color=alt.Color("group:N", scale=keys.scale(), legend=None))
        name = alt.Chart(data).transform_filter("datum.token == 0").mark_text(style="direct-label")
        tint = alt.Color("group:N", scale=keys.text_scale(), legend=None)
        name = name.encode(x=alt.XValue(self.width), y=alt.YValue(self.height / 2), text="label:N", color=tint)
        strip = charts.layers(line, name, data=data, width=self.width, height=self.height, independent=["color"])
        row = alt.Row("strip:N", title=None, header=alt.Header(labels=False))
        return charts.described(strip.facet(row=row, spacing=34), "Attention score of each residue as seen from '=', one strip per head.")


def _points(rows: pd.DataFrame, keys: charts.FrequencyColours) -> pd.DataFrame:
    parts = []
    for row in rows.sort_values(["layer", "head"]).to_dict("records"):
        scores = np.asarray(row["scores"], dtype=float)
        k, head = int(row["frequency"]), int(row["head"])
        label = f"head {head}: k {k}, {row['share']:.0%}"
        points = pd.DataFrame({"token": np.arange(len(scores)), "score": scores})
        parts.append(points.assign(strip=f"head {head}", head=head, frequency=k, group=keys.group(k), label=label))
    return pd.concat(parts, ignore_index=True)
