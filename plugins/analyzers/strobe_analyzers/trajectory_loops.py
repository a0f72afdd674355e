"""Whether the path through weight space comes back, or only looks as if."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

import strobe
from strobe import Analyzer, Results, array, dim, hookimpl, metric

from . import plane_curves
from .paths import Path, components, paths, random_walk
from .plane_curves import Crossing

PLANES = ((1, 2), (1, 3), (2, 3))
NEGLIGIBLE = 1e-9
"""Share of variance under which a component is rounding: a path in a plane has no third one."""


class Found(NamedTuple):
    """One crossing of a path in a plane."""

    crossing: Crossing
    gap_weighted: bool
    robust: bool
    distance: float
    """Between its two points in the full space, over the diameter of the path."""


class Shape(NamedTuple):
    """What is measured of a path in one plane, and of each random walk that it is compared with."""

    found: list[Found]
    closest: tuple[float, int, int] | None
    area: float
    length: float
    turning: float
    waves: tuple[float, float, float] | None
    """Frequency ratio y over x, the smaller share explained, distance of the ratio from an integer (of it or its inverse)."""


class TrajectoryLoops(Analyzer):
    """Where a path crosses itself in a plane of two principal components, whether that is a return, and how often a random walk does the same.

    A crossing is counted at `least_angle` degrees or more. It is robust when it also survives leaving out any one checkpoint and is there in both the
    unweighted and the gap-weighted basis. Its two points lie somewhere in the full space: under `return_below` diameters of the path apart it is a
    *return*, else a *projection crossing*, and most are. Never call a path self-intersecting without both that distance and the null: the principal
    components of a random walk are cosines, which cross, enclose area and have integer frequency ratios. So the same is measured of `walks` seeded
    random walks with the same steps and step lengths in a space of as many dimensions, and stored beside it.
    Also: the closest return in the plane and in the full space (over the diameter, among points at least `away` diameters of path apart), the
    shoelace area of the path closed by its chord, over its squared length, its turning (2 pi: once around) and mean curvature = turning over length,
    whether it ends where it started, and, on request (`lissajous`), the sine waves in path length that fit the two components.
    Orientation is that of parameter_trajectory. A plane that the path does not span has no row: a straight line has none, nor have two checkpoints.
    Cost: reads checkpoint_products, no weights; 1.5 s for five groups of 43 checkpoints, nearly all of it the walks (lissajous: 40 s).
    """

    consumes = ("checkpoint_products", "parameter_trajectory")

    least_angle: float = Field(15.0, ge=0, le=90)
    return_below: float = Field(0.2, gt=0, le=1)
    away: float = Field(0.5, gt=0)
    walks: int = Field(100, ge=1)
    seed: int = Field(0, ge=0)
    lissajous: bool = False

    class Row(strobe.Row):
        group: str = dim("parameter group")
        x: int = dim("principal component across")
        y: int = dim("principal component up")
        reading: str = dim("return, projection crossing, or none: of the robust crossings")
        closed: bool = dim("whether the path ends within `return_below` diameters of where it started, in the full space")
        start_to_end: float = metric("distance of the last checkpoint from the first over the diameter, full space, 0..1", unit="1")
        crossings: int = metric("crossings in the unweighted basis", unit="1")
        crossings_gap_weighted: int = metric("crossings in the gap-weighted basis", unit="1")
        crossings_robust: int = metric("crossings that survive leaving out any checkpoint and are in both bases", unit="1")
        returns: int = metric("robust crossings whose points are close in the full space too", unit="1")
        null_crossing_rate: float = metric("share of the random walks that cross in the unweighted basis", unit="1")
        null_gap_weighted_rate: float = metric("share of the random walks that cross in the gap-weighted basis", unit="1")
        null_robust_rate: float = metric("share of the random walks with a robust crossing", unit="1")
        null_return_rate: float = metric("share of the random walks with a return", unit="1")
        closest_in_plane: float | None = metric("closest return in the plane, over the diameter there", unit="1")
        closest_in_plane_null: float | None = metric("5th percentile of the same of random walks", unit="1")
        closest: float | None = metric("closest return in the full space, over the diameter", unit="1")
        closest_null: float | None = metric("5th percentile of the same of random walks", unit="1")
        closest_first: int | None = metric("first of the two steps of the closest return in the full space", unit="step")
        closest_second: int | None = metric("second of them", unit="step")
        signed_area: float = metric("area enclosed with the chord, counter-clockwise positive, squared weight units", unit="1")
        area_over_length: float | None = metric("signed area over squared path length in the plane; a circle 1/(4 pi) = 0.080", unit="1")
        area_over_length_null: float | None = metric("95th percentile of its magnitude over random walks", unit="1")
        turning: float = metric("angle turned along the path, radians", unit="rad")
        turning_null: float = metric("median of the same of random walks", unit="rad")
        curvature: float | None = metric("turning over path length in the plane: 1 / radius for a circle", unit="1")
        lissajous_ratio: float | None = metric("frequency of y over that of x, of the sine waves that fit best; null unless asked for", unit="1")
        lissajous_explained: float | None = metric("variance that they explain, the smaller of both", unit="1")
        lissajous_explained_null: float | None = metric("95th percentile of the same of random walks", unit="1")
        lissajous_integer_rate: float | None = metric("share of random walks whose ratio is as near to an integer", unit="1")
        crossing_firsts: np.ndarray = array(
            "step, interpolated, where each crossing is passed first", dims=["crossing"], dtype="float64", unit="step"
        )
        crossing_seconds: np.ndarray = array("step where it is passed again", dims=["crossing"], dtype="float64", unit="step")
        crossing_angles: np.ndarray = array("angle of each crossing", dims=["crossing"], dtype="float64", unit="degree")
        crossing_distances: np.ndarray = array(
            "distance of its two points in the full space, over the diameter", dims=["crossing"], dtype="float64", unit="1"
        )
        crossing_gap_weighted: np.ndarray = array("1: in the gap-weighted basis, 0: in the other", dims=["crossing"], dtype="int64", unit="1")
        crossing_robust: np.ndarray = array("1: robust", dims=["crossing"], dtype="int64", unit="1")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        for path in paths(results["checkpoint_products"]):
            if len(path.steps) > 2 and path.distances.max() > 0:
                rng = np.random.default_rng(self.seed)
                measured = self._shapes(path, _orientation(results["parameter_trajectory"], path))
                walks = [random_walk(path, rng) for _ in range(self.walks)]
                null = [self._shapes(walk, None) for walk in walks]
                away = [plane_curves.closest_return(walk.distances, self.away) for walk in walks]
                for plane in measured:
                    yield self._row(path, plane, measured[plane], [walk[plane] for walk in null if plane in walk], away)

    def _shapes(self, path: Path, orientation: np.ndarray | None) -> dict[tuple[int, int], Shape]:
        """Plane -> shape, for the planes that the path spans."""
        bases = [components(path, 3, gap_weighted=w) for w in (False, True)]
        even, gap = (b.coordinates.numpy() for b in bases)
        if orientation is not None:
            n = min(orientation.shape[1], even.shape[1])
            even = even.copy()
            even[:, :n] *= np.where((even[:, :n] * orientation[:, :n]).sum(0) < 0, -1, 1)
        spanned = min(sum((share or 0) > NEGLIGIBLE for share in b.shares) for b in bases)
        planes = [(x, y) for x, y in PLANES if y <= spanned]
        return {(x, y): self._shape(path, even[:, [x - 1, y - 1]], gap[:, [x - 1, y - 1]]) for x, y in planes}

    def _shape(self, path: Path, even: np.ndarray, gap: np.ndarray) -> Shape:
        flat = np.linalg.norm(even[:, None] - even, axis=2)
        return Shape(
            self._crossings(path, even, gap),
            plane_curves.closest_return(flat, self.away),
            plane_curves.signed_area(even),
            plane_curves.length(even),
            plane_curves.total_turning(even),
            _waves(path, even) if self.lissajous else None,
        )

    def _crossings(self, path: Path, even: np.ndarray, gap: np.ndarray) -> list[Found]:
        places = [(points, plane_curves.crossings(points, self.least_angle)) for points in (even, gap)]
        found = []
        for which, (points, own) in enumerate(places):
            others = places[1 - which][1]
            for c in own:
                robust = any(plane_curves.same_place(c, o) for o in others) and plane_curves.survives(points, c, self.least_angle)
                found.append(Found(c, bool(which), robust, apart(path, c)))
        return found

    def _row(self, path: Path, plane: tuple[int, int], shape: Shape, null: list[Shape], away: list[tuple[float, int, int] | None]) -> Row:
        robust, closest = self._robust(shape), plane_curves.closest_return(path.distances, self.away)
        returns = [f for f in robust if f.distance < self.return_below]
        ends = path.distances[0, -1] / path.distances.max()
        square = shape.length**2
        waves = shape.waves or (None, None, None)
        return self.Row(
            group=path.group,
            x=plane[0],
            y=plane[1],
            reading="return" if returns else "projection crossing" if robust else "none",
            closed=bool(ends < self.return_below),
            start_to_end=float(ends),
            crossings=_count(shape, False),
            crossings_gap_weighted=_count(shape, True),
            crossings_robust=len(robust),
            returns=len(returns),
            null_crossing_rate=float(np.mean([_count(s, False) > 0 for s in null])),
            null_gap_weighted_rate=float(np.mean([_count(s, True) > 0 for s in null])),
            null_robust_rate=float(np.mean([bool(self._robust(s)) for s in null])),
            null_return_rate=float(np.mean([any(f.distance < self.return_below for f in self._robust(s)) for s in null])),
            closest_in_plane=shape.closest[0] if shape.closest else None,
            closest_in_plane_null=_percentile([s.closest[0] for s in null if s.closest], 5),
            closest=closest[0] if closest else None,
            closest_null=_percentile([c[0] for c in away if c], 5),
            closest_first=int(path.steps[closest[1]]) if closest else None,
            closest_second=int(path.steps[closest[2]]) if closest else None,
            signed_area=shape.area,
            area_over_length=shape.area / square if square > 0 else None,
            area_over_length_null=_percentile([abs(s.area) / s.length**2 for s in null if s.length > 0], 95),
            turning=shape.turning,
            turning_null=float(np.median([s.turning for s in null])),
            curvature=shape.turning / shape.length if square > 0 else None,
            lissajous_ratio=waves[0],
            lissajous_explained=waves[1],
            lissajous_explained_null=_percentile([s.waves[1] for s in null if s.waves], 95),
            lissajous_integer_rate=float(np.mean([s.waves[2] <= shape.waves[2] + 1e-9 for s in null if s.waves])) if shape.waves else None,
            **_arrays(path, shape.found),
        )

    def _robust(self, shape: Shape) -> list[Found]:
        """Robust crossings, each once: as it lies in the unweighted basis."""
        return [f for f in shape.found if f.robust and not f.gap_weighted]


def _count(shape: Shape, gap_weighted: bool) -> int:
    return sum(f.gap_weighted == gap_weighted for f in shape.found)


def _percentile(values: list[float], q: float) -> float | None:
    return float(np.percentile(values, q)) if values else None


def apart(path: Path, c: Crossing) -> float:
    """Distance in the full space between the two points of the path that coincide in the plane, over its diameter."""
    between = np.zeros(len(path.steps))
    for index, weight in ((c.i, 1 - c.t), (c.i + 1, c.t), (c.j, c.u - 1), (c.j + 1, -c.u)):
        between[index] += weight
    return float(np.sqrt(max(between @ path.products @ between, 0)) / path.distances.max())


def _orientation(table: pd.DataFrame, path: Path) -> np.ndarray | None:
    """Coordinates of the same group and steps in parameter_trajectory, whose signs are defined by the weights."""
    rows = table[(table["group"] == path.group) & table["step"].isin(path.steps)]
    if not len(rows):
        return None
    known = rows.pivot(index="step", columns="component", values="coordinate").sort_index().astype(float)
    return known.to_numpy() if len(known) == len(path.steps) else None


def _waves(path: Path, points: np.ndarray) -> tuple[float, float, float]:
    along = np.r_[0, np.cumsum(np.diagonal(path.distances, 1))]
    x, y = (plane_curves.sine_fit(along / along[-1], points[:, c]) for c in (0, 1))
    ratio = y.frequency / x.frequency
    whole = max(ratio, 1 / ratio)
    return ratio, min(x.explained, y.explained), abs(whole - round(whole))


def _arrays(path: Path, found: list[Found]) -> dict[str, Any]:
    def at(segment: int, share: float) -> float:
        return float(path.steps[segment] + share * (path.steps[segment + 1] - path.steps[segment]))

    return {
        "crossing_firsts": np.array([at(f.crossing.i, f.crossing.t) for f in found]),
        "crossing_seconds": np.array([at(f.crossing.j, f.crossing.u) for f in found]),
        "crossing_angles": np.array([f.crossing.angle for f in found]),
        "crossing_distances": np.array([f.distance for f in found]),
        "crossing_gap_weighted": np.array([f.gap_weighted for f in found], np.int64),
        "crossing_robust": np.array([f.robust for f in found], np.int64),
    }
