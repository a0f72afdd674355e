"""How safe the answers are."""

from __future__ import annotations

from collections.abc import Iterator

import torch

import strobe
from strobe import Analyzer, Outputs, StrobeError, dim, hookimpl, maths, metric

LEVELS = {"p01": 0.01, "p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}


class Margins(Analyzer):
    """Margin: the target's logit less the largest other one. Minimum, percentiles, mean and maximum over the inputs of each split.

    Above 0 the answer is right; the minimum above 0 means every answer is. Unlike the loss it does not saturate: it keeps moving after the accuracy
    is 1. Percentiles interpolate linearly. For exact clock logits of one frequency every margin is at least 1 - cos(2 pi / p) times the amplitude.
    Applies to any model with one answer per input and two classes or more. A split without inputs has no row. Cost at p=113: 5 ms.
    """

    class Row(strobe.Row):
        split: str = dim("split of the probe: train, test, or all")
        minimum: float = metric("smallest margin; above 0 every answer is right", unit="logits")
        p01: float = metric("margin that 1 % of the inputs stay below", unit="logits")
        p05: float = metric("margin that 5 % of the inputs stay below", unit="logits")
        p25: float = metric("margin that 25 % of the inputs stay below", unit="logits")
        median: float = metric("margin that half of the inputs stay below", unit="logits")
        p75: float = metric("margin that 75 % of the inputs stay below", unit="logits")
        p95: float = metric("margin that 95 % of the inputs stay below", unit="logits")
        p99: float = metric("margin that 99 % of the inputs stay below", unit="logits")
        maximum: float = metric("largest margin", unit="logits")
        mean: float = metric("mean margin", unit="logits")
        not_positive: int = metric("inputs with a margin of 0 or less: wrong, or tied", unit="1")

    @hookimpl
    def analyze_outputs(self, outputs: Outputs) -> Iterator[Row]:
        shape = list(outputs.logits.shape)
        if len(shape) != 2 or shape[1] < 2:
            raise StrobeError(f"margins: needs one answer among two or more classes per input, logits [batch, classes]; got {shape}")
        margins = maths.margins(outputs.logits, outputs.targets)
        for split in dict.fromkeys([*outputs.splits, "all"]):
            found = margins[outputs.split(split)]
            if len(found):
                levels = dict(zip(LEVELS, torch.quantile(found, torch.tensor(list(LEVELS.values()), dtype=torch.float64)).tolist(), strict=True))
                ends = {"minimum": found.min().item(), "maximum": found.max().item(), "mean": found.mean().item()}
                yield self.Row(split=split, **ends, **levels, not_positive=int((found <= 0).sum()))
