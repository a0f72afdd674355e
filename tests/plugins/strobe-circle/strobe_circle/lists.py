from __future__ import annotations

from collections.abc import Iterator

import strobe
from strobe import Analyzer, Weights, hookimpl, metric


class Lists(Analyzer):
    """A row with a field that cannot be stored."""

    class Row(strobe.Row):
        values: list[float] = metric("all of them", unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        yield from ()
