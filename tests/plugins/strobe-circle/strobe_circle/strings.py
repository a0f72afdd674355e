from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import strobe
from strobe import Analyzer, Weights, array, hookimpl


class Strings(Analyzer):
    """A row with a field that cannot be stored."""

    class Row(strobe.Row):
        values: np.ndarray = array("all of them", dims=["x"], unit="1", dtype="str")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        yield from ()
