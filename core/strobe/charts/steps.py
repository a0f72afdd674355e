"""The step axis, what happened on it (events), where we are on it (the cursor), and curves thinned to what a screen can show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd

from .data import dataset
from .spans import spanned
from .theme import WIDTH, look

StepScale = Literal["sqrt", "log", "linear"]
Align = Literal["step", "turn", "phase"]
AFTER = {"sqrt": "steps after the turn (√ scale)", "log": "steps after the turn (log scale)", "linear": "steps after the turn"}
PHASES = {-1: "start", 0: "memorised", 1: "turn", 2: "generalised", 3: "end"}
TITLES = {"sqrt": "step (√ scale)", "log": "step (log scale)", "linear": "step (linear)"}
LADDER = (0, 0.25, 1, 2, 4, 6, 8, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100)
STEP_LABEL = "replace(abs(datum.value) >= 1000 ? datum.value / 1000 + 'k' : '' + datum.value, '-', '−')"


@dataclass(frozen=True)
class StepAxis:
    """The x axis of everything over training: 0 stays on it, and with the square root every event is legible."""

    first: float = 0
    last: float = 1
    width: int = WIDTH
    scale: StepScale = "sqrt"
    align: Align = "step"
    """`turn`: steps are counted from the turn, negative before it; `phase`: -1 start, 0 memorised, 1 turn, 2 generalised, 3 end."""

    def warp(self, step: Any) -> Any:
        """Steps on the scale of the axis, before stretching to pixels; the same on both sides of nought."""
        step = np.asarray(step, dtype=float)
        if self.scale == "linear":
            return step
        return np.sign(step) * (np.sqrt(np.abs(step)) if self.scale == "sqrt" else np.log1p(np.abs(step)))

    def pixel(self, step: Any) -> Any:
        """Pixels from the left end of the plot."""
        lo, hi = self.warp(self.first), self.warp(self.last)
        return (self.warp(step) - lo) / max(hi - lo, 1e-12) * self.width

    def ticks(self, gap: float = 30) -> list[float]:
        """Round steps at least `gap` pixels apart: 0 250 1k 2k 4k 6k 8k 10k 15k 20k 25k and their like at other lengths."""
        return list(_ticks(self, gap))

    def x(self, field: str = "step", *, labels: bool = True) -> alt.X:
        """The encoding. `labels=False` for all but the last of several strips that share the axis."""
        types: dict[str, dict[str, Any]] = {"sqrt": {"type": "sqrt"}, "log": {"type": "symlog", "constant": 1}, "linear": {"type": "linear"}}
        scale = alt.Scale(domain=[self.first, self.last], nice=False, zero=False, **types[self.scale])
        if not labels:
            return alt.X(f"{field}:Q", scale=scale, axis=alt.Axis(values=self.ticks(), labels=False, ticks=False, title=None))
        if self.align == "phase":
            said = " : ".join(f"datum.value == {at} ? '{name}'" for at, name in PHASES.items()) + " : ''"
            return alt.X(f"{field}:Q", scale=scale, axis=alt.Axis(values=self.ticks(), labelExpr=said, title="phase"))
        title = AFTER[self.scale] if self.align == "turn" else TITLES[self.scale]
        return alt.X(f"{field}:Q", scale=scale, axis=alt.Axis(values=self.ticks(), labelExpr=STEP_LABEL, title=title))


@lru_cache(maxsize=256)
def _ticks(axis: StepAxis, gap: float) -> tuple[float, ...]:
    """Kept, as every layer over steps asks for them."""
    if axis.align == "phase":
        return tuple(at for at in PHASES if axis.first <= at <= axis.last)
    unit = 10.0 ** (math.floor(math.log10(max(axis.last, -axis.first, 1))) - 1)
    ladder = [10.0**e for e in range(12)] if axis.scale == "log" else [unit * r for r in LADDER]
    wanted = [0, *ladder, *(-t for t in ladder if axis.first < 0)]
    outwards = sorted({float(round(t)) for t in wanted if axis.first <= round(t) <= axis.last}, key=lambda t: (abs(t), t))
    kept: list[float] = []
    for tick in outwards if axis.first < 0 else sorted(outwards):
        if all(abs(axis.pixel(tick) - axis.pixel(other)) >= gap for other in kept):
            kept.append(tick)
    return tuple(sorted(kept))


def step_axis(steps: Iterable[float] = (), *, width: int = WIDTH, scale: StepScale = "sqrt", align: Align = "step") -> StepAxis:
    """The axis that spans `steps`: a run's own, or those of several runs, aligned."""
    known = list(spanned("step", align, [float(s) for s in steps if s is not None and not math.isnan(float(s))]))
    first, last = (min(known), max(known)) if known else (0.0, 1.0)
    if align == "phase":
        return StepAxis(-1, 3, width, "linear", align)
    if align == "turn":
        return StepAxis(min(first, 0.0), max(last, 1.0), width, scale, align)
    return StepAxis(first if last > first else 0.0, max(last, 1.0), width, scale)


