from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

import strobe
from strobe import Analyzer, dim, hookimpl, metric


class Signal(NamedTuple):
    """The recorded, non-null points of one column of the metrics, in order of steps."""

    name: str
    steps: np.ndarray  # [point] int64
    values: np.ndarray  # [point] float64


class Phases(Analyzer):
    """When a run memorised and when it generalised, with the interval between recorded points in which each event lies.

    memorised: first train loss below `memorised_below`. peak: highest test loss. turn: first step after the peak with log test loss below
    (log peak + log `generalised_below`) / 2. generalised: first test loss below `generalised_below` that stays so. accurate: first test accuracy
    of `accurate_from` or more that stays so. regress: the lowest test loss after generalising, when the last is more than `regress_rise` above it.
    Works on the raw points of each signal, never on a resampled curve. An event that did not happen has a row of nulls: that is a result.
    Thresholds are in nats, and so for answers that are classes. Cost: one look at the metrics.
    """

    answers = "classes"

    memorised_below: float = 0.01
    generalised_below: float = 0.1
    accurate_from: float = 0.95
    regress_rise: float = 0.1

    class Row(strobe.Row):
        signal: str = dim("recorded metric that the event is read from")
        event: str = dim("memorised, peak, turn, generalised, accurate or regress")
        at_step: int | None = metric("first recorded step at which it holds; null when it never does", unit="step")
        interpolated_step: float | None = metric(
            "where the threshold is crossed in the bracket: log-linear for losses, linear for accuracy", unit="step"
        )
        lower: int | None = metric("recorded step before it", unit="step")
        upper: int | None = metric("end of the bracket: at_step, or for peak and regress the recorded step after it", unit="step")
        value: float | None = metric("the signal at at_step: nats for losses, 0..1 for accuracy", unit="1")
        rise: float | None = metric("regress only: last test loss over the lowest, less 1", unit="1")

    @hookimpl
    def analyze_results(self, metrics: pd.DataFrame) -> Iterator[Row]:
        train, test, accuracy = (_signal(metrics, name) for name in ("train_loss", "test_loss", "test_accuracy"))
        peak = int(np.argmax(test.values)) if len(test.values) else None
        generalised = _settles(test.values < self.generalised_below)
        yield self._crossing(train, "memorised", _first(train.values < self.memorised_below), self.memorised_below)
        yield self._extremum(test, "peak", peak)
        yield self._turn(test, peak)
        yield self._crossing(test, "generalised", generalised, self.generalised_below)
        yield self._crossing(accuracy, "accurate", _settles(accuracy.values >= self.accurate_from), self.accurate_from, log=False)
        yield self._regress(test, generalised)

    def _turn(self, test: Signal, peak: int | None) -> Row:
        if peak is None or test.values[peak] <= self.generalised_below:  # never bad: there is nothing to turn from
            return self._none(test, "turn")
        threshold = math.sqrt(test.values[peak] * self.generalised_below)
        below = _first(test.values[peak:] < threshold)
        return self._crossing(test, "turn", None if below is None else peak + below, threshold)

    def _regress(self, test: Signal, generalised: int | None) -> Row:
        if generalised is None:
            return self._none(test, "regress")
        lowest = generalised + int(np.argmin(test.values[generalised:]))
        rise = test.values[-1] / test.values[lowest] - 1 if test.values[lowest] > 0 else 0.0
        return self._extremum(test, "regress", lowest, float(rise)) if rise > self.regress_rise else self._none(test, "regress")

    def _crossing(self, signal: Signal, event: str, i: int | None, threshold: float, *, log: bool = True) -> Row:
        if i is None:
            return self._none(signal, event)
        lower = max(i - 1, 0)  # below from the first point on: the bracket is that point
        step = _interpolated(signal, lower, i, threshold, math.log if log else float)
        return self._row(signal, event, i, step, lower, i)

    def _extremum(self, signal: Signal, event: str, i: int | None, rise: float | None = None) -> Row:
        if i is None:
            return self._none(signal, event)
        return self._row(signal, event, i, float(signal.steps[i]), max(i - 1, 0), min(i + 1, len(signal.steps) - 1), rise)

    def _row(self, signal: Signal, event: str, i: int, step: float, lower: int, upper: int, rise: float | None = None) -> Row:
        return self.Row(
            signal=signal.name,
            event=event,
            at_step=int(signal.steps[i]),
            interpolated_step=step,
            lower=int(signal.steps[lower]),
            upper=int(signal.steps[upper]),
            value=float(signal.values[i]),
            rise=rise,
        )

    def _none(self, signal: Signal, event: str) -> Row:
        nothing = dict.fromkeys(("at_step", "interpolated_step", "lower", "upper", "value", "rise"))
        return self.Row(signal=signal.name, event=event, **nothing)


def _signal(metrics: pd.DataFrame | None, name: str) -> Signal:
    if metrics is None or name not in metrics or "step" not in metrics:
        return Signal(name, np.zeros(0, np.int64), np.zeros(0))
    points = metrics[["step", name]].dropna().drop_duplicates("step", keep="last").sort_values("step")
    return Signal(name, points["step"].to_numpy(np.int64), points[name].to_numpy(np.float64))


def _first(holds: np.ndarray) -> int | None:
    return int(np.argmax(holds)) if holds.any() else None


def _settles(holds: np.ndarray) -> int | None:
    """The first point from which on it always holds."""
    if not len(holds) or not holds[-1]:
        return None
    return len(holds) - int(np.argmin(holds[::-1])) if not holds.all() else 0


def _interpolated(signal: Signal, lower: int, upper: int, threshold: float, scale: Callable[[float], float]) -> float:
    """Where the straight line between two points crosses the threshold, on the given scale; the upper point where there is no such line."""
    a, b = signal.values[lower], signal.values[upper]
    if lower == upper or not (np.isfinite([a, b]).all() and (scale is float or min(a, b) > 0)):
        return float(signal.steps[upper])
    share = (scale(threshold) - scale(a)) / (scale(b) - scale(a))
    return float(signal.steps[lower] + share * (signal.steps[upper] - signal.steps[lower]))
