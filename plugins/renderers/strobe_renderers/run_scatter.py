"""One number of the runs against another."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl


class RunScatter(Renderer):
    """Two numbers of every run, one dot each, with their rank correlation and its bootstrap interval where run_correlations was computed.

    `x`, `y`: columns of run_summary. Axes are logarithmic when positive values span three decades. The ring is the cursor's run. Runs that lack one
    of the numbers are counted in the note, not drawn. An interval from few runs is wide, and two dates of one run are related by construction.
    """

    consumes = ("run_summary", "run_correlations")
    over = ("step",)
    compares = ("overlay",)
    picks = [Pick(field="run")]

    x: str = "turn"
    y: str = "generalised"
    size: int = 300

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        data = frame.data
        known = [c for c in (self.x, self.y) if len(data) and c in data]
        rows = data.dropna(subset=known) if len(known) == 2 else data.head(0)
        if not len(rows):
            return charts.note(f"No run has both {self.x} and {self.y}.", width=self.size)
        table = pd.DataFrame({"run": rows["run"].astype(str), "x": rows[self.x].astype(float), "y": rows[self.y].astype(float)})
        across, up = (self._axis(table[c], title, c) for c, title in (("x", self.x), ("y", self.y)))
        base = alt.Chart(charts.dataset("runs", table)).encode(x=across, y=up)
        tips = [alt.Tooltip("run:N"), alt.Tooltip("x:Q", title=self.x, format=".4~g"), alt.Tooltip("y:Q", title=self.y, format=".4~g")]
        dots = base.mark_circle(size=60, color=charts.colour("ink"), opacity=0.8).encode(tooltip=tips)
        here = alt.Chart(charts.dataset("here", table[table["run"] == str(frame.cursor.get("run"))])).encode(x=across, y=up)
        ring = here.mark_point(size=160, filled=False, strokeWidth=2, color=charts.colour("ink"))
        note = charts.dataset("note", [{"text": self._words(frame.others.get("run_correlations"), len(table), len(data))}])
        text = alt.Chart(note).mark_text(style="annotation", align="left", baseline="bottom", color=charts.colour("muted"))
        words = text.encode(x=alt.XValue(0), y=alt.YValue(-26), text=alt.Text("text:N"))
        chart = charts.layers(dots, ring, words, width=self.size, height=self.size)
        return charts.described(chart, f"Scatter plot of {self.y} against {self.x}, one dot per run.")

    def _axis(self, values: pd.Series, title: str, channel: str) -> alt.X | alt.Y:
        axis = charts.value_axis(values, title.replace("_", " "), height=self.size)
        scale = alt.Scale(type="log" if axis.log else "linear", domain=[axis.low, axis.high], nice=False, zero=False)
        return (alt.X if channel == "x" else alt.Y)(f"{channel}:Q", scale=scale, axis=alt.Axis(title=axis.title, tickCount=5, **axis.numbers()))

    def _words(self, table: pd.DataFrame | None, drawn: int, runs: int) -> str:
        count = ("1 run" if runs == 1 else f"{drawn} runs") if drawn == runs else f"{drawn} of {runs} runs"
        if table is None or not len(table):
            return count
        pair = table[table["x"].isin([self.x, self.y]) & table["y"].isin([self.x, self.y])]
        if not len(pair):
            return count
        row = pair.iloc[0]
        ends = f" ({row['low']:.2f} to {row['high']:.2f})" if pd.notna(row["low"]) else ""
        return f"{count}, rank correlation {row['rho']:.2f}{ends}"
