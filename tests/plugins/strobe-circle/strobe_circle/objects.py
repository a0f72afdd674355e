from __future__ import annotations

from collections.abc import Iterator

import strobe
from strobe import Analyzer, Weights, array, hookimpl


class Objects(Analyzer):
    """A row with a field that cannot be stored."""

    class Row(strobe.Row):
        values: dict[str, float] = array("all of them", dims=["x"], unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        yield from ()
