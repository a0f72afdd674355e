"""`transient_frequencies`: cohorts by hand."""

from __future__ import annotations

import pandas as pd

from strobe import Results
from strobe.schema import to_arrow
from strobe_analyzers.transient_frequencies import TransientFrequencies


def rows(members, neurons=20, **settings):
    """`members`: step -> {frequency: neurons committed to it}; all others lean on frequency 9 at 0.5."""
    cells = []
    for step, cohorts in members.items():
        frequency = [k for k, n in cohorts.items() for _ in range(n)]
        for neuron in range(neurons):
            k = frequency[neuron] if neuron < len(frequency) else 9
            cells.append({"step": step, "layer": 0, "neuron": neuron, "frequency": k, "fraction": 0.9 if neuron < len(frequency) else 0.5})
    results = Results(neuron_frequency=pd.DataFrame(cells).astype({"frequency": "Int64"}))
    found = list(TransientFrequencies(**settings).analyze_results(results))
    to_arrow(TransientFrequencies.Row, found)
    return {r.frequency: r for r in found}


def test_a_cohort_that_is_given_up():
    found = rows({0: {}, 10: {4: 5}, 20: {4: 10, 2: 2}, 30: {2: 12}, 40: {2: 12}})
    assert [k for k, r in found.items() if r.transient] == [4]
    row = found[4]
    assert (row.peak, row.peak_step, row.final, row.cohort_step) == (10, 20, 0, 10)
    assert (row.pruned_step, row.lower) == (30, 20)
    assert row.homeless == 0  # all ten became members of 2
    assert found[2].pruned_step is None


def test_members_at_the_peak_that_end_with_nothing_are_homeless():
    row = rows({0: {4: 10}, 10: {2: 3}})[4]
    assert row.homeless_neurons.tolist() == list(range(3, 10))


def test_a_tenth_is_of_its_own_peak():
    found = rows({0: {4: 40}, 10: {4: 5}, 20: {4: 4}}, neurons=400)
    assert not found[4].transient  # 4 of 400 neurons, but a tenth of its peak
    assert rows({0: {4: 40}, 10: {4: 3}}, neurons=400)[4].transient


def test_a_revival_dates_the_pruning_after_it():
    row = rows({0: {4: 10}, 10: {}, 20: {4: 9}, 30: {}})[4]
    assert (row.pruned_step, row.lower) == (30, 20)


def test_small_cohorts_and_runs_without_any():
    assert rows({0: {4: 1}}, neurons=100) == {}
    assert rows({0: {}, 10: {}}) == {}
    assert list(rows({0: {4: 1}}, neurons=100, cohort=0.01)) == [4]
