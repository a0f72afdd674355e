"""Runs upon each other: a clock per run turns its steps into aligned ones, and back.

`step`: as they are. `turn`: counted from the turn of the test loss, negative before it. `phase`: 0 memorised, 1 the turn, 2 generalised, straight
between them; the time before memorising is stretched to -1 .. 0, that after generalising to 2 .. 3, so that every run begins at -1 and ends at 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..reports.model import Align
from ..runs.run import Run
from .moments import events_of

if TYPE_CHECKING:
    from ..workspace import Workspace

PHASES = {"memorised": 0.0, "turn": 1.0, "generalised": 2.0}
"""Event -> its place on the axis of phases."""
FIRST, LAST = -1.0, 3.0


@dataclass(frozen=True)
class Clock:
    """Steps -> aligned steps, straight between `anchors` (step, aligned), both rising; beyond the ends at the pace of the nearest stretch."""

    anchors: tuple[tuple[float, float], ...] = ((0.0, 0.0), (1.0, 1.0))

    def aligned(self, step: Any) -> Any:
        """Of one step, or of an array of them."""
        return _between(step, *zip(*self.anchors, strict=True))

    def step(self, aligned: Any) -> Any:
        """The inverse of `aligned`."""
        return _between(aligned, *reversed(list(zip(*self.anchors, strict=True))))


@dataclass(frozen=True)
class Shift:
    """From the steps of the page's run to those of another: both stand at the same aligned step."""

    page: Clock
    own: Clock

    def step(self, step: int) -> int:
        """At least 0, rounded: a run has no step before its first."""
        return max(0, round(float(self.own.step(self.page.aligned(step)))))


def clock(align: Align, events: Mapping[str, float], last: float) -> Clock | str:
    """The clock of a run with these events and this last step; or, in words, why it cannot be aligned so."""
    if align == "step":
        return Clock()
    if align == "turn":
        turn = events.get("turn")
        return "has no turn" if turn is None else Clock(((turn, 0.0), (turn + 1.0, 1.0)))
    if missing := [name for name in PHASES if name not in events]:
        return f"has not {missing[0]}" if missing[0] != "turn" else "has no turn"
    anchors = [(0.0, FIRST), *((events[name], at) for name, at in PHASES.items()), (float(last), LAST)]
    if any(b[0] <= a[0] for a, b in pairwise(anchors)):
        return "has its events in another order, or at one step"
    return Clock(tuple(anchors))


def clocks(workspace: Workspace, runs: list[Run], align: Align) -> dict[str, Clock | str]:
    """Run -> its clock, or why it has none. `phases` must have been computed for any alignment but by step."""
    found: dict[str, Clock | str] = {}
    for run in runs:
        events = {} if align == "step" else events_of(workspace, run)
        said = clock(align, events, run.steps[-1] if run.steps else 0)
        found[run.name] = f"{said} (`strobe analyze {run.name} -a phases` finds the events)" if isinstance(said, str) and not events else said
    return found


def anchors(given: Clock, wanted: Clock) -> list[tuple[float, float]]:
    """From steps of the one to steps of the other at the same aligned step, straight between these points and on beyond them."""
    places = sorted({aligned for clock in (given, wanted) for _, aligned in clock.anchors})
    return [(float(given.step(a)), float(wanted.step(a))) for a in places]


def read_off(at: float, points: Sequence[tuple[float, float]]) -> float:
    """Where the points of `anchors` lead to from a place. Twin of `stepOf` in the board's `pick.js`."""
    return float(_between(at, *zip(*points, strict=True)))


def _between(x: Any, given: tuple[float, ...], wanted: tuple[float, ...]) -> Any:
    """Straight between the points, and on beyond them."""
    xs, ys = np.array(given), np.array(wanted)
    at = np.clip(np.searchsorted(xs, x) - 1, 0, len(xs) - 2)
    return ys[at] + (np.asarray(x, dtype=float) - xs[at]) / (xs[at + 1] - xs[at]) * (ys[at + 1] - ys[at])
