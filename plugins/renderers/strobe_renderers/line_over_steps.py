"""Any number over steps."""

from __future__ import annotations

import re

import altair as alt
import pandas as pd

from strobe import Dim, Frame, Number, Renderer, charts, hookimpl

from .shortened import without_middle, without_start

NUMBER = re.compile(r"\d+$")


class LineOverSteps(Renderer):
    """Draws any table that has steps: a number as lines over training, one line per value of a dimension.

    The `top` lines that end highest in absolute value are labelled and coloured, the others pale. Several rows per step and line are averaged.
    """

    slots = {"x": Dim(names=("step",), optional=True), "y": Number(), "color": Dim(names=(), optional=True)}
    over = ("step",)

    top: int = 7
    width: int = charts.WIDTH
    height: int = 200
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        y, colour = frame.column("y"), frame.column("color")
        if y is None or "step" not in frame.data or not frame.data["step"].notna().any():
            return charts.note("This table has no number over steps.", width=self.width)
        by = [colour.name] if colour is not None and colour.name != "step" else []
        dims = [c.name for c in frame.schema.of_kind("dim") if c.name not in ("run", "step", "probe", *by) and c.name in frame.data]
        rows = series_of(frame.data, y.name, by, dims)
        if rows.empty:
            return charts.note(f"{y.name} has no value in this run.", width=self.width)
        steps = charts.step_axis(rows["step"], width=self.width, scale=self.step_scale)
        words = y.name.replace("_", " ")
        title = f"{words}, {y.unit}" if y.unit and y.unit != "1" else words
        values = charts.value_axis(rows["value"], title, height=self.height)
        chart = charts.step_lines(rows, self._lines(rows), steps, values, cursor=frame.cursor)
        if (alone := rows[~rows["series"].duplicated(keep=False)]).size:  # a line through one point is none
            points = alt.Chart(charts.dataset("points", alone)).mark_point(filled=True, size=24, opacity=1, color=charts.colour("ink"))
            chart = charts.layers(chart, points.encode(x=steps.x(), y=values.y()), width=self.width, height=self.height)
        return charts.described(chart, f"{y.description or y.name} over training steps{f', per {by[0]}' if by else ''}.")

    def _lines(self, rows: pd.DataFrame) -> dict[str, charts.Line]:
        last = rows.sort_values("step").groupby("series", sort=False)["value"].last()
        names = list(last.abs().sort_values(ascending=False, kind="stable").index)
        if len(names) == 1:
            return {names[0]: charts.Line("" if names[0] == "value" or names[0].isdigit() else names[0])}  # one layer's number says nothing
        tints = charts.categories()
        pale = {n: charts.Line("", charts.colour("faint"), width=0.75) for n in names[self.top :]}
        labels = parameter_labels(names[: self.top])
        return pale | {n: charts.Line(labels[n], *tints[i % len(tints)]) for i, n in enumerate(names[: self.top])}


def parameter_labels(names: list[str], room: int = 12) -> dict[str, str]:
    """Labels of dotted names: the end of each that fits, `0.attn.W_O`, without torch's `.weight`, numbered words before it by their initials,
    `l4.1.conv2`; where two of these are the same, what comes after all that they share, cut in the middle."""
    whole = {name: name.removesuffix(".weight") for name in names}
    if len(set(whole.values())) < len(names):
        whole = {name: name for name in names}
    ends = [_end(text, room) for text in whole.values()]
    alike = {name: text.split(".") for (name, text), end in zip(whole.items(), ends, strict=True) if ends.count(end) > 1}
    shared = next((i for i, parts in enumerate(zip(*alike.values(), strict=False)) if len(set(parts)) > 1), 0)
    cut = {name: without_middle(".".join(parts[shared:]), room) for name, parts in alike.items()}
    return {name: cut.get(name, end) for name, end in zip(whole, ends, strict=True)}


def _end(name: str, room: int) -> str:
    """Without the words before it that have no number: `layer4.1.conv2` is another than `layer3.1.conv2`."""
    while len(name) > room and "." in name and not NUMBER.search(name.partition(".")[0]):
        name = name.partition(".")[2]
    parts = name.split(".")
    for i, part in enumerate(parts[:-1]):
        if len(".".join(parts)) > room:
            number = NUMBER.search(part)
            parts[i] = part[0] + (number[0] if number and number.start() else "") if part else part
    return without_start(".".join(parts), room)


def series_of(data: pd.DataFrame, value: str, by: list[str], dims: list[str]) -> pd.DataFrame:
    """Rows step, series, value: means over the other dimensions `dims`. Where one of them is null in some rows of a line (the whole of what the
    others are parts of), only those rows count.
    """
    known = data.dropna(subset=["step", value])
    for dim in dims:
        null = known[dim].isna()
        has_whole = null.groupby([known[b] for b in by], dropna=False).transform("any") if by else pd.Series(bool(null.any()), known.index)
        known = known[null | ~has_whole]
    means = known.groupby(["step", *by], as_index=False, dropna=False)[value].mean() if len(known) else known
    series = means[by[0]].map(lambda v: "–" if pd.isna(v) else str(v)) if by and len(means) else "value"
    return pd.DataFrame({"step": means["step"].astype(int), "series": series, "value": means[value].astype(float)})
