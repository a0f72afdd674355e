"""How the loss grows around a checkpoint, in random directions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from pydantic import Field

import strobe
from strobe import Analyzer, Loss, Probe, array, dim, hookimpl, metric

from .directions import filter_normalised, moved
from .inputs import splits_of

FLOAT32_ALPHA = 1e-3
"""Below this displacement the differences of float32 forwards are rounding: the loss is then taken in float64."""


class Flatness(Analyzer):
    """How much the loss rises when all weights move by `alpha` of their size in random directions, train and test apart. 0 is flat.

    `pairs` seeded directions d, each filter normalised (a direction's filter has the norm of the weights' own; biases stay), each tried as +d and -d,
    so that the slope cancels: delta(+-) = L(w +- alpha d) - L(w), and curvature = (delta(+) + delta(-)) / alpha^2 per pair. `delta` and `curvature`
    are means over pairs; their standard errors are over pairs too (1 to 6 % of the value with 16). Every direction's deltas are stored.
    The same directions, before scaling, at every step. Negative: the weights are not at a minimum, or the test loss falls that way. On a trained ReLU
    model it does not meet d^T H d as alpha goes to 0, because of kinks: quote alpha. Null where a loss is not finite.
    Cost: 4 pairs + 2 forwards: with 8 pairs 1.6 s at p = 113. Below alpha = 1e-3 in float64 (2.3 times as much).
    Source: Li et al. 1712.09913 for the scaling, in x @ W orientation (see `directions.py`).
    """

    alpha: float = Field(0.03, gt=0, description="displacement, as a share of each filter's norm")
    pairs: int = Field(8, ge=2, description="antithetic pairs of directions")
    seed: int = Field(0, ge=0, description="of the directions")
    splits: tuple[str, ...] = ("test", "train")

    class Row(strobe.Row):
        split: str = dim("inputs the loss is taken on")
        alpha: float = metric("displacement, as a share of each filter's norm", unit="1")
        loss: float | None = metric("loss at the checkpoint", unit="nats")
        delta: float | None = metric("mean rise of the loss over directions and signs", unit="nats")
        delta_se: float | None = metric("standard error of delta, over pairs", unit="nats")
        delta_std: float | None = metric("standard deviation of the rise over single directions", unit="nats")
        curvature: float | None = metric("mean of (L(+) + L(-) - 2 L) / alpha^2 over pairs", unit="nats")
        curvature_se: float | None = metric("standard error of the curvature, over pairs", unit="nats")
        curvature_std: float | None = metric("standard deviation of the curvature over pairs", unit="nats")
        plus: np.ndarray = array("rise in each direction +d", dims=["direction"], dtype="float64", unit="nats")
        minus: np.ndarray = array("rise in each direction -d", dims=["direction"], dtype="float64", unit="nats")

    @hookimpl
    def analyze_landscape(self, loss: Loss, probe: Probe) -> Iterator[Row]:
        loss = loss.double() if self.alpha < FLOAT32_ALPHA else loss
        at = {split: loss(split) for split in splits_of(probe, self.splits)}
        generator = torch.Generator().manual_seed(self.seed)
        deltas = np.array([self._deltas(loss, at, generator) for _ in range(self.pairs)])  # [direction, sign, split]
        for i, split in enumerate(at):
            yield self._row(split, at[split], deltas[:, 0, i], deltas[:, 1, i])

    def _deltas(self, loss: Loss, at: dict[str, float], generator: torch.Generator) -> list[list[float]]:
        direction = filter_normalised(loss.weights, generator)
        here = (loss.at(moved(loss.weights, (sign * self.alpha, direction))) for sign in (1, -1))
        return [[there(split) - value for split, value in at.items()] for there in here]

    def _row(self, split: str, value: float, plus: np.ndarray, minus: np.ndarray) -> Row:
        pair, root = (plus + minus) / 2, self.pairs**0.5
        scale, known = 2 / self.alpha**2, bool(np.isfinite(plus + minus).all())
        spread = float(pair.std(ddof=1))
        numbers = {
            "delta": pair.mean(),
            "delta_se": spread / root,
            "delta_std": np.concatenate([plus, minus]).std(ddof=1),
            "curvature": scale * pair.mean(),
            "curvature_se": scale * spread / root,
            "curvature_std": scale * spread,
        }
        found = {name: float(x) if known else None for name, x in numbers.items()}
        return self.Row(split=split, alpha=self.alpha, loss=value if np.isfinite(value) else None, plus=plus, minus=minus, **found)
