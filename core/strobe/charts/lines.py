"""Lines over training, labelled at their right end, on linear or logarithmic axes whose domain is known before drawing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from .compose import below
from .compose import layers as put_together
from .data import dataset
from .images import of_differences
from .spans import spanned
from .steps import StepAxis, cursor_rule, event_rules, thin
from .theme import LABELS, colour, style

LOG_LABEL = "abs(datum.value) < 0.01 || abs(datum.value) >= 100000 ? replace(format(datum.value, '.0e'), '−', '-') : format(datum.value, ',~r')"
PERCENT = ".0%"
LABEL_GAP = 13
"""Least distance between two direct labels, px."""


@dataclass(frozen=True)
class Line:
    """How one series looks: its label at the right end, colours of line and label, dash, width."""

    label: str
    colour: str = field(default_factory=lambda: colour("ink"))
    text: str = ""
    dash: tuple[float, ...] = (1, 0)
    width: float = 1.75

    @classmethod
    def styled(cls, label: str, name: str, text: str = "") -> Line:
        """A line in a named style of the theme: train, test, restricted, excluded, group-mlp, ..."""
        look = style(name)
        return cls(label, look["color"], text or look["color"], tuple(look.get("strokeDash", (1, 0))), look.get("strokeWidth", 1.75))


@dataclass(frozen=True)
class ValueAxis:
    """A y axis with a fixed domain: so labels can be pushed apart in pixels, and nothing jumps when the cursor moves."""

    low: float
    high: float
    title: str
    height: int
    log: bool = False
    format: str = ""

    def pixel(self, value: Any) -> Any:
        """Pixels from the top of the plot."""
        lo, hi, v = (np.log10(x) if self.log else np.asarray(x, dtype=float) for x in (self.low, self.high, value))
        return (hi - v) / max(float(hi - lo), 1e-12) * self.height

    def value(self, pixel: float) -> float:
        """The value at a height: the inverse of `pixel`."""
        share = 1 - pixel / self.height
        if self.log:
            return float(self.low * (self.high / self.low) ** share)
        return float(self.low + (self.high - self.low) * share)

    def y(self, name: str = "value") -> alt.Y:
        scale = alt.Scale(type="log" if self.log else "linear", domain=[self.low, self.high], nice=False, zero=False, clamp=self.log)
        if self.log:
            return alt.Y(f"{name}:Q", scale=scale, axis=alt.Axis(title=self.title, values=self._powers(), labelExpr=LOG_LABEL))
        count = max(2, min(5, self.height // 36))
        axis = alt.Axis(title=self.title, tickCount=count, **self.numbers())
        return alt.Y(f"{name}:Q", scale=scale, axis=axis)

    def numbers(self) -> dict[str, str]:
        """How an axis writes its numbers: as `format` says, else with an exponent where they are too small for anything else."""
        if self.format or max(abs(self.low), abs(self.high)) >= 0.001:
            return {"format": self.format} if self.format else {}
        return {"labelExpr": "replace(format(datum.value, '.2~e'), '−', '-')"}

    def _powers(self) -> list[float]:
        lo, hi = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        every = max(1, math.ceil((hi - lo + 1) * 18 / self.height))
        return [10.0**e for e in range(lo, hi + 1) if e % every == 0] or [10.0**lo]


def value_axis(values: Any, title: str, *, height: int, log: bool | None = None, zero: bool = False, percent: bool = False) -> ValueAxis:
    """An axis that spans `values`; `log=None` chooses: logarithmic when they are positive and span three decades. `percent` runs from 0 to 1."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if percent:
        return ValueAxis(-1 if of_differences() else 0, 1, title, height, format=PERCENT)
    known = np.asarray(spanned("value", title, known), dtype=float)
    positive = known[known > 0]
    if log is None:
        log = bool(known.size and (known > 0).all() and positive.max() / positive.min() >= 1000)
    if log and positive.size:
        low, high = float(positive.min()), float(positive.max())
        pad = max((high / low) ** 0.04, 1.3)
        return ValueAxis(low / pad, high * pad, title, height, log=True)
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    low, high = (min(low, 0.0), max(high, 0.0)) if zero else (low, high)
    pad = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return ValueAxis(low if zero and low == 0 else low - pad, high + pad, title, height)


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions pushed apart to at least `gap`, in the same order, within `low` .. `high` where that is possible; moved as little as it takes."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    placed: list[list[float]] = []  # blocks of touching labels: [first position, count, sum of wanted first positions]
    for i in order:
        placed.append([positions[i], 1, positions[i]])
        while True:
            _, count, total = placed[-1]
            placed[-1][0] = min(max(total / count, low), max(high - (count - 1) * gap, low))
            if len(placed) < 2 or placed[-2][0] + placed[-2][1] * gap <= placed[-1][0]:
                break
            last = placed.pop()
            before = placed[-1]
            before[2] += last[2] - last[1] * before[1] * gap
            before[1] += last[1]
    flat = [first + j * gap for first, count, _ in placed for j in range(int(count))]
    result = [0.0] * len(positions)
    for at, i in zip(flat, order, strict=True):
        result[i] = at
    return result


