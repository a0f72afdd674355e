"""`neuron_timeline`: the same as the table it sums up."""

from __future__ import annotations

import numpy as np
import pandas as pd

from strobe import Results
from strobe.schema import to_arrow
from strobe_analyzers.neuron_timeline import NeuronTimeline

CELLS = [  # step, neuron, frequency, fraction, fractions, dead
    (0, 1, None, None, None, True),
    (0, 0, None, None, None, False),
    (10, 2, 3, 0.5, np.array([0.25, 0.0, 0.5]), False),
    (10, 0, 1, 0.75, np.array([0.75, 0.25, 0.0]), False),
    (10, 1, None, None, None, False),
]


def rows(cells=CELLS):
    table = pd.DataFrame([dict(zip(("step", "neuron", "frequency", "fraction", "fractions", "dead"), c, strict=True), layer=0) for c in cells])
    found = list(NeuronTimeline().analyze_results(Results(neuron_frequency=table.astype({"frequency": "Int64"}))))
    to_arrow(NeuronTimeline.Row, found)
    return found


def test_means_are_over_the_neurons_that_vary_and_neurons_stand_in_their_order():
    before, after = rows()
    assert (before.step, before.neurons, before.shares) == (0, 2, None)
    assert (before.frequency.tolist(), before.fraction.tolist()) == ([0, -1], [0.0, 0.0])
    assert (after.step, after.neurons, after.shares.tolist()) == (10, 3, [0.5, 0.125, 0.25])
    assert (after.frequency.tolist(), after.fraction.tolist()) == ([1, 0, 3], [0.75, 0.0, 0.5])


def test_layers_and_runs_of_dead_neurons():
    table = [(0, n, None, None, None, True) for n in range(3)]
    (row,) = rows(table)
    assert row.shares is None
    assert set(row.frequency.tolist()) == {-1}
