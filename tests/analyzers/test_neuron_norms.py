"""`neuron_norms` and `cohort_norms`: by hand."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from strobe import Results, Weights
from strobe.schema import to_arrow
from strobe_analyzers.cohort_norms import CohortNorms
from strobe_analyzers.neuron_norms import NeuronNorms


def norms(tensors):
    found = list(NeuronNorms().analyze_weights(Weights(tensors)))
    to_arrow(NeuronNorms.Row, found)
    return found


def layer(n=0, scale=1.0):
    w_in, w_out = torch.tensor([[3.0, 0.0], [4.0, 1.0]]), torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 7.0]])
    return {f"blocks.{n}.mlp.W_in": w_in * scale, f"blocks.{n}.mlp.W_out": w_out / scale}


def test_norm_in_times_norm_out_and_it_does_not_care_where_the_scale_is():
    (row,) = norms(layer())
    assert row.norms.tolist() == pytest.approx([10.0, 7.0])
    assert row.total == pytest.approx(17)
    (other,) = norms(layer(scale=100.0))
    assert other.norms.tolist() == pytest.approx(row.norms.tolist(), rel=1e-6)


def test_layers_and_neurons_that_write_to_the_classes():
    assert [r.layer for r in norms({**layer(0), **layer(1)})] == [0, 1]
    (row,) = norms({"blocks.0.mlp.W_in": torch.ones(4, 2), "unembed.W_U": torch.ones(2, 9)})
    assert row.norms.tolist() == pytest.approx([6.0, 6.0])
    assert norms({"blocks.0.mlp.W_in": torch.ones(4, 2), "blocks.0.mlp.W_gate": torch.ones(4, 2), "blocks.0.mlp.W_out": torch.ones(2, 4)}) == []
    assert norms({"blocks.0.mlp.W_in": torch.ones(4, 2)}) == []


def test_weights_that_are_not_finite_give_a_null():
    (row,) = norms({**layer(), "blocks.0.mlp.W_in": torch.full((2, 2), torch.nan)})
    assert (row.norms, row.total) == (None, None)


def cohort_rows(members, sizes, neurons=20, **settings):
    """`members`: step -> {frequency: neurons, from number 0 on}; `sizes`: step -> norm of every neuron."""
    cells = []
    for step, held in members.items():
        frequency = [k for k, n in held.items() for _ in range(n)]
        known = [(k, 0.8) for k in frequency] + [(9, 0.5)] * (neurons - len(frequency))
        cells += [{"layer": 0, "step": step, "neuron": i, "frequency": k, "fraction": f} for i, (k, f) in enumerate(known)]
    table = pd.DataFrame([{"layer": 0, "step": s, "norms": n if n is None else torch.full((neurons,), n).numpy()} for s, n in sizes.items()])
    results = Results(neuron_frequency=pd.DataFrame(cells).astype({"frequency": "Int64"}), neuron_norms=table)
    found = list(CohortNorms(**settings).analyze_results(results))
    to_arrow(CohortNorms.Row, found)
    return found


def test_a_cohort_keeps_its_members_and_loses_its_norm():
    found = cohort_rows({0: {}, 10: {4: 8}, 20: {4: 8}, 30: {}}, {0: 2.0, 10: 1.0, 20: 1.0, 30: 0.1})
    assert [(r.frequency, r.step, r.members, r.members_step) for r in found] == [(4, s, 8, 20) for s in (0, 10, 20, 30)]
    assert [r.norm for r in found] == pytest.approx([16.0, 8.0, 8.0, 0.8])
    assert found[0].change is None
    assert [r.change for r in found[1:]] == pytest.approx([-0.5, 0.0, -0.9], abs=1e-6)


def test_small_cohorts_unknown_and_vanished_norms():
    assert cohort_rows({0: {4: 1}}, {0: 1.0}, neurons=100) == []
    found = cohort_rows({0: {4: 8}}, {0: 1.0, 10: None, 20: 0.0, 30: 0.0})
    assert [(r.norm, r.change) for r in found] == [(8.0, None), (None, None), (0.0, None), (0.0, None)]
