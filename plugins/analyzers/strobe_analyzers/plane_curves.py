"""Polylines in a plane: where they cross themselves, what they enclose, how they bend, and which sine waves they resemble."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Crossing(NamedTuple):
    """Two segments of a polyline that meet: segment i runs from point i to i + 1. `t`, `u`: where on the first and the second, 0..1."""

    i: int
    j: int
    t: float
    u: float
    angle: float
    """Between the two, in degrees: 0 (alongside) to 90."""


def crossings(points: np.ndarray, least_angle: float = 0.0) -> list[Crossing]:
    """Where a polyline [n, 2] crosses itself at `least_angle` degrees or more. Segments that share a point do not cross; O(n^2)."""
    if len(points) < 4:
        return []
    start, move = points[:-1], np.diff(points, axis=0)
    i, j = np.triu_indices(len(move), 2)
    a, b, between = move[i], move[j], start[j] - start[i]
    cross = _cross(a, b)
    with np.errstate(divide="ignore", invalid="ignore"):
        t, u = _cross(between, b) / cross, _cross(between, a) / cross
        angle = np.degrees(np.arctan2(np.abs(cross), np.abs((a * b).sum(1))))
    meet = (cross != 0) & (t >= 0) & (t < 1) & (u >= 0) & (u < 1) & (angle >= least_angle)
    return [Crossing(int(i[k]), int(j[k]), float(t[k]), float(u[k]), float(angle[k])) for k in np.flatnonzero(meet)]


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def same_place(a: Crossing, b: Crossing) -> bool:
    """Whether two crossings are between the same stretches of the path: segments equal or next to each other."""
    return abs(a.i - b.i) <= 1 and abs(a.j - b.j) <= 1


def survives(points: np.ndarray, crossing: Crossing, least_angle: float) -> bool:
    """Whether the crossing is still there when any one of its four points is left out (the others do not touch it)."""
    return all(_without(points, crossing, v, least_angle) for v in {crossing.i, crossing.i + 1, crossing.j, crossing.j + 1})


def _without(points: np.ndarray, crossing: Crossing, vertex: int, least_angle: float) -> bool:
    kept = np.delete(np.arange(len(points)), vertex)

    def touches(segment: int, original: int) -> bool:
        return bool(kept[segment] <= original + 1 and kept[segment + 1] >= original)

    found = crossings(points[kept], least_angle)
    return any(touches(c.i, crossing.i) and touches(c.j, crossing.j) for c in found)


def length(points: np.ndarray) -> float:
    """Length of a polyline [n, d]."""
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def signed_area(points: np.ndarray) -> float:
    """Shoelace area of a polyline [n, 2] closed by its chord: positive counter-clockwise, a figure of eight cancels."""
    x, y = points.T
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) if len(points) else 0.0


def total_turning(points: np.ndarray) -> float:
    """Sum of the angles by which a polyline [n, 2] turns at its points, without sign, in radians: 0 straight, 2 pi once around."""
    move = np.diff(points, axis=0)
    move = move[np.linalg.norm(move, axis=1) > 0]
    if len(move) < 2:
        return 0.0
    return float(np.abs(np.arctan2(_cross(move[:-1], move[1:]), (move[:-1] * move[1:]).sum(1))).sum())


def closest_return(distances: np.ndarray, away: float) -> tuple[float, int, int] | None:
    """(distance over diameter, i, j) of the two points that lie closest among those with `away` diameters of path or more between them.

    `distances` [n, n]. None when no two points are that far apart along the path, or nothing moves.
    """
    diameter = distances.max(initial=0.0)
    if diameter == 0:
        return None
    along = np.r_[0, np.cumsum(np.diagonal(distances, 1))]
    far = along[None] - along[:, None] >= away * diameter
    if not far.any():
        return None
    i, j = np.unravel_index(np.where(far, distances, np.inf).argmin(), distances.shape)
    return float(distances[i, j] / diameter), int(i), int(j)


class Wave(NamedTuple):
    """The sine wave that fits a signal best: half-periods over the whole path, and the share of variance it explains, 0..1."""

    frequency: float
    explained: float


FREQUENCIES = np.arange(0.5, 8.01, 0.05)


def sine_fit(where: np.ndarray, values: np.ndarray) -> Wave:
    """Least squares of offset + a cos(pi f s) + b sin(pi f s) over f = 0.5, 0.55, ..., 8 half-periods; `where` s in 0..1."""
    best = Wave(float("nan"), -1.0)
    total = float(((values - values.mean()) ** 2).sum())
    for f in FREQUENCIES:
        design = np.stack([np.ones_like(where), np.cos(np.pi * f * where), np.sin(np.pi * f * where)], 1)
        coefficients = np.linalg.lstsq(design, values, rcond=None)[0]
        explained = 1 - float(((values - design @ coefficients) ** 2).sum()) / total if total > 0 else 0.0
        if explained > best.explained + 1e-12:
            best = Wave(float(f), explained)
    return best
