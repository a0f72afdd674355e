"""Frequencies that were learned and given up."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pydantic import Field

import strobe
from strobe import Analyzer, Results, array, dim, hookimpl, metric


class TransientFrequencies(Analyzer):
    """Every frequency that ever had a cohort of neurons: its peak, its end, and whether it was transient.

    C[step, k] = neurons committed to k, that is, explained by it to `threshold` or more. A cohort exists when C reaches `cohort` of them all; it is
    transient when C ends below `remains` of *its own* peak. `pruned_step`: first checkpoint after the peak from which C stays below that, with the
    checkpoint before it. Homeless: members at the peak that end uncommitted. A run without cohorts has no rows. No forward: reads neuron_frequency.
    """

    consumes = "neuron_frequency"
    families = ("modular_addition", "modular_mlp")

    threshold: float = Field(0.85, gt=0, le=1)
    cohort: float = Field(0.05, gt=0, le=1)
    remains: float = Field(0.1, gt=0, le=1)

    class Row(strobe.Row):
        layer: int = dim("layer")
        frequency: int = dim("frequency that had a cohort")
        transient: bool = dim("whether the cohort was given up")
        peak: int = metric("most neurons committed to it at one checkpoint", unit="1")
        peak_step: int = metric("first checkpoint with that many", unit="step")
        final: int = metric("neurons committed to it at the last checkpoint", unit="1")
        cohort_step: int = metric("first checkpoint with a cohort", unit="step")
        pruned_step: int | None = metric("checkpoint from which it stays given up; null when it is not transient", unit="step")
        lower: int | None = metric("checkpoint before that one", unit="step")
        homeless: int = metric("members at the peak that end committed to nothing", unit="1")
        homeless_neurons: np.ndarray = array("which ones", dims=["neuron"], dtype="int64", unit="1")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        for layer, table in results["neuron_frequency"].groupby("layer"):
            fractions = table.pivot(index="step", columns="neuron", values="fraction").astype(float).sort_index()
            leading = table.pivot(index="step", columns="neuron", values="frequency").astype(float).fillna(0).sort_index()
            committed = leading.where(fractions >= self.threshold, 0).astype(int)
            for k in sorted(set(np.unique(committed)) - {0}):
                counts = (committed == k).sum(axis=1)
                if counts.max() >= self.cohort * committed.shape[1]:
                    yield self._row(int(str(layer)), int(k), committed, counts)

    def _row(self, layer: int, k: int, committed: pd.DataFrame, counts: pd.Series) -> Row:
        values, steps = counts.to_numpy(), counts.index.to_numpy(np.int64)
        peak = int(values.argmax())
        gone = values < self.remains * values[peak]
        since = len(values) - int(np.argmax(~gone[::-1])) if gone[-1] else None  # never all gone: the peak is not
        members = committed.iloc[peak] == k
        homeless = committed.columns[members & (committed.iloc[-1] == 0)].to_numpy(np.int64)
        return self.Row(
            layer=layer,
            frequency=k,
            transient=bool(gone[-1]),
            peak=int(values[peak]),
            peak_step=int(steps[peak]),
            final=int(values[-1]),
            cohort_step=int(steps[int(np.argmax(values >= self.cohort * committed.shape[1]))]),
            pruned_step=None if since is None else int(steps[since]),
            lower=None if since is None else int(steps[since - 1]),
            homeless=len(homeless),
            homeless_neurons=homeless,
        )
