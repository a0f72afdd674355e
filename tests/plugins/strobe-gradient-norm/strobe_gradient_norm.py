from __future__ import annotations

from collections.abc import Iterator

import strobe
from strobe import Analyzer, Loss, dim, hookimpl, metric


class GradientNorm(Analyzer):
    """Euclidean norm of the gradient of the mean loss, per split and parameter. One forward and one backward per split."""

    splits: tuple[str, ...] = ("train",)

    class Row(strobe.Row):
        split: str = dim("train or test")
        parameter: str = dim("canonical parameter name")
        norm: float = metric("norm of the gradient", unit="nats")

    @hookimpl
    def analyze_landscape(self, loss: Loss) -> Iterator[Row]:
        for split in self.splits:
            for name, gradient in loss.grad(split).items():
                yield self.Row(split=split, parameter=name, norm=gradient.double().norm().item())
