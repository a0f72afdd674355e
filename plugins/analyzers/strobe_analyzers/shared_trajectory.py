"""The paths of several runs on the same axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

import strobe
from strobe import Analyzer, Checkpoints, StrobeError, dim, hookimpl, metric

from .parameter_groups import GROUPS, members
from .trajectory_basis import BLOCK, Basis, Weighting, basis, gram, signed, together, weights_of

Points = list[tuple[str, int]]
"""(run, step), run after run."""


class SharedTrajectory(Analyzer):
    """Several runs of one shape on common principal components, so that their paths can be laid over each other.

    One exact PCA (as parameter_trajectory) of all the runs' checkpoints at the steps that *all* of them have, so that no run weighs more than
    another; `weighting="gap"` weighs a checkpoint by the steps it stands for. The coordinates of one run depend on which others are in: they are
    stored together, and a new run is a new table. Distances between runs are mostly those between their initial weights: different seeds do not meet.
    Refuses runs whose parameters differ in name or shape, fewer than two runs, and fewer than two common steps, and says which. Opt-in for that
    reason: name the runs. A checkpoint with NaN or infinity has null coordinates.
    Cost: two passes over all checkpoints; memory: the largest parameter once per run and step.
    """

    scope = "runs"
    opt_in = True

    groups: tuple[str, ...] = tuple(GROUPS)
    components: int = 10
    weighting: Weighting = "equal"

    class Row(strobe.Row):
        run: str = dim("run")
        group: str = dim("parameter group")
        step: int = dim("training step of the checkpoint")
        component: int = dim("principal component of all runs together, 1 = most variance")
        coordinate: float | None = metric("position along the component, in weight units; null when the weights are not finite", unit="1")
        variance_share: float | None = metric("share of the variance over runs and checkpoints that the component holds, 0..1", unit="1")

    @hookimpl
    def analyze_trajectory(self, checkpoints: Mapping[str, Checkpoints]) -> Any:  # type: ignore[override]
        points = _common(checkpoints)
        parts = members(next(iter(checkpoints.values())), self.groups, "shared_trajectory")
        names = sorted({name for own in parts.values() for name in own})
        grams = {name: gram(_stacked(checkpoints, points, name)) for name in names}
        bases = {}
        for group, own in parts.items():
            found = together([grams[name] for name in own])
            bases[group] = basis(found, self.components, self._weights(points, found.finite))
        return self._columns(points, signed(_each(checkpoints, points, names), parts, bases, BLOCK))

    def _weights(self, points: Points, finite: torch.Tensor) -> torch.Tensor:
        """Each run's weights add up to the same."""
        runs = [run for run, _ in points]
        weights = torch.zeros(len(points), dtype=torch.float64)
        for run in dict.fromkeys(runs):
            mine = torch.tensor([r == run for r in runs])
            weights[mine] = weights_of(self.weighting, [step for r, step in points if r == run], finite[mine])
        return weights / weights.sum().clamp(min=1e-300)

    def _columns(self, points: Points, bases: dict[str, Basis]) -> Any:
        cells = [
            (run, group, step, c + 1, found.coordinates[i, c].item() if found.finite[i] else None, found.shares[c])
            for group, found in bases.items()
            for i, (run, step) in enumerate(points)
            for c in range(len(found.shares))
        ]
        return self.Row.columns(**{name: [cell[i] for cell in cells] for i, name in enumerate(self.Row.model_fields)})


def _common(checkpoints: Mapping[str, Checkpoints]) -> Points:
    """The points of a shared basis. Raises `StrobeError` for runs that cannot share one."""
    if len(checkpoints) < 2:
        raise StrobeError(
            f"shared_trajectory: needs two runs or more, got {', '.join(checkpoints) or 'none'}; for one run there is parameter_trajectory"
        )
    empty = [run for run, own in checkpoints.items() if not len(own)]
    if empty:
        raise StrobeError(f"shared_trajectory: run {empty[0]} has no checkpoints; leave it out")
    _same_shape({run: {name: tuple(w.shape) for name, w in own[own.steps[0]].items()} for run, own in checkpoints.items()})
    steps = sorted(set.intersection(*(set(own.steps) for own in checkpoints.values())))
    if len(steps) < 2:
        raise StrobeError(
            f"shared_trajectory: {', '.join(checkpoints)} have {len(steps)} common step{'s' * (len(steps) != 1)}, a path needs two or more; "
            "train them with the same schedule, or add checkpoints with `strobe train RUN --add`"
        )
    return [(run, step) for run in checkpoints for step in steps]


def _same_shape(shapes: Mapping[str, Mapping[str, tuple[int, ...]]]) -> None:
    (first, expected), *rest = shapes.items()
    for run, found in rest:
        for name in sorted(expected.keys() | found.keys()):
            if found.get(name) != expected.get(name):
                ours, theirs = (str(list(s[name])) if name in s else "missing" for s in (expected, found))
                raise StrobeError(
                    f"shared_trajectory: runs of different shapes have no common basis: {name} is {ours} in {first} and {theirs} in {run}; "
                    "name only runs of one shape"
                )


def _stacked(checkpoints: Mapping[str, Checkpoints], points: Points, name: str) -> torch.Tensor:
    """One parameter at every point, [point, size]."""
    return torch.stack([checkpoints[run][step][name].flatten() for run, step in points])


def _each(checkpoints: Mapping[str, Checkpoints], points: Points, names: list[str]) -> Iterator[tuple[str, torch.Tensor]]:
    return ((name, _stacked(checkpoints, points, name)) for name in names)
