"""Which Fourier frequencies the weights use at one step."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl

from .run_names import run_names

STRANGE = "of this run"
"""Key frequencies of a run that are none of the page's run: they have no colour there."""
CLOSE = 15
"""px between two bars whose numbers would lie over each other."""


class FrequencySpectrum(Renderer):
    """Share of power per Fourier frequency at the cursor's step, one strip per view: cosine solid, sine pale, key frequencies in colour.

    Of several runs a strip per run and view, on the same axes: numbered are the key frequencies of each run, in colour those of the page's run.
    """

    consumes = ("dominant_frequencies", "key_frequencies")
    picks = [Pick(field="frequency")]
    compares = ("overlay",)

    views: tuple[str, ...] = ("W_E", "W_L")
    label: int = 4
    """How many bars to name when the run's key frequencies are not known."""
    top: int = 12
    """Most runs that are shown, the page's first."""
    width: int = charts.WIDTH
    height: int = 110

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.LayerChart | alt.Chart:
        data = frame.data
        rows = data[data["view"].isin(self.views) & (data["frequency"] > 0)] if len(data) else data
        if rows.empty:
            return charts.note(f"No spectrum of {', '.join(self.views)} at this step.", width=self.width)
        several = frame.compare == "overlay"
        strips = self._of_runs(rows, frame) if several else self._of_one(rows, frame)
        per = "run" if several else "weight view"
        return charts.described(charts.strips(*strips, spacing=24), f"Share of power per Fourier frequency, cosine and sine, one strip per {per}.")

    def _of_one(self, rows: pd.DataFrame, frame: Frame) -> list[alt.LayerChart]:
        keys = charts.frequency_colours(frame.others.get("key_frequencies"))
        names = [(view, head) for view in self.views for head in _heads(rows[rows["view"] == view])]
        bars = [_bars(_of(rows, view, head), keys) for view, head in names]
        top = int(rows["frequency"].max())
        return [
            self._strip(b, self._named(b, keys), _name(view, head), keys, self._x(top, last=i == len(names) - 1), _y())
            for i, ((view, head), b) in enumerate(zip(names, bars, strict=True))
        ]

    def _of_runs(self, rows: pd.DataFrame, frame: Frame) -> list[alt.LayerChart]:
        known, page, short = frame.others.get("key_frequencies"), str(frame.cursor.get("run")), run_names(frame)
        runs = sorted(frame.runs, key=lambda run: run != page)[: self.top]
        keys = charts.frequency_colours(_of_run(known, page))
        own = {run: charts.frequency_colours(_of_run(known, run)) for run in runs}
        names = [(view, run, head) for view in self.views for run in runs for head in _heads(_of_run(rows[rows["view"] == view], run))]
        bars = [_bars(_of(_of_run(rows, run), view, head), keys, own[run]) for view, run, head in names]
        top, high = int(rows["frequency"].max()), max(float(b["high"].max()) for b in bars)
        said = {
            name: " ".join([short[name[1]], *([_name(name[0], name[2])] if len(self.views) > 1 or name[2] is not None else [])]) for name in names
        }
        return [
            self._strip(b, self._named(b, own[name[1]]), said[name], keys, self._x(top, last=i == len(names) - 1), _y(high), thick=name[1] == page)
            for i, (name, b) in enumerate(zip(names, bars, strict=True))
        ]

    def _strip(
        self, bars: pd.DataFrame, named: pd.DataFrame, name: str, keys: charts.FrequencyColours, x: alt.X, y: alt.Y, *, thick: bool = True
    ) -> alt.LayerChart:
        top = int(bars["frequency"].max())
        mark = alt.Chart(charts.dataset(f"bars {name}", bars)).mark_bar(size=max(2, int(self.width / (top + 1) * 0.7)), cornerRadiusEnd=0)
        drawn = mark.encode(
            x=x,
            y=y,
            y2=alt.Y2("low:Q"),
            color=alt.Color("group:N", scale=_with_strange(keys.scale(), charts.colour("muted")), legend=None),
            opacity=alt.Opacity("component:N", scale=alt.Scale(domain=["cos", "sin"], range=[1, 0.55]), legend=None),
            tooltip=[alt.Tooltip("frequency:Q", title="frequency"), alt.Tooltip("component:N"), alt.Tooltip("share:Q", format=".1%")],
        )
        labels = alt.Chart(charts.dataset(f"labels {name}", named))
        text = labels.mark_text(baseline="bottom", dy=-2, fontWeight=600, align=alt.expr("datum.side")).encode(
            x=x,
            y=y,
            text=alt.Text("frequency:Q"),
            color=alt.Color("group:N", scale=_with_strange(keys.text_scale(), charts.colour("ink")), legend=None),
        )
        title = alt.Chart(charts.dataset(f"name {name}", [{"text": name}]))
        words = title.mark_text(style="direct-label", color=charts.colour("ink" if thick else "muted"), limit=charts.LABELS - 10)
        words = words.encode(x=alt.XValue(self.width), y=alt.YValue(self.height / 2), text=alt.Text("text:N"))
        shown = (drawn, text, words, charts.room(self.width))
        return charts.layers(*shown, width=self.width, height=self.height, independent=["color"])

    def _named(self, bars: pd.DataFrame, keys: charts.FrequencyColours) -> pd.DataFrame:
        """The bars with a number above them; of two close ones the numbers keep to their own sides."""
        whole = bars[bars["component"] == "sin"]
        named = whole[whole["frequency"].isin(keys.frequencies)] if keys.frequencies else whole.nlargest(self.label, "high").sort_values("frequency")
        at = named["frequency"] * self.width / (int(bars["frequency"].max()) + 1)
        side = pd.Series("center", named.index).mask(at.diff() < CLOSE, "left").mask(-at.diff(-1) < CLOSE, "right")
        return named[["frequency", "high", "group"]].assign(side=side)

    def _x(self, top: int, *, last: bool) -> alt.X:
        every = next(n for n in (1, 2, 5, 10, 20, 50, 100, 500) if top / n <= 12)
        ticks = [1, *range(every if every > 1 else 2, top + 1, every)]
        axis = alt.Axis(values=ticks, labels=last, ticks=last, title="frequency k, periods per p residues" if last else None)
        return alt.X("frequency:Q", scale=alt.Scale(domain=[0.3, top + 0.7], nice=False), axis=axis)