def end_labels(rows: pd.DataFrame, lines: Mapping[str, Line], axis: ValueAxis, *, name: str) -> alt.Chart:
    """A label per labelled series right of the plot, at the height of its last value, pushed apart to 13 px. `rows`: step, series, value."""
    last = rows.dropna(subset=["value"]).sort_values("step").groupby("series", sort=False)["value"].last()
    last = last[[s for s in lines if s in last.index and lines[str(s)].label]]  # a line without a label takes no room beside the plot
    wanted = [float(np.clip(axis.pixel(max(v, axis.low) if axis.log else v), 0, axis.height)) for v in last]
    heights = spread(wanted, LABEL_GAP, 4, axis.height - 4)
    table = [{"series": s, "label": lines[str(s)].label, "value": axis.value(h)} for s, h in zip(last.index, heights, strict=True)]
    scale = alt.Scale(domain=list(lines), range=[line.text or line.colour for line in lines.values()])
    text = alt.Chart(dataset(name, table)).mark_text(style="direct-label", limit=LABELS - 10)
    return text.encode(x=alt.XValue("width"), y=axis.y(), text=alt.Text("label:N"), color=alt.Color("series:N", scale=scale, legend=None))


def room(width: int) -> alt.Chart:
    """A layer that draws nothing and keeps the 96 px for labels right of the plot, so that plots line up whatever their labels are."""
    return alt.Chart(dataset("room", [{}])).mark_point(size=0, opacity=0).encode(x=alt.XValue(width + LABELS - 8), y=alt.YValue(0))


def step_lines(
    rows: pd.DataFrame,
    lines: Mapping[str, Line],
    steps: StepAxis,
    values: ValueAxis,
    *,
    phases: pd.DataFrame | None = None,
    cursor: Mapping[str, Any] | None = None,
    top: bool = True,
    bottom: bool = True,
    bands: bool = True,
    interpolate: str = "linear",
    name: str = "lines",
) -> alt.LayerChart:
    """One strip of lines over steps. `rows`: step, series, value; `lines`: series -> how it looks, in the order of the labels.

    Events are labelled on the `top` strip, the step axis and the cursor's flag are on the `bottom` one.
    """
    kept = [thin(part.dropna(subset=["value"]).sort_values("step"), steps) for s, part in rows.groupby("series", sort=False) if s in lines]
    table = pd.concat(kept)[["step", "series", "value"]] if kept else pd.DataFrame(columns=["step", "series", "value"])
    domain = list(lines)
    mark = alt.Chart(dataset(name, table)).mark_line(clip=True, interpolate=interpolate)
    drawn = mark.encode(
        x=steps.x(labels=bottom),
        y=values.y(),
        color=alt.Color("series:N", scale=alt.Scale(domain=domain, range=[v.colour for v in lines.values()]), legend=None),
        strokeDash=alt.StrokeDash("series:N", scale=alt.Scale(domain=domain, range=[list(v.dash) for v in lines.values()]), legend=None),
        strokeWidth=alt.StrokeWidth("series:N", scale=alt.Scale(domain=domain, range=[v.width for v in lines.values()]), legend=None),
    )
    return strip(
        [drawn, end_labels(rows, lines, values, name=f"{name} labels")],
        steps,
        values.height,
        phases=phases,
        cursor=cursor,
        top=top,
        bottom=bottom,
        bands=bands,
    )


def strip(
    layers: Sequence[Any],
    steps: StepAxis,
    height: int,
    *,
    phases: pd.DataFrame | None = None,
    cursor: Mapping[str, Any] | None = None,
    top: bool = True,
    bottom: bool = True,
    bands: bool = True,
) -> alt.LayerChart:
    """Layers over steps, with events behind them, the cursor in front and room for labels on the right."""
    behind = event_rules(phases, steps, height=height, labels=top, bands=bands, bottom=bottom)
    front = cursor_rule(cursor or {}, steps, height=height, flag=bottom)
    own = ("color", "strokeDash", "strokeWidth")
    return put_together(*behind, *layers, *front, room(steps.width), width=steps.width, height=height, independent=own)


def strips(*charts: Any, spacing: int = 18) -> Any:
    """Strips of one card, one above the other, on one shared step axis."""
    return below(*charts, spacing=spacing, independent=("color", "x"))
