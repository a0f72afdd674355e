"""What all of them promise."""

from __future__ import annotations

from collections.abc import Iterator

import strobe
from strobe import Analyzer, Weights, dim, hookimpl, metric


class Total(strobe.Row):
    parameter: str = dim("canonical parameter name")
    total: float = metric("sum of all entries", unit="1")


class Totals(Analyzer):
    """Sums, and first of all what a subclass does besides. Opt-in: nobody wants these unasked."""

    Row = Total
    opt_in = True

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Total]:
        self.besides(weights)
        for name in weights:
            yield self.Row(parameter=name, total=weights[name].double().sum().item())

    def besides(self, weights: Weights) -> None:
        pass
