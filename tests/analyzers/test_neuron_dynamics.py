"""`neuron_dynamics`: sequences by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from strobe import Results
from strobe.schema import to_arrow
from strobe_analyzers.neuron_dynamics import NeuronDynamics


def table(**neurons):
    """Neuron -> a list of (frequency, fraction) per step, None where it is constant; steps 0, 10, 20, ..."""
    cells = [
        {"step": 10 * i, "layer": 0, "neuron": n, "frequency": cell and cell[0], "fraction": cell and cell[1]}
        for n, sequence in enumerate(neurons.values())
        for i, cell in enumerate(sequence)
    ]
    return Results(neuron_frequency=pd.DataFrame(cells).astype({"frequency": "Int64", "fraction": "float64"}))


def rows(results, **settings):
    found = list(NeuronDynamics(**settings).analyze_results(results))
    to_arrow(NeuronDynamics.Row, found)
    return {r.neuron: r for r in found}


def test_gaps_are_carried_and_switches_counted():
    sure, unsure = (5, 0.9), (5, 0.5)
    row = rows(table(a=[None, sure, unsure, sure, (7, 0.9), unsure, (5, 0.95)]))[0]
    assert row.frequencies.tolist() == [5, 7, 5]  # 5 again after a gap is no switch
    assert row.steps.tolist() == [10, 40, 60]
    assert (row.switches, row.thrashing) == (2, True)
    assert (row.frequency, row.commitment_step, row.lower) == (5, 60, 50)
    assert row.fraction == 0.95


def test_staying_begins_after_the_last_gap():
    row = rows(table(a=[(3, 0.9), (3, 0.5), (3, 0.9), (3, 0.9)]))[0]
    assert (row.switches, row.commitment_step, row.lower) == (0, 20, 10)
    assert rows(table(a=[(3, 0.9), (3, 0.9)]))[0].commitment_step == 0


def test_one_that_ends_uncommitted_has_no_commitment_step():
    row = rows(table(a=[(3, 0.9), (3, 0.8)]))[0]
    assert (row.frequency, row.commitment_step, row.lower, row.switches) == (None, None, None, 0)
    assert row.frequencies.tolist() == [3]


def test_dead_all_along():
    row = rows(table(a=[None, None]))[0]
    assert (row.frequency, row.fraction, row.switches, len(row.steps)) == (None, None, 0, 0)


def test_those_that_switch_most_come_first_and_the_threshold_is_a_setting():
    made = table(calm=[(1, 0.8), (1, 0.8), (1, 0.8)], restless=[(1, 0.8), (2, 0.8), (1, 0.8)])
    assert list(rows(made, threshold=0.7)) == [1, 0]
    assert [r.switches for r in rows(made).values()] == [0, 0]
    assert rows(made, threshold=0.7, thrashing_from=3)[1].thrashing is False


def test_one_checkpoint():
    row = rows(table(a=[(4, 0.99)]))[0]
    assert (row.commitment_step, row.lower, row.switches) == (0, 0, 0)


@pytest.mark.parametrize("layers", [1, 2])
def test_layers_are_kept_apart(layers):
    results = table(a=[(4, 0.99)])
    both = pd.concat([results["neuron_frequency"].assign(layer=i) for i in range(layers)])
    found = list(NeuronDynamics().analyze_results(Results(neuron_frequency=both)))
    assert [r.layer for r in found] == list(range(layers))
