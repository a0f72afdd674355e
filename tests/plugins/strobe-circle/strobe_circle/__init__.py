"""Analyzers that cannot have what they consume."""

from __future__ import annotations

from collections.abc import Iterator

import strobe
from strobe import Analyzer, Results, hookimpl, metric


class Count(strobe.Row):
    rows: int = metric("rows of what it reads", unit="1")


class Chicken(Analyzer):
    """Reads the egg."""

    Row = Count
    consumes = "egg"

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Count]:
        yield self.Row(rows=len(results["egg"]))


class Egg(Analyzer):
    """Reads the chicken."""

    Row = Count
    consumes = "chicken"

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Count]:
        yield self.Row(rows=len(results["chicken"]))


class Orphan(Analyzer):
    """Reads what nobody gives."""

    Row = Count
    consumes = "weight_norm"

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Count]:
        yield self.Row(rows=len(results["weight_norm"]))
