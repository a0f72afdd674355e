"""Whether the paths of several runs come back, on the axes that they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from pydantic import Field

import strobe
from strobe import Analyzer, Results, array, dim, hookimpl, metric

from . import plane_curves
from .paths import SMALL, Path, paths
from .trajectory_basis import Gram, basis
from .trajectory_loops import PLANES, apart


class Member(NamedTuple):
    """One run of a shared basis: its path at the common steps, and its coordinates there, [step, component]."""

    path: Path
    places: np.ndarray


class SharedLoops(Analyzer):
    """Where the path of each run crosses itself in the planes of a basis that several runs share (shared_trajectory), and what random walks do there.

    As trajectory_loops: a crossing counts at `least_angle` degrees or more, is robust when it survives leaving out any one checkpoint, and is a
    return when its two points lie less than `return_below` diameters of the run's path apart in the full space, else it is made by the projection.
    The null: `walks` times, every run is replaced by a random walk from its own start with its own step lengths, in a space of as many dimensions,
    and the shared basis is fitted to those. Axes that lie between runs show little of the way within one: a crossing that trajectory_loops has and
    this table lacks is no contradiction. Runs of different shapes have no shared basis, and so no rows: shared_trajectory says which. Opt-in, as it
    is. Cost: reads inner products, no weights; the walks of 12 runs of 21 checkpoints take 2 s per group.
    """

    scope = "runs"
    opt_in = True
    consumes = ("shared_trajectory", "checkpoint_products")

    least_angle: float = Field(15.0, ge=0, le=90)
    return_below: float = Field(0.2, gt=0, le=1)
    walks: int = Field(20, ge=1)
    seed: int = Field(0, ge=0)

    class Row(strobe.Row):
        run: str = dim("run")
        group: str = dim("parameter group")
        x: int = dim("shared component across")
        y: int = dim("shared component up")
        reading: str = dim("return, projection crossing, or none: of the robust crossings")
        closed: bool = dim("whether the path ends within `return_below` diameters of where it started, in the full space")
        start_to_end: float = metric("distance of the last common checkpoint from the first over the diameter, full space, 0..1", unit="1")
        crossings: int = metric("crossings of the run's path with itself", unit="1")
        crossings_robust: int = metric("crossings that survive leaving out any checkpoint", unit="1")
        returns: int = metric("robust crossings whose points are close in the full space too", unit="1")
        null_crossing_rate: float = metric("share of the random walks in this run's place that cross", unit="1")
        signed_area: float = metric("area enclosed with the chord, counter-clockwise positive, squared weight units", unit="1")
        crossing_distances: np.ndarray = array(
            "distance of the two points of each crossing in the full space, over the diameter", dims=["crossing"], dtype="float64", unit="1"
        )

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        products = {str(run): {p.group: p for p in paths(rows)} for run, rows in results["checkpoint_products"].groupby("run", sort=False)}
        for group, rows in results["shared_trajectory"].groupby("group", sort=False):
            members = dict(_members(rows, str(group), products))
            if members:
                yield from self._group(str(group), members)

    def _group(self, group: str, members: Mapping[str, Member]) -> Iterator[Row]:
        rng = np.random.default_rng(self.seed)
        null = [_walks(members, rng) for _ in range(self.walks)]
        for run, (path, places) in members.items():
            for x, y in (plane for plane in PLANES if max(plane) <= places.shape[1]):
                walked = [bool(plane_curves.crossings(walk[run][:, [x - 1, y - 1]], self.least_angle)) for walk in null if walk[run].shape[1] >= y]
                yield self._row(run, group, (x, y), path, places[:, [x - 1, y - 1]], float(np.mean(walked)))

    def _row(self, run: str, group: str, plane: tuple[int, int], path: Path, points: np.ndarray, null: float) -> Row:
        found = plane_curves.crossings(points, self.least_angle)
        distances = [apart(path, c) for c in found]
        robust = [d for c, d in zip(found, distances, strict=True) if plane_curves.survives(points, c, self.least_angle)]
        returns = sum(d < self.return_below for d in robust)
        ends = float(path.distances[0, -1] / path.distances.max())
        return self.Row(
            run=run,
            group=group,
            x=plane[0],
            y=plane[1],
            reading="return" if returns else "projection crossing" if robust else "none",
            closed=ends < self.return_below,
            start_to_end=ends,
            crossings=len(found),
            crossings_robust=len(robust),
            returns=returns,
            null_crossing_rate=null,
            signed_area=plane_curves.signed_area(points),
            crossing_distances=np.array(distances),
        )


def _members(rows: pd.DataFrame, group: str, products: Mapping[str, Mapping[str, Path]]) -> Iterator[tuple[str, Member]]:
    """Runs with three finite common checkpoints or more that move."""
    for run, own in rows.groupby("run", sort=False):
        path = products.get(str(run), {}).get(group)
        table = own.pivot_table(index="step", columns="component", values="coordinate").sort_index().dropna().astype(float)
        if path is None:
            continue
        table = table[table.index.isin(path.steps)]
        at = np.searchsorted(path.steps, table.index.to_numpy(np.int64))
        common = path._replace(steps=path.steps[at], products=path.products[np.ix_(at, at)])
        if len(table) > 2 and common.distances.max() > 0:
            yield str(run), Member(common, table.to_numpy())


def _walks(members: Mapping[str, Member], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Run -> coordinates of a random walk in its place, on the components that these walks share."""
    starts = _starts(members)
    lengths = [np.diagonal(m.path.distances, 1) for m in members.values()]
    products = _atoms(starts, np.concatenate(lengths), next(iter(members.values())).path.parameters, rng)
    points = _sums(len(starts), [len(own) for own in lengths])
    joint = points @ products @ points.T
    joint = joint - joint.mean(0) - joint.mean(1)[:, None] + joint.mean()
    found = basis(Gram(torch.from_numpy(joint), torch.ones(len(joint), dtype=torch.bool)), 3).coordinates.numpy()
    return dict(zip(members, np.split(found, np.cumsum([len(own) + 1 for own in lengths])[:-1]), strict=True))


