"""Analyzers that registration refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import strobe
from strobe import Analyzer, Results, Weights, dim, hookimpl


class Names(strobe.Row):
    parameter: str = dim("canonical parameter name")


class UnknownArgument(Analyzer):
    """Asks for `weight`."""

    Row = Names

    @hookimpl
    def analyze_weights(self, weight: Weights) -> Iterator[Names]:
        yield from (self.Row(parameter=name) for name in weight)


class DefaultedArgument(Analyzer):
    """`metrics=None`: pluggy would never pass it."""

    Row = Names

    @hookimpl
    def analyze_weights(self, weights: Weights, metrics: Any = None) -> Iterator[Names]:
        yield from (self.Row(parameter=name) for name in weights)


class KeywordOnlyArgument(Analyzer):
    """`*, metrics`: pluggy would never pass it."""

    Row = Names

    @hookimpl
    def analyze_weights(self, weights: Weights, *, metrics: Any) -> Iterator[Names]:
        yield from (self.Row(parameter=name) for name in weights)


class Unmarked(Analyzer):
    """Has a hook's name, but no `@hookimpl`."""

    Row = Names

    def analyze_weights(self, weights: Weights) -> Iterator[Names]:
        yield from (self.Row(parameter=name) for name in weights)


class TwoHooks(Analyzer):
    """Implements two categories at once."""

    Row = Names

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Names]:
        yield from (self.Row(parameter=name) for name in weights)

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Names]:
        yield from (self.Row(parameter=name) for name in results)


class NoHook(Analyzer):
    """Misspells its hook."""

    Row = Names

    @hookimpl
    def analyse_weights(self, weights: Weights) -> Iterator[Names]:
        yield from (self.Row(parameter=name) for name in weights)


class NoRow(Analyzer):
    """Declares no result type."""

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Any]:
        yield from weights
