"""Calls that give nothing usable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import strobe
from strobe import Analyzer, Weights, array, hookimpl

from .row import Total, Totals


class Raises(Totals):
    """Raises."""

    def besides(self, weights: Weights) -> None:
        raise ValueError("not today")


class WrongType(Analyzer):
    """Yields dictionaries."""

    Row = Total
    opt_in = True

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Any]:
        yield from ({"parameter": name, "total": 0.0} for name in weights)


class WrongShape(Analyzer):
    """Yields a matrix where a vector was declared."""

    opt_in = True

    class Row(strobe.Row):
        values: np.ndarray = array("values", dims=["entry"], unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        yield self.Row(values=np.zeros((2, 3)))


class NotANumber(Analyzer):
    """Yields NaN."""

    Row = Total
    opt_in = True

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Total]:
        yield from (self.Row(parameter=name, total=float("nan")) for name in weights)


class HalfWay(Analyzer):
    """A generator that fails half-way."""

    Row = Total
    opt_in = True

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Total]:
        for i, name in enumerate(weights):
            if i == len(weights) // 2:
                raise RuntimeError("half-way")
            yield self.Row(parameter=name, total=0.0)


class Mutates(Totals):
    """Writes to the weights it is given."""

    def besides(self, weights: Weights) -> None:
        weights["embed.W_E"].zero_()


class MutatesByNumpy(Totals):
    """Writes to them where torch cannot see it."""

    def besides(self, weights: Weights) -> None:
        weights["embed.W_E"].numpy()[...] = 0.0
