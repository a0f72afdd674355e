"""Any number of several runs over steps, aligned."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Number, Renderer, charts, hookimpl

from .line_over_steps import series_of
from .run_names import run_names

POINTS = 240
"""Places at which runs of a group are averaged."""


class RunsOverSteps(Renderer):
    """Draws any table that has steps: a number as one line per run, on one axis of steps, of steps from the turn, or of phases.

    `by` groups runs that agree in a parameter (`p`), each group as its mean with a band: the range of its runs, or the standard deviation. On a
    logarithmic axis both are of the logarithms. A mean stands only where every run of the group has values. Several rows per run and step are
    averaged. The page's run is drawn thick.
    """

    slots = {"y": Number(names=("test_loss",))}
    over = ("step",)
    compares = ("overlay", "grid")

    by: str = ""
    band: Literal["range", "deviation"] = "range"
    top: int = 12
    columns: int = 3
    width: int = charts.WIDTH
    height: int = 240
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.ConcatChart | alt.Chart:
        y = frame.column("y")
        if y is None or "step" not in frame.data or not frame.data["step"].notna().any():
            return charts.note("This table has no number over steps.", width=self.width)
        rows = self._rows(frame, y.name)
        if rows.empty:
            return charts.note(f"{y.name} has no value in these runs.", width=self.width)
        if self.by and not any(self.by in about for about in frame.about.values()):
            return charts.note(f"Nothing known of these runs is called {self.by!r}.", width=self.width)
        small = frame.compare == "grid"
        width, height = (max(110, (self.width - 30) // self.columns), self.height // 2) if small else (self.width, self.height)
        words = y.name.replace("_", " ")
        what = f"difference of {words}" if frame.compare == "difference" else words
        values = charts.value_axis(rows["value"], f"{what}, {y.unit}" if y.unit and y.unit != "1" else what, height=height)
        groups = _groups(rows, frame, self.by)
        drawn = _means(groups, self.band, values.log) if self.by else rows.assign(low=np.nan, high=np.nan)
        steps = charts.step_axis(drawn["step"], width=width, scale=self.step_scale, align=frame.align)
        chart = self._grid(drawn, steps, values, frame) if small else self._overlay(drawn, steps, values, frame)
        per = f"mean of the runs of each {self.by}" if self.by else "one line per run"
        axis = {"step": "training steps", "turn": "steps from the turn", "phase": "phases of training"}[frame.align]
        return charts.described(chart, f"{y.description or y.name} over {axis}, {per}.")

    def _rows(self, frame: Frame, y: str) -> pd.DataFrame:
        """Rows step (aligned), series (run), value."""
        runs = {str(run): rows for run, rows in frame.data.groupby("run", sort=False)} if "run" in frame.data else {"": frame.data}
        dims = [c.name for c in frame.schema.of_kind("dim") if c.name not in ("run", "step", "probe", "aligned") and c.name in frame.data]
        parts = []
        for run, rows in runs.items():
            at = dict(zip(rows["step"], rows["aligned"] if "aligned" in rows else rows["step"], strict=True))
            means = series_of(rows, y, [], dims)
            parts.append(pd.DataFrame({"step": [float(at[s]) for s in means["step"]], "series": run, "value": means["value"]}))
        return pd.concat(parts, ignore_index=True)

    def _overlay(self, drawn: pd.DataFrame, steps: charts.StepAxis, values: charts.ValueAxis, frame: Frame) -> alt.LayerChart:
        lines = self._lines(drawn, frame)
        chart = charts.step_lines(drawn[["step", "series", "value"]], lines, steps, values, cursor=_cursor(frame))
        bands = _band(drawn, lines, steps, values)
        chart.layer = [bands, *chart.layer]
        return chart

    def _grid(self, drawn: pd.DataFrame, steps: charts.StepAxis, values: charts.ValueAxis, frame: Frame) -> alt.ConcatChart:
        """A small chart per line, all on the same axes."""
        names, series = self._names(frame), list(dict.fromkeys(drawn["series"].astype(str)))
        here = alt.Chart(charts.dataset("cursor", charts.cursor_rows(_cursor(frame))))
        small = []
        for i, name in enumerate(series):
            rows, bottom = drawn[drawn["series"] == name], i + self.columns >= len(series)
            axis = values if i % self.columns == 0 else replace(values, title=" ")
            line = alt.Chart(charts.dataset("line", rows[["step", "value"]])).mark_line(clip=True, color=charts.colour("ink"))
            layers = [
                _band(rows, {name: charts.Line("")}, steps, axis, bottom),
                line.encode(x=steps.x(labels=bottom), y=axis.y()),
                here.mark_rule(style="cursor-rule", clip=True).encode(x=steps.x(labels=bottom)),
            ]
            title = alt.Title(names.get(name, name), anchor="start", fontSize=11)
            small.append(charts.layers(*layers, width=steps.width, height=values.height, title=title))
        return charts.beside(*small, columns=self.columns, spacing=10, independent=["color"])

    def _names(self, frame: Frame) -> dict[str, str]:
        return {} if self.by else run_names(frame)

    def _lines(self, drawn: pd.DataFrame, frame: Frame) -> dict[str, charts.Line]:
        """The run of the page thick; beyond `top`, pale and without a label."""
        names, tints = self._names(frame), charts.categories()
        series = list(dict.fromkeys(drawn["series"].astype(str)))
        here = str(frame.cursor.get("run"))
        first = [here, *(s for s in series if s != here)] if here in series else series
        kept = {s: i for i, s in enumerate(first[: self.top])}
        dashes = [(1, 0), (5, 2), (2, 2)]
        lines = {s: charts.Line("", charts.colour("faint"), width=0.75) for s in series if s not in kept}
        for s, i in kept.items():
            colour, text = tints[i % len(tints)][:2]
            lines[s] = charts.Line(names.get(s, s), colour, text, dashes[i // len(tints) % len(dashes)], 2.75 if s == here else 1.5)
        return lines


def _cursor(frame: Frame) -> dict[str, float]:
    """The cursor on the axis that is drawn: steps from the turn are whole, phases are not."""
    at = frame.cursor.get("aligned", frame.cursor.get("step"))
    return {} if at is None else {"step": float(at) if frame.align == "phase" else round(at)}


def _groups(rows: pd.DataFrame, frame: Frame, by: str) -> dict[str, list[pd.DataFrame]]:
    """Value of the parameter -> the rows of each of its runs."""
    found: dict[str, list[pd.DataFrame]] = {}
    for run, own in rows.groupby("series", sort=False):
        value = frame.about.get(str(run), {}).get(by)
        found.setdefault(f"{by} {'–' if value is None else charts.number(value)}", []).append(own.sort_values("step"))
    return found


def _means(groups: dict[str, list[pd.DataFrame]], band: str, log: bool) -> pd.DataFrame:
    """Rows step, series, value, low, high: the mean of each group where all of its runs have values, and its band."""
    there, back = (np.log, np.exp) if log else (np.asarray, np.asarray)
    parts = []
    for name, runs in groups.items():
        start, end = max(r["step"].iloc[0] for r in runs), min(r["step"].iloc[-1] for r in runs)
        at = np.unique(np.concatenate([r["step"] for r in runs]))
        at = at[(at >= start) & (at <= end)]
        at = at if len(at) <= POINTS else at[np.linspace(0, len(at) - 1, POINTS).round().astype(int)]
        if not len(at):
            continue
        each = np.stack([np.interp(at, r["step"], there(r["value"].to_numpy())) for r in runs])  # [run, place]
        mean, spread = each.mean(0), each.std(0)
        low, high = (each.min(0), each.max(0)) if band == "range" else (mean - spread, mean + spread)
        label = f"{name} ({len(runs)})" if len(runs) > 1 else name
        parts.append(pd.DataFrame({"step": at, "series": label, "value": back(mean), "low": back(low), "high": back(high)}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["step", "series", "value", "low", "high"])


def _band(drawn: pd.DataFrame, lines: dict[str, charts.Line], steps: charts.StepAxis, values: charts.ValueAxis, bottom: bool = True) -> alt.Chart:
    rows = drawn.dropna(subset=["low", "high"])[["step", "series", "low", "high"]]
    scale = alt.Scale(domain=list(lines), range=[line.colour for line in lines.values()])
    area = alt.Chart(charts.dataset("bands", rows)).mark_area(opacity=0.18, clip=True, line=False)
    colour = alt.Color("series:N", scale=scale, legend=None)
    return area.encode(x=steps.x(labels=bottom), y=values.y("low"), y2=alt.Y2("high:Q"), color=colour)
