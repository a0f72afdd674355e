"""How fast a loss falls."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pydantic import Field

import strobe
from strobe import Analyzer, dim, hookimpl, metric

SIGNALS = ("train_loss", "test_loss")


class LossSlope(Analyzer):
    """Slope of log10 of each recorded loss over steps, in decades per 1,000 steps: negative while it falls, near 0 on a plateau.

    At a step s it is the least-squares line through the recorded points within `window` * s on either side, at its true steps, and through no fewer
    than `min_points` points (the nearest ones then), so that a late slope is an average over more steps than an early one. A loss that falls
    tenfold every 1,000 steps has -1, a constant one exactly 0. Points that are not finite or not above 0 have no logarithm and are left out.
    At most `places` steps, evenly spaced in sqrt(step), first and last among them. `lower` and `upper` are the ends of the window.
    Less than two points have no slope and no row. No forward: reads the metrics, 15 ms for 25,000 epochs.
    """

    window: float = Field(0.02, gt=0, lt=1, description="half-width of the window, as a share of the step")
    min_points: int = Field(3, ge=2, description="points that a slope is taken of at least, where as many were recorded")
    places: int = Field(400, ge=2, description="steps at which it is taken, at most")

    class Row(strobe.Row):
        signal: str = dim("recorded loss")
        step: int = dim("recorded step in the middle of the window")
        slope: float = metric("change of log10 of the loss per 1,000 steps; negative while it falls", unit="decades/1000 steps")
        lower: int = metric("first recorded step of the window", unit="step")
        upper: int = metric("last recorded step of the window", unit="step")
        points: int = metric("recorded points that the line goes through", unit="points")

    @hookimpl
    def analyze_results(self, metrics: pd.DataFrame) -> Iterator[Row]:
        for signal in SIGNALS:
            steps, values = _logarithms(metrics, signal)
            if len(steps) > 1:
                yield from self._rows(signal, steps, values)

    def _rows(self, signal: str, steps: np.ndarray, values: np.ndarray) -> Iterator[Row]:
        at = _places(steps, self.places)
        for i, a, b in zip(at, *self._windows(steps, at), strict=True):
            slope = 1000 * slope_of(steps[a:b], values[a:b])
            yield self.Row(signal=signal, step=int(steps[i]), slope=slope, lower=int(steps[a]), upper=int(steps[b - 1]), points=int(b - a))

    def _windows(self, steps: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First index and the one after the last, of the window around each place."""
        middle, reach = steps[at].astype(float), self.window * np.abs(steps[at])
        low, high = np.searchsorted(steps, middle - reach, "left"), np.searchsorted(steps, middle + reach, "right")
        wanted = min(self.min_points, len(steps))
        nearest = np.clip(at - wanted // 2, 0, len(steps) - wanted)
        few = high - low < wanted
        return np.where(few, nearest, low), np.where(few, nearest + wanted, high)


def slope_of(steps: np.ndarray, values: np.ndarray) -> float:
    """Slope of the least-squares line through points at different steps, per step."""
    x = steps - steps.mean()
    return float(x @ (values - values.mean()) / (x @ x))


def _logarithms(metrics: pd.DataFrame | None, signal: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and log10 of the recorded values that have one, in order of steps."""
    if metrics is None or signal not in metrics or "step" not in metrics:
        return np.zeros(0, np.int64), np.zeros(0)
    points = metrics[["step", signal]].dropna().drop_duplicates("step", keep="last").sort_values("step")
    values = points[signal].to_numpy(np.float64)
    told = np.isfinite(values) & (values > 0)
    return points["step"].to_numpy(np.int64)[told], np.log10(values[told])


def _places(steps: np.ndarray, most: int) -> np.ndarray:
    """Indices of the recorded points nearest to places evenly spaced in sqrt(step)."""
    if len(steps) <= most:
        return np.arange(len(steps))
    at = np.sqrt(np.abs(steps.astype(float)))
    wanted = np.linspace(at[0], at[-1], most)
    after = np.clip(np.searchsorted(at, wanted), 1, len(at) - 1)
    return np.unique(np.where(wanted - at[after - 1] < at[after] - wanted, after - 1, after))
