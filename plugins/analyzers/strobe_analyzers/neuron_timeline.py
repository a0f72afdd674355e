"""What every neuron does, step by step, in little room."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

import strobe
from strobe import Analyzer, Results, array, dim, hookimpl, metric

CONSTANT, DEAD = 0, -1
"""In the place of a frequency."""


class NeuronTimeline(Analyzer):
    """Per layer and step, in one row: the mean share of each frequency over the neurons, and each neuron's leading frequency with its share.

    What charts over all of training need of neuron_frequency, at a 30th of its size. `shares` is the mean of `fractions` over the neurons that vary
    with the input (null when none does): between 0 and 1, and they add up to less than 1 as far as neurons mix frequencies. Neurons are in the
    order of their numbers. No forward: reads neuron_frequency.
    """

    consumes = "neuron_frequency"
    families = ("modular_addition", "modular_mlp")

    class Row(strobe.Row):
        layer: int = dim("layer")
        step: int = dim("training step of the checkpoint")
        neurons: int = metric("neurons in the layer", unit="neurons")
        shares: np.ndarray | None = array(
            "mean over neurons of the share of variance per frequency, from frequency 1 on", dims=["frequency"], unit="1"
        )
        frequency: np.ndarray = array(
            "frequency that leads each neuron; 0 when its activation is constant, -1 when it is dead", dims=["neuron"], dtype="int16", unit="1"
        )
        fraction: np.ndarray = array("share of each neuron that this frequency explains; 0 where there is none", dims=["neuron"], unit="1")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        for (layer, step), rows in results["neuron_frequency"].groupby(["layer", "step"]):
            yield self._row(int(layer), int(step), rows.sort_values("neuron"))

    def _row(self, layer: int, step: int, rows: pd.DataFrame) -> Row:
        known = [np.asarray(f, float) for f in rows["fractions"] if f is not None]
        leading = rows["frequency"].astype(float).fillna(CONSTANT).to_numpy()
        return self.Row(
            layer=layer,
            step=step,
            neurons=len(rows),
            shares=np.mean(known, axis=0).astype(np.float32) if known else None,
            frequency=np.where(rows["dead"].astype(bool), DEAD, leading).astype(np.int16),
            fraction=rows["fraction"].astype(float).fillna(0).to_numpy(np.float32),
        )