def _y(high: float | None = None) -> alt.Y:
    """Up to the highest bar with room for its number, or as high as the strip needs."""
    scale = alt.Scale(zero=True, nice=True) if high is None else alt.Scale(domain=[0, high * 1.15], nice=False)
    return alt.Y("high:Q", scale=scale, axis=alt.Axis(title="share of power", format=".0%", tickCount=3))


def _with_strange(scale: alt.Scale, tint: str) -> alt.Scale:
    return alt.Scale(domain=[*scale.domain, STRANGE], range=[*scale.range, tint])


def _of_run(rows: pd.DataFrame | None, run: str) -> pd.DataFrame | None:
    return rows[rows["run"].astype(str) == run] if rows is not None and "run" in rows else rows


def _heads(rows: pd.DataFrame) -> list[int | None]:
    heads = rows["head"].dropna().unique() if "head" in rows else []
    return sorted(int(h) for h in heads) or ([None] if len(rows) else [])


def _of(rows: pd.DataFrame, view: str, head: int | None) -> pd.DataFrame:
    mine = rows[rows["view"] == view]
    return mine if head is None else mine[mine["head"] == head]


def _name(view: str, head: int | None) -> str:
    return view if head is None else f"head {head}"


def _bars(rows: pd.DataFrame, keys: charts.FrequencyColours, own: charts.FrequencyColours | None = None) -> pd.DataFrame:
    """Stacked bars: cosine from 0, sine on top of it. Columns frequency, component, share, low, high, group; `own`: the keys of another run."""
    frequencies, place = np.unique(rows["frequency"].to_numpy(dtype=int), return_inverse=True)
    component, shares = rows["component"].to_numpy(), np.nan_to_num(rows["share"].to_numpy(dtype=float))
    cos, sin = (np.bincount(place, np.where(component == name, shares, 0.0), len(frequencies)) for name in ("cos", "sin"))
    parts = {
        "frequency": np.tile(frequencies, 2),
        "component": np.repeat(["cos", "sin"], len(frequencies)),
        "share": np.concatenate([cos, sin]),
        "low": np.concatenate([np.zeros(len(cos)), cos]),
        "high": np.concatenate([cos, cos + sin]),
    }
    both = pd.DataFrame(parts)
    groups = pd.Series(keys.groups(both["frequency"]), both.index)
    if own is None:
        return both.assign(group=groups)
    theirs = both["frequency"].isin(own.frequencies)
    return both.assign(group=groups.where(theirs, charts.OTHER).mask(theirs & ~both["frequency"].isin(keys.frequencies), STRANGE))