def _starts(members: Mapping[str, Member]) -> np.ndarray:
    """Where each run starts, [run, shared component]."""
    most = max(m.places.shape[1] for m in members.values())
    return np.stack([np.pad(m.places[0], (0, most - m.places.shape[1])) for m in members.values()])


def _atoms(starts: np.ndarray, lengths: np.ndarray, dimension: int, rng: np.random.Generator) -> np.ndarray:
    """Inner products of the starts and of steps of these lengths in random directions of a space of so many dimensions, starts first."""
    if dimension <= SMALL:
        kept = starts[:, :dimension]
        directions = rng.standard_normal((len(lengths), dimension))
        steps = lengths[:, None] * directions / np.linalg.norm(directions, axis=1, keepdims=True)
        atoms = np.concatenate([np.pad(kept, ((0, 0), (0, dimension - kept.shape[1]))), steps])
        return np.asarray(atoms @ atoms.T)
    sizes = np.concatenate([np.linalg.norm(starts, axis=1), lengths])
    noise = np.triu(rng.standard_normal((len(sizes), len(sizes))), 1) / dimension**0.5
    products = sizes[:, None] * (np.eye(len(sizes)) + noise + noise.T) * sizes
    products[: len(starts), : len(starts)] = starts @ starts.T
    return products


def _sums(runs: int, steps: list[int]) -> np.ndarray:
    """Each point as the sum of its run's start and of the steps up to it: [point, start or step] of 0 and 1."""
    rows, at = [], runs
    for run, own in enumerate(steps):
        block = np.zeros((own + 1, runs + sum(steps)))
        block[:, run] = 1
        block[1:, at : at + own] = np.tri(own)
        rows.append(block)
        at += own
    return np.concatenate(rows)
