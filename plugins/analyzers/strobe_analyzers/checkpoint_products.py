"""How the checkpoints of a run lie to each other in weight space."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

import strobe
from strobe import Analyzer, Checkpoints, array, dim, hookimpl, metric

from .parameter_groups import GROUPS, members
from .trajectory_basis import gram, together


class CheckpointProducts(Analyzer):
    """Inner products of the checkpoints of each parameter group, less their mean: <theta_i - mean, theta_j - mean> in float64.

    All geometry of the path follows from them without reading weights again: distances (||theta_i - theta_j||^2 = G_ii + G_jj - 2 G_ij), angles,
    principal components under any weighting. `update_geometry` and `trajectory_loops` read it. Groups as in parameter_trajectory. A checkpoint with
    NaN or infinity in the group has null products, is left out of the mean, and is NaN in the rows of the others.
    Cost: one pass over the checkpoints; memory: the largest parameter once per checkpoint; 15 KB per group of 43 checkpoints.
    """

    groups: tuple[str, ...] = tuple(GROUPS)

    class Row(strobe.Row):
        group: str = dim("parameter group")
        step: int = dim("training step of the checkpoint")
        parameters: int = metric("numbers in the group: the dimension of the space", unit="1")
        products: np.ndarray | None = array(
            "inner product with each checkpoint of the run, in order of steps", dims=["checkpoint"], dtype="float64", unit="1"
        )

    @hookimpl
    def analyze_trajectory(self, checkpoints: Checkpoints) -> Iterator[Row]:
        parts = members(checkpoints, self.groups, "checkpoint_products")
        grams, sizes = {}, {}
        for name in sorted({name for own in parts.values() for name in own}):
            rows = torch.stack([weights[name].flatten() for _, weights in checkpoints])
            grams[name], sizes[name] = gram(rows), rows.shape[1]
        for group, own in parts.items():
            found = together([grams[name] for name in own])
            products = found.products.masked_fill(~found.finite, torch.nan).numpy()
            for i, step in enumerate(checkpoints.steps):
                row = products[i] if found.finite[i] else None
                yield self.Row(group=group, step=step, parameters=sum(sizes[name] for name in own), products=row)
