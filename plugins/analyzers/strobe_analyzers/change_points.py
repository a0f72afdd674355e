"""Where a loss curve bends."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pydantic import Field

import strobe
from strobe import Analyzer, dim, hookimpl, metric

SIGNALS = ("train_loss", "test_loss")
EXACT = 1e-9
"""RMS below which a fit is exact (of log10 values): no further break can be told from rounding."""


class ChangePoints(Analyzer):
    """Breaks of the straight lines that log10 of each loss follows: piecewise-linear least squares over the recorded points, at their true steps.

    Each segment has its own line and at least `min_points` points. Among 0 to `max_breaks` breaks the best positions are found exactly (dynamic
    programming, O(n^2)); a break is kept only if it lowers the RMS residual by `improvement` or more. Starts at the signal's highest point
    (or at `from_step`), so that the rise before it is no break. A curve of more than `max_points` points is taken at every n-th of them. A signal
    without breaks has one row of nulls: that is a result. White noise has none; piecewise-constant data break exactly at the joins.
    """

    max_breaks: int = Field(4, ge=0, le=10)
    min_points: int = Field(3, ge=2)
    improvement: float = Field(0.3, gt=0, lt=1)
    from_step: int | None = Field(None, ge=0)
    max_points: int = Field(500, ge=10)

    class Row(strobe.Row):
        signal: str = dim("recorded loss")
        index: int | None = dim("which break, from 1; null when there is none")
        at_step: int | None = metric("first point of the new segment", unit="step")
        lower: int | None = metric("last point of the old segment: the break lies between", unit="step")
        upper: int | None = metric("the same as at_step", unit="step")
        slope_before: float | None = metric("slope of log10 loss before the break, decades per 1,000 steps", unit="1/kstep")
        slope_after: float | None = metric("slope after it", unit="1/kstep")
        rms: float | None = metric("root mean square residual of the fit with all breaks, in decades", unit="1")
        rms_straight: float | None = metric("of one straight line, in decades", unit="1")
        points: int = metric("points that were fitted", unit="1")

    @hookimpl
    def analyze_results(self, metrics: pd.DataFrame) -> Iterator[Row]:
        for signal in SIGNALS:
            steps, values = self._points(metrics, signal)
            yield from self._breaks(signal, steps, values)

    def _points(self, metrics: pd.DataFrame | None, signal: str) -> tuple[np.ndarray, np.ndarray]:
        if metrics is None or signal not in metrics or "step" not in metrics:
            return np.zeros(0), np.zeros(0)
        known = metrics[["step", signal]].dropna().drop_duplicates("step", keep="last").sort_values("step")
        known = known[(known[signal] > 0) & np.isfinite(known[signal])]
        steps, values = known["step"].to_numpy(float), np.log10(known[signal].to_numpy(float))
        start = (int(np.argmax(values)) if len(values) else 0) if self.from_step is None else int(np.searchsorted(steps, self.from_step))
        every = max(1, -(-(len(steps) - start) // self.max_points))
        return steps[start::every], values[start::every]

    def _breaks(self, signal: str, steps: np.ndarray, values: np.ndarray) -> Iterator[Row]:
        n = len(steps)
        nothing = dict.fromkeys(("index", "at_step", "lower", "upper", "slope_before", "slope_after", "rms", "rms_straight"))
        if n < 2 * self.min_points:
            yield self.Row(signal=signal, points=n, **nothing)
            return
        fits = piecewise(steps, values, self.max_breaks, self.min_points)
        breaks, rms = _kept(fits, self.improvement)
        slopes = [float(np.polyfit(steps[i:j], values[i:j], 1)[0]) * 1e3 for i, j in zip([0, *breaks], [*breaks, n], strict=True)]
        for index, i in enumerate(breaks):
            yield self.Row(
                signal=signal,
                index=index + 1,
                at_step=int(steps[i]),
                lower=int(steps[i - 1]),
                upper=int(steps[i]),
                slope_before=slopes[index],
                slope_after=slopes[index + 1],
                rms=rms,
                rms_straight=fits[0][1],
                points=n,
            )
        if not breaks:
            yield self.Row(signal=signal, points=n, **{**nothing, "rms": rms, "rms_straight": rms})


def _kept(fits: list[tuple[list[int], float]], improvement: float) -> tuple[list[int], float]:
    """The fit with the most breaks of which each pays: b - a further breaks lower the RMS to (1 - improvement)^(b - a) of it or less."""
    best = 0
    for b in range(1, len(fits)):
        if fits[best][1] > EXACT and fits[b][1] <= (1 - improvement) ** (b - best) * fits[best][1]:
            best = b
    return fits[best]


def piecewise(x: np.ndarray, y: np.ndarray, max_breaks: int, min_points: int) -> list[tuple[list[int], float]]:
    """For 0, 1, .. breaks: first indices of the later segments, and the RMS residual, of the best fit by a line per segment."""
    n = len(x)
    cost = _segment_costs(x, y, min_points)  # [start, end]
    total, choices, fits = cost[0].copy(), [], [([], float(np.sqrt(max(cost[0, n], 0) / n)))]
    for _ in range(max_breaks):
        reached = total[:n, None] + cost  # [start of the last segment, end]
        choices.append(reached.argmin(0))
        total = reached.min(0)
        if not np.isfinite(total[n]):
            break
        end, breaks = n, []
        for choice in reversed(choices):
            end = int(choice[end])
            breaks.append(end)
        fits.append((breaks[::-1], float(np.sqrt(max(total[n], 0) / n))))
    return fits


def _segment_costs(x: np.ndarray, y: np.ndarray, min_points: int) -> np.ndarray:
    """Squared residuals of a line through points i .. j - 1, [i, j] for i in 0..n-1 and j in 0..n; infinite for segments that are too short."""
    n = len(x)
    x, y = (x - x.mean()) / max(np.ptp(x), 1e-300), y - y.mean()
    s1, sx, sy, sxx, sxy, syy = (np.r_[0, np.cumsum(v)] for v in (np.ones(n), x, y, x * x, x * y, y * y))
    m, mx, my, mxx, mxy, myy = (s[None, :] - s[:n, None] for s in (s1, sx, sy, sxx, sxy, syy))
    with np.errstate(divide="ignore", invalid="ignore"):
        vx, cxy, vy = mxx - mx**2 / m, mxy - mx * my / m, myy - my**2 / m
        cost = np.where(vx > 0, vy - cxy**2 / vx, vy)
    return np.where(m >= min_points, np.maximum(cost, 0), np.inf)
