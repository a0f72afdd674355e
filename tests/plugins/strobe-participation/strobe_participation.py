from __future__ import annotations

from collections.abc import Iterator

import torch

import strobe
from strobe import Analyzer, Weights, dim, hookimpl, metric


class ParticipationRatio(Analyzer):
    """How many singular values carry a weight matrix: (sum s)^2 / sum s^2, between 1 and its rank."""

    class Row(strobe.Row):
        parameter: str = dim("canonical parameter name")
        ratio: float = metric("participation ratio of the singular values", unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        for name, matrix in weights.matrices():
            s = torch.linalg.svdvals(matrix.double())
            yield self.Row(parameter=name, ratio=(s.sum() ** 2 / (s**2).sum()).item())
