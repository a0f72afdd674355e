"""An analyzer in one file, without packaging: `strobe analyze my-run -a ./examples/cosine_to_final.py:CosineToFinal`."""

from __future__ import annotations

from collections.abc import Iterator

import torch

import strobe
from strobe import Analyzer, Checkpoints, dim, hookimpl, metric


class CosineToFinal(Analyzer):
    """Cosine between each weight matrix and its last value, over training: 1 when only its length still changes, 0 when it has nothing in common."""

    parameters: str = "*"

    class Row(strobe.Row):
        step: int = dim("training step of the checkpoint")
        parameter: str = dim("canonical parameter name")
        cosine: float | None = metric("cosine to the value at the last step; null where either is zero", unit="1")

    @hookimpl
    def analyze_trajectory(self, checkpoints: Checkpoints) -> Iterator[Row]:
        last = dict(checkpoints[checkpoints.steps[-1]].matrices(self.parameters))
        for step, weights in checkpoints:
            for name, matrix in weights.matrices(self.parameters):
                yield self.Row(step=step, parameter=name, cosine=cosine(matrix.double(), last[name].double()))


def cosine(a: torch.Tensor, b: torch.Tensor) -> float | None:
    """Cosine of the angle between two tensors of one shape, None when one is zero."""
    lengths = a.norm() * b.norm()
    return ((a * b).sum() / lengths).item() if lengths > 0 else None
