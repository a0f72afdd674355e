from __future__ import annotations

from collections.abc import Iterator

import strobe
from strobe import Analyzer, Weights, dim, hookimpl, metric


class WeightNorms(Analyzer):
    """Bears the name of a built-in analyzer."""

    class Row(strobe.Row):
        parameter: str = dim("canonical parameter name")
        largest: float = metric("largest entry", unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        for name, matrix in weights.matrices():
            yield self.Row(parameter=name, largest=matrix.max().item())
