from __future__ import annotations

import numpy as np
import pytest
import torch
from real_run import passed

from strobe import Activations, Probe, Weights
from strobe.schema import to_arrow
from strobe_analyzers.dormant_neurons import DormantNeurons

SITE = "blocks.0.mlp.post"
COUNTS = {  # (split, step): dormant at 0.025, and zero on every pair; the real run, counted apart
    ("all", 0): (174, 65),
    ("train", 0): (173, 74),
    ("all", 1000): (0, 0),
    ("train", 1000): (0, 0),
    ("all", 25_000): (52, 0),
    ("train", 25_000): (51, 0),
}


def probe(n, **splits):
    return Probe("some", torch.zeros(n, 1, dtype=torch.long), torch.zeros(n, dtype=torch.long), splits)


def rows(h, weights=None, tau=0.025, **splits):
    found = DormantNeurons(tau=tau).analyze_activations(Activations({SITE: h}), Weights(weights or {}), probe(len(h), **splits))
    return {r.split: r for r in found}


def test_scores_are_activation_over_the_layers_mean():
    h = torch.tensor([[1.0, 3.0, 0.0, 0.04], [3.0, 1.0, 0.0, 0.04]])
    row = rows(h)["all"]
    assert row.scores == pytest.approx(np.array([2, 2, 0, 0.04]) / 1.01)
    assert (row.neurons, row.dormant, row.dead) == (4, 1, 1)
    assert rows(h, tau=0.05)["all"].dormant == 2


def test_negative_activations_count_by_size():
    row = rows(torch.tensor([[-1.0, 1.0], [1.0, 1.0]]))["all"]
    assert (row.dormant, row.dead) == (0, 0)
    assert row.scores == pytest.approx([1, 1])


def test_splits_are_told_apart_and_an_empty_one_has_no_row():
    h = torch.tensor([[0.0, 1.0], [0.0, 1.0], [5.0, 1.0]])
    mask = torch.tensor([True, True, False])
    found = rows(h, train=mask, test=~mask, none=torch.zeros(3, dtype=torch.bool))
    assert list(found) == ["train", "test", "all"]
    assert [(r.dormant, r.dead) for r in found.values()] == [(1, 1), (0, 0), (0, 0)]


def test_a_dead_layer_is_all_dormant_and_scores_zero():
    row = rows(torch.zeros(5, 3))["all"]
    assert (row.dormant, row.dead, row.scores.tolist()) == (3, 3, [0, 0, 0])


def test_utility_is_activation_times_output_weights_where_there_are_some():
    h, w = torch.tensor([[1.0, 2.0], [3.0, 0.0]]), torch.tensor([[1.0, -1.0, 1.0], [0.5, 0.0, 0.0]])
    assert rows(h, {"blocks.0.mlp.W_out": w})["all"].utility == pytest.approx([6, 0.5])
    assert rows(h)["all"].utility is None
    assert rows(h, {"blocks.0.mlp.W_out": w.T})["all"].utility is None


def test_activations_that_are_not_finite_give_nulls():
    for bad in (torch.nan, torch.inf):
        row = rows(torch.tensor([[1.0, bad], [1.0, 1.0]]))["all"]
        assert (row.neurons, row.dormant, row.dead, row.scores) == (2, None, None, None)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_precision_counts_alike(dtype):
    h = torch.tensor([[1.0, 0.0, 2.0], [3.0, 0.0, 0.0]], dtype=dtype)
    row = rows(h)["all"]
    assert (row.dormant, row.dead) == (1, 1)
    assert to_arrow(DormantNeurons.Row, [row]).table.num_rows == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_many_half_precision_inputs_are_summed_in_single(dtype):
    row = rows(torch.full((70_000, 2), 3.0, dtype=dtype), {"blocks.0.mlp.W_out": torch.ones(2, 1)})["all"]
    assert row.utility == pytest.approx([3, 3])


def test_no_inputs_no_rows():
    assert rows(torch.zeros(0, 4)) == {}


@pytest.mark.parametrize("step", [0, 1000, 25_000])
def test_agrees_with_the_counts_of_the_real_run(step):
    weights, probe, sites, _ = passed(step, "mlp.post")
    found = {r.split: r for r in DormantNeurons().analyze_activations(Activations(sites), weights, probe)}
    for split in ("all", "train"):
        assert (found[split].dormant, found[split].dead) == COUNTS[split, step]
