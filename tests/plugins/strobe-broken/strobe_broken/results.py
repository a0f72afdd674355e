"""Analyzers that register, and go wrong when they run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import strobe
from strobe import Analyzer, Context, Weights, dim, hookimpl, metric


class Sums(strobe.Row):
    parameter: str = dim("canonical parameter name")
    total: float = metric("sum of all entries", unit="1")


class RaisesAtStep(Analyzer):
    """Works everywhere but at one step."""

    Row = Sums
    at: int = 1000

    @hookimpl
    def analyze_weights(self, weights: Weights, context: Context) -> Iterator[Sums]:
        if context.step == self.at:
            raise ValueError(f"no result at step {self.at}")
        yield from (self.Row(parameter=name, total=weights[name].double().sum().item()) for name in weights)


class WrongRows(Analyzer):
    """Yields dictionaries."""

    Row = Sums

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Any]:
        yield from ({"parameter": name, "total": 0.0} for name in weights)


class ReturnsNone(Analyzer):
    """Forgets its `return`."""

    Row = Sums

    @hookimpl
    def analyze_weights(self, weights: Weights) -> None:
        [self.Row(parameter=name, total=0.0) for name in weights]


class HalfThenRaises(Analyzer):
    """Yields half of its rows, then raises: nothing of them may be stored."""

    Row = Sums

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Sums]:
        for i, name in enumerate(weights):
            if i == len(weights) // 2:
                raise RuntimeError("half-way")
            yield self.Row(parameter=name, total=weights[name].double().sum().item())


class MutatesInput(Analyzer):
    """Writes into the tensors it was given: they are read-only, so torch raises."""

    Row = Sums

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Sums]:
        for name in weights:
            yield self.Row(parameter=name, total=weights[name].zero_().sum().item())


class MutatesThroughNumpy(Analyzer):
    """Writes through `.numpy()`, which torch cannot see. Runs only when asked for: it damages what the analyzers after it are given."""

    Row = Sums
    opt_in = True

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Sums]:
        for name in weights:
            weights[name].numpy()[...] = 0.0
            yield self.Row(parameter=name, total=weights[name].sum().item())


class ReturnsNaN(Analyzer):
    """Returns NaN and infinity: stored as null, and flagged."""

    Row = Sums

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Sums]:
        for i, name in enumerate(weights):
            yield self.Row(parameter=name, total=float("inf") if i % 2 else float("nan"))
