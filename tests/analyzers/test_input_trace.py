"""`input_trace`: by hand, against sorting, and with bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from strobe import Outputs, StrobeError
from strobe.schema import to_arrow
from strobe_analyzers.input_trace import InputTrace


def row(logits, targets, **splits):
    found = list(InputTrace().analyze_outputs(Outputs(logits, targets, splits)))
    to_arrow(InputTrace.Row, found)
    (one,) = found
    return one


def test_by_hand():
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]])
    found = row(logits, torch.tensor([1, 2]), train=torch.tensor([False, True]), test=torch.tensor([True, False]))
    assert found.prediction.tolist() == [1, 0]
    assert found.rank.tolist() == [0, 1]  # one larger, the other equal
    assert found.margin.tolist() == [1.0, -3.0]
    assert found.confidence.tolist() == pytest.approx([float(logits[0].softmax(0)[1]), float(logits[1].softmax(0)[0])], abs=5e-4)
    assert (found.splits, found.split.tolist()) == ("train,test", [1, 0])
    assert (found.correct, found.inputs) == (1, 2)


def test_ranks_are_those_of_sorting():
    rng = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(200, 300, generator=rng), torch.randint(0, 300, (200,), generator=rng)
    order = logits.argsort(1, descending=True)
    assert row(logits, targets).rank.tolist() == [order[i].tolist().index(t) for i, t in enumerate(targets.tolist())]


def test_inputs_of_no_split_and_large_margins():
    found = row(torch.tensor([[1e6, 0.0]]), torch.tensor([0]), train=torch.tensor([False]))
    assert found.split.tolist() == [255]
    assert np.isfinite(found.margin).all()


def test_logits_that_are_not_finite_have_no_arrays():
    found = row(torch.tensor([[torch.inf, 0.0]]), torch.tensor([0]))
    assert (found.correct, found.rank, found.margin, found.prediction, found.confidence) == (None,) * 5


def test_an_answer_per_position_is_refused():
    with pytest.raises(StrobeError, match="one answer"):
        row(torch.zeros(2, 3, 4), torch.zeros(2, 3).long())
