"""How well a model predicts values."""

from __future__ import annotations

from collections.abc import Iterator

import torch

import strobe
from strobe import Analyzer, Outputs, dim, hookimpl, metric


class SquaredError(Analyzer):
    """Of a regression, on each split of the probe and on all of it: mean squared error, share of the variance that is explained, largest error.

    `explained` is R^2 = 1 - sum (y - y')^2 / sum (y - mean y)^2 over inputs and values, with the mean of each value over the split: 1 is perfect, 0
    no better than that mean, below 0 worse; null where the targets do not vary. In float64. A split without inputs has no row. Predictions that are
    not finite give nulls. For classes there is loss_and_accuracy. Cost: one pass over the predictions.
    """

    answers = "values"

    class Row(strobe.Row):
        split: str = dim("split of the probe: train, test, or all")
        error: float | None = metric("mean squared error, over inputs and values", unit="squared error")
        explained: float | None = metric("R^2, the share of the targets' variance that is explained; 1 is perfect, 0 the mean", unit="1")
        largest: float | None = metric("largest absolute error of any value", unit="1")

    @hookimpl
    def analyze_outputs(self, outputs: Outputs) -> Iterator[Row]:
        predicted = outputs.logits.double()
        targets = outputs.targets.double().reshape(predicted.shape)
        for name in dict.fromkeys([*outputs.splits, "all"]):
            mask = outputs.split(name)
            if mask.any():
                yield self._row(name, predicted[mask], targets[mask])

    def _row(self, split: str, predicted: torch.Tensor, targets: torch.Tensor) -> Row:
        errors = predicted - targets
        if not bool(errors.isfinite().all()):
            return self.Row(split=split, error=None, explained=None, largest=None)
        varied = (targets - targets.mean(0)).square().sum().item()
        explained = 1 - errors.square().sum().item() / varied if varied > 0 else None
        return self.Row(split=split, error=errors.square().mean().item(), explained=explained, largest=errors.abs().max().item())
