"""Which frequency each head's attention follows, at one step."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl


class HeadSpectrum(Renderer):
    """Share of each head's attention map per frequency at the cursor's step, a strip per head; key frequencies in colour."""

    consumes = ("head_frequency", "key_frequencies")
    picks = [Pick(field="frequency"), Pick(field="head")]

    width: int = charts.WIDTH
    height: int = 56

    @hookimpl
    def render(self, frame: Frame) -> alt.FacetChart | alt.Chart:
        known = frame.data.dropna(subset=["fractions"]) if len(frame.data) else frame.data
        if not len(known):
            return charts.note("No head's attention varies with the input at this step.", width=self.width)
        keys = charts.frequency_colours(frame.others.get("key_frequencies"))
        bars = _bars(known, keys, several=frame.data["layer"].nunique() > 1)
        top = int(bars["frequency"].max())
        every = next(n for n in (1, 2, 5, 10, 20, 50, 100, 500) if top / n <= 12)
        axis = alt.Axis(values=[1, *range(every if every > 1 else 2, top + 1, every)], title="frequency k, periods per p residues")
        base = alt.Chart(charts.dataset("bars", bars)).encode(x=alt.X("frequency:Q", scale=alt.Scale(domain=[0.3, top + 0.7], nice=False), axis=axis))
        y = alt.Y("share:Q", scale=alt.Scale(domain=[0, 1], nice=False), axis=alt.Axis(title="share of the map", format=".0%", values=[0, 0.5, 1]))
        bar = base.mark_bar(size=max(2, int(self.width / (top + 1) * 0.7)), cornerRadiusEnd=0).encode(
            y=y,
            color=alt.Color("group:N", scale=keys.scale(), legend=None),
            tooltip=[alt.Tooltip("strip:N"), alt.Tooltip("frequency:Q"), alt.Tooltip("share:Q", format=".1%")],
        )
        tint = alt.Color("group:N", scale=keys.text_scale(), legend=None)
        text = (
            base.transform_filter("datum.lead")
            .mark_text(baseline="bottom", dy=-2, fontWeight=600)
            .encode(y=y, text=alt.Text("frequency:Q"), color=tint)
        )
        name = base.transform_filter("datum.frequency == 1").mark_text(style="direct-label", color=charts.colour("ink"))
        name = name.encode(x=alt.XValue(self.width), y=alt.YValue(self.height / 2), text=alt.Text("strip:N"))
        strip = charts.layers(bar, text, name, data=bar.data, width=self.width, height=self.height, independent=["color"])
        row = alt.Row("strip:N", title=None, sort=list(dict.fromkeys(bars["strip"])), header=alt.Header(labels=False))
        return charts.described(strip.facet(row=row, spacing=26), "Share of each head's attention map per frequency, one strip per head.")


def _bars(rows: pd.DataFrame, keys: charts.FrequencyColours, *, several: bool) -> pd.DataFrame:
    """A row per head and frequency; `lead` marks the frequency that holds most of the head, if it holds a tenth."""
    parts = []
    for row in rows.sort_values(["layer", "head"]).to_dict("records"):
        share = np.asarray(row["fractions"], dtype=float)
        k = np.arange(1, len(share) + 1)
        name = f"{row['layer']}.{row['head']}" if several else f"{row['head']}"
        lead = (k == share.argmax() + 1) & (share.max() >= 0.1)
        parts.append(
            pd.DataFrame({"strip": f"head {name}", "head": row["head"], "frequency": k, "share": share, "group": keys.groups(k), "lead": lead})
        )
    return pd.concat(parts, ignore_index=True)
