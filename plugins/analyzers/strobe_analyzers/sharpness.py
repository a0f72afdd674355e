"""How much the loss can rise within a small step of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean, stdev

import numpy as np
import torch
from pydantic import Field

import strobe
from strobe import Analyzer, Loss, Probe, dim, hookimpl, metric

from .directions import moved, norm
from .inputs import splits_of

Direction = dict[str, torch.Tensor]


class Sharpness(Analyzer):
    """Rise of the training loss within a step of length `rho`, by three measures, in nats. 0 is flat.

    `sam`: L(w + rho g / ||g||) - L(w), g the gradient: the steepest step, to first order. `adaptive`: the same in units of each weight's own size,
    step rho T^2 g / ||T g|| with T = |w|, which rescaling a network without changing its function does not move. `average`: the mean over
    `directions` seeded unit vectors z of (L(w + rho z) + L(w - rho z)) / 2 - L(w) in float64, with its standard error; unit vectors in d dimensions
    hardly meet the sharp ones, so at a smooth minimum it is about rho^2 trace / 2d and many orders below the others. The first two are lower bounds
    of the largest rise. Null where the loss or its gradient is not finite, and where the gradient is zero. Cost: one gradient and 4 + 4 directions
    forwards: 1.6 s at p = 113; runs when asked for by name. Source: Foret et al. 2010.01412; Kwon et al. 2102.11600.
    """

    opt_in = True

    rho: float = Field(0.05, gt=0, description="length of the step; in the adaptive measure, in units of each weight")
    directions: int = Field(8, ge=2, description="unit vectors of the average")
    seed: int = Field(0, ge=0, description="of the unit vectors")
    split: str = Field("train", description="inputs the loss is taken on")

    class Row(strobe.Row):
        measure: str = dim("sam, adaptive or average")
        rho: float = metric("length of the step", unit="1")
        loss: float | None = metric("loss at the checkpoint", unit="nats")
        gradient_norm: float | None = metric("2-norm of the gradient", unit="nats")
        rise: float | None = metric("rise of the loss", unit="nats")
        rise_se: float | None = metric("standard error over directions; of the average alone", unit="nats")

    @hookimpl
    def analyze_landscape(self, loss: Loss, probe: Probe) -> Iterator[Row]:
        (split,) = splits_of(probe, (self.split,))
        value, g = loss.value_and_grad(split)
        length = norm(g)
        squares = {name: x * loss.weights[name] ** 2 for name, x in g.items()}
        adaptive = norm({name: x * loss.weights[name] for name, x in g.items()})
        shared = {"rho": self.rho, "loss": _finite(value), "gradient_norm": _finite(length)}
        yield self.Row(measure="sam", rise=_rise(loss, split, g, _over(self.rho, length)), rise_se=None, **shared)
        yield self.Row(measure="adaptive", rise=_rise(loss, split, squares, _over(self.rho, adaptive)), rise_se=None, **shared)
        generator = torch.Generator().manual_seed(self.seed)
        double = loss.double()
        rises = [self._mean_rise(double, split, _normal(loss, generator)) for _ in range(self.directions)]
        known = [rise for rise in rises if rise is not None]
        mean, se = (fmean(known), stdev(known) / len(known) ** 0.5) if len(known) == len(rises) else (None, None)
        yield self.Row(measure="average", rise=mean, rise_se=se, **shared)

    def _mean_rise(self, loss: Loss, split: str, direction: Direction) -> float | None:
        """Mean over both signs, so that the slope cancels; in float64, because it is below the rounding of float32 forwards."""
        rises = [_rise(loss, split, direction, sign * self.rho / norm(direction)) for sign in (1, -1)]
        return None if None in rises else fmean(rises)


def _rise(loss: Loss, split: str, direction: Direction, scale: float) -> float | None:
    """Rise of the loss at w + scale * direction; None where that is not finite."""
    return _finite(loss.at(moved(loss.weights, (scale, direction)))(split) - loss(split)) if np.isfinite(scale) else None


def _normal(loss: Loss, generator: torch.Generator) -> Direction:
    return {n: torch.randn(w.shape, generator=generator).to(w.dtype) if w.is_floating_point() else w * 0 for n, w in loss.weights.items()}


def _over(rho: float, length: float) -> float:
    return rho / length if length > 0 else float("inf")


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