# --- events ------------------------------------------------------------------------------------------------------------------------------------

PRIORITY = ("turn", "generalised", "memorised", "peak", "regress", "accurate")
BANDS = {"phase-memorise": (None, "memorised"), "phase-turn": ("turn", "generalised"), "phase-regress": ("regress", None)}
CHARACTER, MARGIN, ROW = 5.6, 3, -22
"""Width of a character and gap to the rule, px, at the size of an event label; its height above the plot, over the axis title."""


@dataclass(frozen=True)
class Placed:
    """An event label: at its rule, starting there or ending there."""

    event: str
    step: float
    side: Literal["start", "end"]


def event_steps(phases: pd.DataFrame | None) -> dict[str, float]:
    """Event -> step (interpolated where known), of the table `phases`. Events that were not found are left out: none is drawn that was not found."""
    found: dict[str, float] = {}
    if phases is None or "event" not in phases:
        return found
    for row in phases.to_dict("records"):
        steps = [row.get("interpolated_step"), row.get("at_step")][:: -1 if _known_to_the_step(row) else 1]
        step = next((float(s) for s in steps if s is not None and not pd.isna(s)), None)
        if step is not None:
            found.setdefault(str(row["event"]), step)
    return found


def _known_to_the_step(row: Mapping[Any, Any]) -> bool:
    """Whether the two recorded steps that bracket an event are neighbours: then nothing lies between them."""
    bracket: list[Any] = [row.get("lower"), row.get("upper")]
    return not any(pd.isna(step) for step in bracket) and bracket[1] - bracket[0] <= 1


def place_labels(events: Mapping[str, float], axis: StepAxis) -> list[Placed]:
    """Which labels fit: the more telling event first; of two close events the earlier label ends at its rule and the later one starts there."""
    order = [e for e in PRIORITY if e in events] + [e for e in events if e not in PRIORITY]
    kept: list[str] = []
    for event in order:
        trial = sorted([*kept, event], key=lambda e: events[e])
        if _clear(_sides(trial, events, axis), axis):
            kept = trial
    return _sides(kept, events, axis)


def _sides(names: Sequence[str], events: Mapping[str, float], axis: StepAxis) -> list[Placed]:
    placed = []
    for name, following in zip(names, [*names[1:], None], strict=False):
        room = axis.pixel(events[following]) - axis.pixel(events[name]) if following else math.inf
        close = room < len(name) * CHARACTER + 2 * MARGIN
        placed.append(Placed(name, events[name], "end" if close else "start"))
    return placed


def _clear(placed: Sequence[Placed], axis: StepAxis) -> bool:
    spans = []
    for label in placed:
        at, length = float(axis.pixel(label.step)), len(label.event) * CHARACTER + MARGIN
        spans.append((at, at + length) if label.side == "start" else (at - length, at))
    return all(a[1] <= b[0] for a, b in pairwise(spans)) and all(a >= -50 for a, _ in spans)


