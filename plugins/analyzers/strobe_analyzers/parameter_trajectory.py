from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

import strobe
from strobe import Analyzer, Checkpoints, dim, hookimpl, metric

from .parameter_groups import GROUPS, members
from .trajectory_basis import BLOCK, Basis, Weighting, basis, gram, signed, together, weights_of


class ParameterTrajectory(Analyzer):
    """Where training moved through weight space: principal components of each parameter group over all checkpoints.

    theta_i is the group flattened at checkpoint i, centred over the checkpoints. The PCA is exact, through the checkpoint x checkpoint Gram matrix in
    float64; the largest |loading| of each component is positive. One basis over exactly the steps in the table: other checkpoints, other coordinates.
    Many checkpoints in one stretch pull the axes towards it; `weighting="gap"` weighs each by the steps it stands for (trapezoid half-gaps).
    A group is a name (all, embedding, unembedding, attention, mlp) or a pattern (`blocks.0.mlp.W_in`). A checkpoint with NaN or infinity is left
    out of the basis of its group and has null coordinates. Components of a random walk look like cosines: read loops with care (trajectory_loops).
    Several runs in one basis: shared_trajectory. Cost: two passes over the checkpoints for all groups together; memory: the largest parameter once
    per checkpoint.
    """

    groups: tuple[str, ...] = tuple(GROUPS)
    components: int = 10
    weighting: Weighting = "equal"

    class Row(strobe.Row):
        group: str = dim("parameter group")
        step: int = dim("training step of the checkpoint")
        component: int = dim("principal component, 1 = most variance")
        coordinate: float | None = metric("position along the component, in weight units; null when the weights are not finite", unit="1")
        variance_share: float | None = metric("share of the group's variance over checkpoints that the component holds, 0..1", unit="1")

    @hookimpl
    def analyze_trajectory(self, checkpoints: Checkpoints) -> Any:
        parts = members(checkpoints, self.groups, "parameter_trajectory")
        names = sorted({name for group in parts.values() for name in group})
        grams = {name: gram(_stacked(checkpoints, name), BLOCK) for name in names}
        bases = {}
        for group, own in parts.items():
            found = together([grams[name] for name in own])
            bases[group] = basis(found, self.components, weights_of(self.weighting, checkpoints.steps, found.finite))
        return self._columns(checkpoints.steps, signed(_each(checkpoints, names), parts, bases, BLOCK))

    def _columns(self, steps: tuple[int, ...], bases: dict[str, Basis]) -> Any:
        cells = [
            (group, step, c + 1, found.coordinates[i, c].item() if found.finite[i] else None, found.shares[c])
            for group, found in bases.items()
            for i, step in enumerate(steps)
            for c in range(len(found.shares))
        ]
        return self.Row.columns(**{name: [cell[i] for cell in cells] for i, name in enumerate(self.Row.model_fields)})


def _stacked(checkpoints: Checkpoints, name: str) -> torch.Tensor:
    """One parameter at every checkpoint, [checkpoint, size]."""
    return torch.stack([weights[name].flatten() for _, weights in checkpoints])


def _each(checkpoints: Checkpoints, names: list[str]) -> Iterator[tuple[str, torch.Tensor]]:
    return ((name, _stacked(checkpoints, name)) for name in names)
