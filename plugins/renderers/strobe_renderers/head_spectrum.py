"""Which frequency each head's attention follows, at one step."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl

ROOM = 1.3
"""Up to where a strip goes, so that the number above a bar of the whole share stays within it: every strip is as tall at every step."""


class HeadSpectrum(Renderer):
    """Share of each head's attention map per frequency at the cursor's step, a strip per head; key frequencies in colour."""

    consumes = ("head_frequency", "key_frequencies")
    picks = [Pick(field="frequency"), Pick(field="head")]

    width: int = charts.WIDTH
    height: int = 56

    @hookimpl
    def render(self, frame: Frame) -> alt.FacetChart | alt.Chart:
        top = _highest(frame)
        if not top:
            return charts.note("No head's attention varies with the input at this step.", width=self.width)
        keys = charts.frequency_colours(frame.others.get("key_frequencies"))
        bars = _bars(frame.data, keys, top, several=frame.data["layer"].nunique() > 1)
        every = next(n for n in (1, 2, 5, 10, 20, 50, 100, 500) if top / n <= 12)
        axis = alt.Axis(values=[1, *range(every if every > 1 else 2, top + 1, every)], title="frequency k, periods per p residues")
        base = alt.Chart(charts.dataset("bars", bars)).encode(x=alt.X("frequency:Q", scale=alt.Scale(domain=[0.3, top + 0.7], nice=False), axis=axis))
        y = alt.Y("share:Q", scale=alt.Scale(domain=[0, ROOM], nice=False), axis=alt.Axis(title="share of the map", format=".0%", values=[0, 0.5, 1]))
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
        once = base.transform_filter("datum.frequency == 1")
        name = once.mark_text(style="direct-label", color=charts.colour("ink"))
        name = name.encode(x=alt.XValue(self.width), y=alt.YValue(self.height / 2), text=alt.Text("strip:N"))
        still = once.mark_text(style="annotation", align="left", baseline="middle")
        still = still.encode(x=alt.XValue(8), y=alt.YValue(self.height / 2), text=alt.Text("still:N"))
        strip = charts.layers(bar, text, name, still, data=bar.data, width=self.width, height=self.height, independent=["color"])
        row = alt.Row("strip:N", title=None, sort=list(dict.fromkeys(bars["strip"])), header=alt.Header(labels=False))
        return charts.described(strip.facet(row=row, spacing=32), "Share of each head's attention map per frequency, one strip per head.")


def _highest(frame: Frame) -> int:
    """The highest frequency: of the maps that vary, else of the family's residues; 0 where neither says."""
    if not len(frame.data):
        return 0
    known = [len(fractions) for fractions in frame.data["fractions"].dropna()]
    return max(known, default=int(getattr(frame.family, "p", 0)) // 2)


def _bars(rows: pd.DataFrame, keys: charts.FrequencyColours, top: int, *, several: bool) -> pd.DataFrame:
    """A row per head and frequency; `lead` marks the frequency that holds most of the head, if it holds a tenth.

    A head whose attention does not vary has an empty strip that says so: there are as many strips at every step.
    """
    parts = []
    for row in rows.sort_values(["layer", "head"]).to_dict("records"):
        varies = row["fractions"] is not None and np.ndim(row["fractions"]) == 1
        share = np.asarray(row["fractions"], dtype=float) if varies else np.zeros(top)
        k = np.arange(1, len(share) + 1)
        name = f"{row['layer']}.{row['head']}" if several else f"{row['head']}"
        strip = {"strip": f"head {name}", "head": row["head"], "frequency": k, "share": share, "group": keys.groups(k)}
        lead = (k == share.argmax() + 1) & (share.max() >= 0.1)
        parts.append(pd.DataFrame({**strip, "lead": lead, "still": "" if varies else "its attention does not vary with the input"}))
    return pd.concat(parts, ignore_index=True)
