from __future__ import annotations

from collections.abc import Iterator

import strobe
from strobe import Analyzer, Weights, dim, hookimpl


class Fine(Analyzer):
    """Nothing is wrong with it but its names."""

    class Row(strobe.Row):
        parameter: str = dim("canonical parameter name")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        yield from (self.Row(parameter=name) for name in weights)
