"""Dates of a signal sampled at steps: where it first falls below a level, where it changes fastest, when it is half-way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Date(NamedTuple):
    """A date inside an interval between samples: `step` is interpolated."""

    step: float
    lower: int
    upper: int


def first_below(steps: np.ndarray, values: np.ndarray, level: float) -> Date | None:
    """The first sample below `level` after one at or above it, interpolated linearly. None when there is none; below from the start is none."""
    below = values < level
    falls = np.flatnonzero(below[1:] & ~below[:-1])
    if not len(falls):
        return None
    return _between(steps, values, int(falls[0]), level)


def _between(steps: np.ndarray, values: np.ndarray, i: int, level: float) -> Date:
    share = (level - values[i]) / (values[i + 1] - values[i])
    return Date(float(steps[i] + share * (steps[i + 1] - steps[i])), int(steps[i]), int(steps[i + 1]))


def steepest(steps: np.ndarray, values: np.ndarray, sign: int) -> tuple[Date, float] | None:
    """The interval in which log values rise (`sign` 1) or fall (-1) fastest per step, dated at its middle, and that slope; None when never."""
    if len(values) < 2:
        return None
    slopes = sign * np.diff(np.log(values)) / np.diff(steps)
    i = int(np.argmax(slopes))
    if not slopes[i] > 0:
        return None
    return Date(float(steps[i] + steps[i + 1]) / 2, int(steps[i]), int(steps[i + 1])), float(sign * slopes[i])


def share_done(steps: np.ndarray, values: np.ndarray, share: float, sign: int) -> Date | None:
    """When log values have made `share` of their change from first to last for good. None when they did not change in the direction of `sign`."""
    log = sign * np.log(values)
    if len(log) < 2 or log[-1] <= log[0]:
        return None
    level = log[0] + share * (log[-1] - log[0])
    return _between(steps, log, int(np.flatnonzero(log < level)[-1]), level)


def largest_rise(values: np.ndarray) -> float:
    """After the highest value, how far it rises above the lowest so far, relative to that: 0 for a decline that never rises."""
    tail = values[int(np.argmax(values)) :]
    lowest = np.minimum.accumulate(tail)
    return float((tail / lowest - 1).max())
