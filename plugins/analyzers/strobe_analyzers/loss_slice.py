"""The loss along a line, or over a plane, through a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from pydantic import Field

import strobe
from strobe import Analyzer, Loss, Probe, array, dim, hookimpl, metric

from .directions import filter_normalised, moved
from .inputs import splits_of


class LossSlice(Analyzer):
    """The loss along one seeded filter-normalised direction through the checkpoint, or over the plane of two (`dimensions=2`), train and test apart.

    L(w + alpha d1 + beta d2) at `points` values of each coordinate, evenly from -radius to radius; an odd number has 0, the checkpoint itself.
    At 1 a displacement is as long as the weights. One direction out of hundreds of thousands is a picture, not a measurement: `flatness` has the
    errors. The same directions, before scaling, at every step. Null in `rise` where a loss is not finite.
    Cost: points^dimensions forwards: 2.4 s at p = 113 on a line of 21, 12 s for a plane of 11 x 11; so it runs when asked for by name.
    Source: Li et al. 1712.09913, in x @ W orientation (see `directions.py`).
    """

    opt_in = True

    dimensions: Literal[1, 2] = 1
    points: int = Field(21, ge=3, description="values of each coordinate; odd to pass through the checkpoint")
    radius: float = Field(1.0, gt=0, description="largest coordinate, as a share of each filter's norm")
    seed: int = Field(0, ge=0, description="of the directions")
    splits: tuple[str, ...] = ("test", "train")

    class Row(strobe.Row):
        split: str = dim("inputs the loss is taken on")
        loss: float | None = metric("loss at the checkpoint", unit="nats")
        rise: float | None = metric("mean of the slice less the loss at the checkpoint", unit="nats")
        alphas: np.ndarray = array("coordinates along the first direction", dims=["alpha"], dtype="float64", unit="1")
        betas: np.ndarray = array("coordinates along the second direction; 0 alone on a line", dims=["beta"], dtype="float64", unit="1")
        losses: np.ndarray = array("loss at each point", dims=["beta", "alpha"], dtype="float64", unit="nats")

    @hookimpl
    def analyze_landscape(self, loss: Loss, probe: Probe) -> Iterator[Row]:
        splits = splits_of(probe, self.splits)
        generator = torch.Generator().manual_seed(self.seed)
        first, second = (filter_normalised(loss.weights, generator) for _ in range(2))
        alphas = np.linspace(-self.radius, self.radius, self.points)
        betas = alphas if self.dimensions == 2 else np.zeros(1)
        grid = ((loss.at(moved(loss.weights, (a, first), (b, second))) for a in alphas) for b in betas)
        losses = np.array([[[there(split) for split in splits] for there in line] for line in grid])  # [beta, alpha, split]
        for i, split in enumerate(splits):
            here, mine = loss(split), losses[..., i]
            rise = float(mine.mean()) - here
            yield self.Row(split=split, loss=_finite(here), rise=_finite(rise), alphas=alphas, betas=betas, losses=mine)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
