"""Which frequencies the network uses, over training."""

from __future__ import annotations

from collections.abc import Iterator

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl

DEEP = 100
"""How far below the largest share lines are followed: what is given up falls by orders of magnitude, and would press the others together."""


class FrequencyTimeline(Renderer):
    """Share of power per frequency over steps, stacked, in the order the signal flows: embedding, heads and neurons (their means), logit map.

    Key frequencies keep their colours and the rest is grey. Shares leave the constant out; heads and neurons are shares of the variance of their
    maps. The lines below are the same of the last place on a logarithmic axis: who leads while shares are small.
    """

    consumes = ("dominant_frequencies", "key_frequencies", "head_frequency", "neuron_timeline", "phases")
    over = ("step",)

    views: tuple[str, ...] = ("W_E", "W_L")
    top: int = 6
    width: int = charts.WIDTH
    height: int = 74
    leaders_height: int = 84
    """Of the strip of lines, px; 0 leaves it out."""
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.LayerChart | alt.Chart:
        shares = dict(self._shares(frame))
        if not shares:
            return charts.note("No spectra were computed for this run.", width=self.width)
        end = sum(table.iloc[-1].reindex(range(1, 1 + max(t.columns.max() for t in shares.values()))).fillna(0) for table in shares.values())
        keys = charts.frequency_colours(frame.others.get("key_frequencies"), end.nlargest(self.top).index)
        axis = charts.step_axis([s for table in shares.values() for s in table.index], width=self.width, scale=self.step_scale)
        strips = []
        for i, (name, table) in enumerate(shares.items()):
            first, last = i == 0, i == len(shares) - 1 and not self.leaders_height
            layers = self._areas(name, stacked(table, keys), axis, keys, first=first, last=last)
            strip = charts.strip(
                layers, axis, self.height, phases=frame.others.get("phases"), cursor=frame.cursor, top=first, bottom=last, bands=False
            )
            strips.append(strip)
        if self.leaders_height:
            strips.append(self._leaders(*list(shares.items())[-1], axis, keys, frame))
        text = f"Share of power per frequency over training steps, stacked, for {', '.join(shares)}; key frequencies coloured, the rest grey."
        return charts.described(charts.strips(*strips, spacing=14), text)

    def _shares(self, frame: Frame) -> Iterator[tuple[str, pd.DataFrame]]:
        """Strip name -> shares [step, frequency]."""
        data = frame.data
        for i, view in enumerate(self.views):
            rows = data[(data["view"] == view) & (data["frequency"] > 0)] if len(data) else data
            if len(rows):
                table = rows.pivot_table(index="step", columns="frequency", values="share", aggfunc="sum")
                yield {"W_E": "embedding W_E", "W_L": "logit map W_L"}.get(view, view), table
            if i == 0:
                yield from _units("heads (mean)", frame.others.get("head_frequency"), "fractions")
                yield from _units("neurons (mean)", frame.others.get("neuron_timeline"), "shares")

    def _leaders(self, name: str, shares: pd.DataFrame, axis: charts.StepAxis, keys: charts.FrequencyColours, frame: Frame) -> alt.LayerChart:
        """The key frequencies of one place as lines, on a logarithmic axis."""
        held = shares.reindex(columns=list(keys.frequencies)).melt(ignore_index=False, var_name="series").reset_index(names="step")
        rows = held[held["value"] > 0].astype({"series": str})
        tints = zip(keys.domain, keys.scale().range, keys.text_scale().range, strict=True)
        lines = {k: charts.Line(f"k {k}", fill, text) for k, fill, text in tints if k != charts.OTHER}
        held_by_most = rows["value"].clip(lower=rows["value"].max() / DEEP)
        values = charts.value_axis(held_by_most, f"{name}: share, log", height=self.leaders_height, log=True)
        return charts.step_lines(rows, lines, axis, values, phases=frame.others.get("phases"), cursor=frame.cursor, top=False, name="leaders")

    def _areas(
        self, name: str, bands: pd.DataFrame, axis: charts.StepAxis, keys: charts.FrequencyColours, *, first: bool, last: bool
    ) -> list[alt.Chart]:
        y_axis = alt.Axis(title="share of power" if first else "share", values=[0, 1], format=".0%")
        scale = alt.Scale(domain=[0, 1], nice=False)
        y = alt.Y("low:Q", scale=scale, axis=y_axis)
        area = alt.Chart(charts.dataset(f"areas {name}", bands)).mark_area(clip=charts.of_differences())
        drawn = area.encode(
            x=axis.x(labels=last), y=y, y2=alt.Y2("high:Q"), color=alt.Color("group:N", scale=keys.scale(), legend=None), detail=alt.Detail("group:N")
        )
        words = alt.Chart(charts.dataset(f"inside {name}", inside(bands, self.height))).mark_text(fontWeight=600, fontSize=11)
        colour = alt.Color("group:N", scale=keys.on_fill_scale(), legend=None)
        inner = words.encode(x=axis.x(labels=last), y=alt.Y("middle:Q", scale=scale, axis=y_axis), text=alt.Text("group:N"), color=colour)
        label = alt.Chart(charts.dataset(f"name {name}", [{"text": name.split(" ", 1)}])).mark_text(style="direct-label", lineHeight=13, dy=-6)
        return [drawn, inner, label.encode(x=alt.XValue(self.width), y=alt.YValue(self.height / 2), text=alt.Text("text:N"))]


def _units(name: str, table: pd.DataFrame | None, column: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The strip of heads or neurons: mean over a table's rows of the shares in `column`, [step, frequency]. None where there are no shares."""
    rows = table.dropna(subset=[column]) if table is not None else ()
    if table is not None and len(rows):
        means = {int(step): np.mean(np.stack(list(part[column])), axis=0) for step, part in rows.groupby("step")}
        yield name, pd.DataFrame.from_dict(means, orient="index").sort_index().rename(columns=lambda i: i + 1)


def stacked(shares: pd.DataFrame, keys: charts.FrequencyColours) -> pd.DataFrame:
    """Bands from the bottom up, key frequencies ascending and the rest on top: columns step, group, low, high. Each step adds up to 1."""
    groups = pd.Series({k: keys.group(k) for k in shares.columns})
    held = shares.fillna(0.0).T.groupby(groups).sum().T.reindex(columns=keys.domain).fillna(0.0)
    held = held.div(held.sum(axis=1).replace(0, np.nan), axis=0).fillna(0.0)
    high = held.cumsum(axis=1)
    long = [pd.DataFrame({"step": held.index, "group": g, "low": high[g] - held[g], "high": high[g]}) for g in held.columns]
    return pd.concat(long, ignore_index=True)


def inside(bands: pd.DataFrame, height: int, least: float = 12) -> pd.DataFrame:
    """Where a frequency's label fits into its band: at its widest step, and only where the band is `least` px or more."""
    known = bands[bands["group"] != charts.OTHER].assign(thick=lambda b: (b["high"] - b["low"]) * height, middle=lambda b: (b["low"] + b["high"]) / 2)
    inner = known[(known["step"] > bands["step"].min()) & (known["step"] < bands["step"].max())]
    widest = inner.loc[inner.groupby("group")["thick"].idxmax()] if len(inner) else inner
    return widest[widest["thick"] >= least][["step", "group", "middle"]]
