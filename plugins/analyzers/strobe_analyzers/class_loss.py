"""Which answers the model finds hard."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

import strobe
from strobe import Analyzer, Outputs, StrobeError, array, dim, hookimpl, metric


class ClassLoss(Analyzer):
    """Mean cross-entropy and accuracy per target class (for modular addition: per residue class of the sum), on each split and on all inputs.

    One value per class that has inputs in the split: `classes` says which those are (usually all, so that the index is the class).
    `spread` is the standard deviation of log10 loss over the classes: 0 when all are equally hard. A split without inputs has no row.
    Applies to any model with one answer per input. Cost at p=113: 8 ms; 4 KB before compression.
    """

    class Row(strobe.Row):
        split: str = dim("split of the probe: train, test, or all")
        spread: float | None = metric("standard deviation over classes of log10 of their mean loss; null below two classes", unit="1")
        hardest: int | None = metric("class with the largest mean loss; null when none is finite", unit="1")
        losses: np.ndarray = array("mean cross-entropy of the inputs of each class in `classes`", dims=["present"], unit="nats")
        accuracies: np.ndarray = array("share of right answers in each class in `classes`", dims=["present"], unit="1")
        counts: np.ndarray = array("inputs of every class, 0 included", dims=["class"], dtype="int32", unit="1")
        classes: np.ndarray = array("the classes with inputs in the split, ascending", dims=["present"], dtype="int32", unit="1")

    @hookimpl
    def analyze_outputs(self, outputs: Outputs) -> Iterator[Row]:
        if outputs.logits.ndim != 2:
            raise StrobeError(f"class_loss: needs one answer per input, logits [batch, classes]; got {list(outputs.logits.shape)}")
        classes = outputs.logits.shape[1]
        right = (outputs.logits.argmax(-1) == outputs.targets).double().masked_fill(outputs.loss.isnan(), torch.nan)
        for split in dict.fromkeys([*outputs.splits, "all"]):
            mask = outputs.split(split)
            if mask.any():
                targets = outputs.targets[mask]
                counts = torch.bincount(targets, minlength=classes)
                yield self._row(split, *(_means(x[mask], targets, counts) for x in (outputs.loss, right)), counts)

    def _row(self, split: str, losses: torch.Tensor, accuracies: torch.Tensor, counts: torch.Tensor) -> Row:
        there = counts > 0
        known = losses[losses.isfinite()]
        spread = known.clamp(min=1e-300).log10().std(correction=0).item() if len(known) > 1 else None
        hardest = int(losses.nan_to_num(-1).argmax()) if len(known) else None
        return self.Row(
            split=split,
            spread=spread,
            hardest=hardest,
            losses=losses[there].float().numpy(),
            accuracies=accuracies[there].float().numpy(),
            counts=counts.int().numpy(),
            classes=there.nonzero()[:, 0].int().numpy(),
        )


def _means(values: torch.Tensor, targets: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Mean of values per class, float64 [class]; NaN (0/0) for a class without inputs."""
    return torch.zeros(len(counts), dtype=torch.float64).index_add_(0, targets, values) / counts
