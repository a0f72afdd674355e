"""Declared in a module of its own, because the class statement itself raises."""

from __future__ import annotations

from collections.abc import Iterator

import strobe
from strobe import Analyzer, Weights, dim, hookimpl


class BareSetting(Analyzer):
    """A setting without a default: nobody could run it without asking its author."""

    threshold: float

    class Row(strobe.Row):
        parameter: str = dim("canonical parameter name")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        yield from (self.Row(parameter=name) for name in weights)
