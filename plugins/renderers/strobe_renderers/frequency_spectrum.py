"""Which Fourier frequencies the weights use at one step."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl


class FrequencySpectrum(Renderer):
    """Share of power per Fourier frequency at the cursor's step, one strip per view: cosine solid, sine pale, key frequencies in colour."""

    consumes = ("dominant_frequencies", "key_frequencies")
    picks = [Pick(field="frequency")]

    views: tuple[str, ...] = ("W_E", "W_L")
    label: int = 4
    """How many bars to name when the run's key frequencies are not known."""
    width: int = charts.WIDTH
    height: int = 110

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.LayerChart | alt.Chart:
        data = frame.data
        rows = data[data["view"].isin(self.views) & (data["frequency"] > 0)] if len(data) else data
        if rows.empty:
            return charts.note(f"No spectrum of {', '.join(self.views)} at this step.", width=self.width)
        keys = charts.frequency_colours(frame.others.get("key_frequencies"))
        names = [(view, head) for view in self.views for head in _heads(rows[rows["view"] == view])]
        top = int(rows["frequency"].max())
        strips = [self._strip(_of(rows, view, head), _name(view, head), keys, top, last=i == len(names) - 1) for i, (view, head) in enumerate(names)]
        return charts.described(
            charts.strips(*strips, spacing=24), "Share of power per Fourier frequency, cosine and sine, one strip per weight view."
        )

    def _strip(self, rows: pd.DataFrame, name: str, keys: charts.FrequencyColours, top: int, *, last: bool) -> alt.LayerChart:
        bars = _bars(rows, keys)
        x = self._x(top, last=last)
        y = alt.Y("high:Q", scale=alt.Scale(zero=True, nice=True), axis=alt.Axis(title="share of power", format=".0%", tickCount=3))
        mark = alt.Chart(charts.dataset(f"bars {name}", bars)).mark_bar(size=max(2, int(self.width / (top + 1) * 0.7)), cornerRadiusEnd=0)
        drawn = mark.encode(
            x=x,
            y=y,
            y2=alt.Y2("low:Q"),
            color=alt.Color("group:N", scale=keys.scale(), legend=None),
            opacity=alt.Opacity("component:N", scale=alt.Scale(domain=["cos", "sin"], range=[1, 0.55]), legend=None),
            tooltip=[alt.Tooltip("frequency:Q", title="frequency"), alt.Tooltip("component:N"), alt.Tooltip("share:Q", format=".1%")],
        )
        whole = bars[bars["component"] == "sin"]
        named = whole[whole["group"] != charts.OTHER] if keys.frequencies else whole.nlargest(self.label, "high")
        labels = alt.Chart(charts.dataset(f"labels {name}", named[["frequency", "high", "group"]]))
        text = labels.mark_text(baseline="bottom", dy=-2, fontWeight=600).encode(
            x=x, y=y, text=alt.Text("frequency:Q"), color=alt.Color("group:N", scale=keys.text_scale(), legend=None)
        )
        title = alt.Chart(charts.dataset(f"name {name}", [{"text": name}])).mark_text(style="direct-label", color=charts.colour("ink"))
        title = title.encode(x=alt.XValue(self.width), y=alt.YValue(self.height / 2), text=alt.Text("text:N"))
        shown = (drawn, text, title, charts.room(self.width))
        return charts.layers(*shown, width=self.width, height=self.height, independent=["color"])

    def _x(self, top: int, *, last: bool) -> alt.X:
        every = next(n for n in (1, 2, 5, 10, 20, 50, 100, 500) if top / n <= 12)
        ticks = [1, *range(every if every > 1 else 2, top + 1, every)]
        axis = alt.Axis(values=ticks, labels=last, ticks=last, title="frequency k, periods per p residues" if last else None)
        return alt.X("frequency:Q", scale=alt.Scale(domain=[0.3, top + 0.7], nice=False), axis=axis)


def _heads(rows: pd.DataFrame) -> list[int | None]:
    heads = rows["head"].dropna().unique() if "head" in rows else []
    return sorted(int(h) for h in heads) or ([None] if len(rows) else [])


def _of(rows: pd.DataFrame, view: str, head: int | None) -> pd.DataFrame:
    mine = rows[rows["view"] == view]
    return mine if head is None else mine[mine["head"] == head]


def _name(view: str, head: int | None) -> str:
    return view if head is None else f"head {head}"


def _bars(rows: pd.DataFrame, keys: charts.FrequencyColours) -> pd.DataFrame:
    """Stacked bars: cosine from 0, sine on top of it. Columns frequency, component, share, low, high, group."""
    wide = rows.pivot_table(index="frequency", columns="component", values="share", aggfunc="sum").reindex(columns=["cos", "sin"]).fillna(0.0)
    cos = pd.DataFrame({"frequency": wide.index, "component": "cos", "share": wide["cos"], "low": 0.0, "high": wide["cos"]})
    sin = pd.DataFrame({"frequency": wide.index, "component": "sin", "share": wide["sin"], "low": wide["cos"], "high": wide["cos"] + wide["sin"]})
    both = pd.concat([cos, sin], ignore_index=True)
    return both.assign(group=keys.groups(both["frequency"]))
