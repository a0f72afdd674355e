"""When neurons make up their mind."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pydantic import Field

import strobe
from strobe import Analyzer, Results, array, dim, hookimpl, metric


class NeuronDynamics(Analyzer):
    """Per neuron: which frequencies it committed to over training, how often it switched, and from when on it stays.

    A neuron is committed to a frequency at a step when that explains `threshold` or more of it (see neuron_frequency). The last commitment is carried
    over uncommitted gaps; a switch is a commitment to another frequency than the last. Commitment step: the earliest checkpoint from which the neuron
    stays committed to the frequency it ends with, with the checkpoint before it (the truth lies between); null for one that ends uncommitted.
    A neuron thrashes when it switches `thrashing_from` times or more. Rows with most switches first. No forward: reads neuron_frequency.
    """

    consumes = "neuron_frequency"
    families = ("modular_addition", "modular_mlp")

    threshold: float = Field(0.85, gt=0, le=1)
    thrashing_from: int = Field(2, ge=1)

    class Row(strobe.Row):
        layer: int = dim("layer")
        neuron: int = dim("neuron")
        frequency: int | None = dim("frequency it is committed to at the last checkpoint; null when it is not")
        fraction: float | None = metric("share of the neuron that its leading frequency explains at the last checkpoint", unit="1")
        switches: int = metric("changes between successive committed frequencies", unit="1")
        thrashing: bool = dim("whether it switched as often as the setting says")
        commitment_step: int | None = metric("checkpoint from which it stays with its last frequency", unit="step")
        lower: int | None = metric("checkpoint before that one; the same at the first", unit="step")
        frequencies: np.ndarray = array("frequencies it committed to, in order of time", dims=["commitment"], dtype="int64", unit="1")
        steps: np.ndarray = array("checkpoint of each of these commitments", dims=["commitment"], dtype="int64", unit="step")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        for layer, table in results["neuron_frequency"].groupby("layer"):
            committed, fractions = commitments(table, self.threshold)
            steps, neurons = committed.index.to_numpy(np.int64), committed.columns
            rows = [self._row(int(str(layer)), int(n), committed[n].to_numpy(), fractions[n].iloc[-1], steps) for n in neurons]
            yield from sorted(rows, key=lambda row: -row.switches)

    def _row(self, layer: int, neuron: int, sequence: np.ndarray, fraction: float, steps: np.ndarray) -> Row:
        history = switch_points(sequence)
        last = int(sequence[-1])
        since = len(sequence) - int(np.argmax(sequence[::-1] != last)) if (sequence != last).any() else 0
        return self.Row(
            layer=layer,
            neuron=neuron,
            frequency=last or None,
            fraction=None if pd.isna(fraction) else float(fraction),
            switches=max(len(history) - 1, 0),
            thrashing=len(history) - 1 >= self.thrashing_from,
            commitment_step=int(steps[since]) if last else None,
            lower=int(steps[max(since - 1, 0)]) if last else None,
            frequencies=sequence[history].astype(np.int64),
            steps=steps[history],
        )


def commitments(table: pd.DataFrame, threshold: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Frequency each neuron is committed to (0: none) and its leading fraction, both [step, neuron], steps ascending."""
    fractions = table.pivot(index="step", columns="neuron", values="fraction").astype(float).sort_index()
    leading = table.pivot(index="step", columns="neuron", values="frequency").astype(float).fillna(0).sort_index()
    return leading.where(fractions >= threshold, 0).astype(int), fractions


def switch_points(sequence: np.ndarray) -> np.ndarray:
    """Indices at which a committed frequency (not 0) differs from the last committed one; the first commitment is one."""
    held = np.flatnonzero(sequence)
    values = sequence[held]
    return held[np.r_[True, values[1:] != values[:-1]]] if len(held) else held