def event_rules(
    phases: pd.DataFrame | None, axis: StepAxis, *, height: int, labels: bool = True, bands: bool = True, bottom: bool = True
) -> list[alt.Chart]:
    """Layers that mark phases: bands behind, dotted rules, and labels above the top strip (`labels=False` on the strips below); the axis
    is written on the `bottom` strip.

    No bands behind stacked areas. Put the layers first, so that the data lie on top.
    """
    events = {name: step for name, step in event_steps(phases).items() if axis.first <= step <= axis.last}
    x = axis.x(labels=bottom)
    layers = _bands(events, axis, height, x) if bands else []
    rules = dataset("events", [{"step": step, "event": name} for name, step in events.items()])
    layers.append(alt.Chart(rules).mark_rule(style="event-rule").encode(x=x, tooltip=[alt.Tooltip("event:N"), alt.Tooltip("step:Q")]))
    if labels:
        texts = dataset("event labels", [{"step": p.step, "event": p.event, "side": p.side} for p in place_labels(events, axis)])
        for side, align, dx in (("start", "left", MARGIN), ("end", "right", -MARGIN)):
            text = alt.Chart(texts).transform_filter(f"datum.side == '{side}'").mark_text(style="event-label", align=align, dx=dx)
            layers.append(text.encode(x=x, y=alt.YValue(ROW), text=alt.Text("event:N")))
    return layers


def _bands(events: Mapping[str, float], axis: StepAxis, height: int, x: alt.X) -> list[alt.Chart]:
    layers = []
    for style, (start, end) in BANDS.items():
        known = all(name is None or name in events for name in (start, end))
        span = [{"step": events[start] if start else axis.first, "until": events[end] if end else axis.last}] if known else []
        band = alt.Chart(dataset(style, [s for s in span if s["until"] > s["step"]])).mark_rect(style=style)
        layers.append(band.encode(x=x, x2=alt.X2("until:Q"), y=alt.YValue(0), y2=alt.Y2Value(height)))
    return layers


# --- cursor ------------------------------------------------------------------------------------------------------------------------------------


def cursor_rows(cursor: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The dataset `cursor`: one row `{"step", "label"}`, none without a step. A page moves the cursor by replacing this dataset alone."""
    step = cursor.get("step")
    if step is None:
        return []
    whole = float(step).is_integer()  # a phase is not
    return [{"step": int(step) if whole else step, "label": f"{int(step):,}" if whole else f"{step:.1f}"}]


def cursor_rule(cursor: Mapping[str, Any], axis: StepAxis, *, height: int, flag: bool = True) -> list[alt.Chart]:
    """Layers that mark the cursor's step: an ink rule, and on the last strip a flag on the tick labels. All read the dataset `cursor`."""
    rows = dataset("cursor", cursor_rows(cursor))
    base = alt.Chart(rows).encode(x=axis.x(labels=flag))
    layers = [base.mark_rule(style="cursor-rule", clip=True).encode()]
    if flag:
        mark = base.mark_point(style="cursor-flag", shape=look()["cursor_flag_path"], size=46**2, opacity=1)
        layers.append(mark.encode(y=alt.YValue(height + 13)))
        layers.append(base.mark_text(style="cursor-flag-text").encode(y=alt.YValue(height + 13), text=alt.Text("label:N")))
    return layers


# --- curves ------------------------------------------------------------------------------------------------------------------------------------


def thin(rows: pd.DataFrame, axis: StepAxis, value: str = "value", *, step: str = "step", per_pixel: float = 0.5) -> pd.DataFrame:
    """A curve with as many points as the axis can show: first, last, lowest and highest of each bucket of `1 / per_pixel` pixels.

    25,000 epochs become at most 4 points a bucket, and no spike is lost.
    """
    if len(rows) <= 4 * axis.width * per_pixel:
        return rows
    bucket = np.floor(axis.pixel(rows[step].to_numpy()) * per_pixel).astype(int)
    groups = rows.reset_index(drop=True).groupby(bucket, sort=True)
    kept = [groups[step].idxmin(), groups[step].idxmax(), groups[value].idxmin(), groups[value].idxmax()]
    return rows.iloc[sorted({int(i) for index in kept for i in index.dropna()})]
