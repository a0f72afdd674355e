"""`class_loss`: means per class, by hand and against the mean over all inputs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from strobe import Outputs, StrobeError
from strobe.schema import to_arrow
from strobe_analyzers.class_loss import ClassLoss


def rows(logits, targets, **splits):
    found = list(ClassLoss().analyze_outputs(Outputs(logits, targets, splits)))
    to_arrow(ClassLoss.Row, found)
    return {row.split: row for row in found}


def test_each_class_by_hand():
    logits, targets = torch.tensor([[2.0, 0.0], [0.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 0, 1])
    row = rows(logits, targets)["all"]
    assert row.losses.tolist() == pytest.approx([(math.log1p(math.exp(-2)) + math.log(2)) / 2, math.log1p(math.e)], rel=1e-6)
    assert row.accuracies.tolist() == [1.0, 0.0]
    assert row.counts.tolist() == [2, 1]
    assert row.hardest == 1


def test_weighted_by_counts_the_means_are_the_mean_loss():
    rng = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(500, 7, generator=rng), torch.randint(0, 7, (500,), generator=rng)
    row = rows(logits, targets)["all"]
    assert np.average(row.losses, weights=row.counts) == pytest.approx(float(Outputs(logits, targets).loss.mean()), rel=1e-6)


def test_classes_without_inputs_and_splits_without_inputs():
    found = rows(torch.zeros(2, 3), torch.tensor([0, 2]), train=torch.tensor([True, False]), test=torch.zeros(2).bool())
    assert list(found) == ["train", "all"]
    row = found["train"]
    assert row.counts.tolist() == [1, 0, 0]
    assert row.classes.tolist() == [0]
    assert row.losses.tolist() == pytest.approx([math.log(3)])
    assert row.accuracies.tolist() == [1.0]
    assert (row.spread, row.hardest) == (None, 0)


def test_equally_hard_classes_have_no_spread():
    assert rows(torch.zeros(6, 3), torch.arange(6) % 3)["all"].spread == 0


def test_logits_that_are_not_finite_name_no_class():
    row = rows(torch.full((2, 2), torch.nan), torch.tensor([0, 1]))["all"]
    assert (row.spread, row.hardest) == (None, None)
    assert np.isnan(row.losses).all()
    assert np.isnan(row.accuracies).all()


def test_an_answer_per_position_is_refused():
    with pytest.raises(StrobeError, match="one answer per input"):
        rows(torch.zeros(2, 3, 4), torch.zeros(2, 3).long())
