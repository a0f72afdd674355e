"""`logit_sample`: the same inputs at every step, to three digits."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from curves import table

from strobe import Outputs
from strobe_analyzers.logit_sample import LogitSample


def sample(logits, **settings):
    analyzer = LogitSample(**settings)
    return table(analyzer, analyzer.analyze_outputs(Outputs(logits, torch.zeros(len(logits), dtype=torch.int64)))).iloc[0]


def test_it_holds_the_logits_of_the_inputs_it_names():
    logits = torch.randn(300, 7, generator=torch.Generator().manual_seed(0)) * 50
    row = sample(logits, inputs=40)
    assert len(row.indices) == 40
    assert (np.diff(row.indices) > 0).all()
    np.testing.assert_allclose(row["sample"].astype(float) * row.scale, logits[row.indices.astype(int)], rtol=1e-3, atol=0.01)
    np.testing.assert_array_equal(row.indices, sample(logits + 1, inputs=40).indices)


def test_few_inputs_and_many_classes():
    row = sample(torch.randn(5, 9), classes=4)
    assert row["sample"].shape == (5, 4)
    assert row.indices.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("logits", "reason"), [(torch.full((3, 2), torch.inf), "not finite"), (torch.zeros(3, 2, 5), r"axes \[3, 2, 5\]")])
def test_logits_that_cannot_be_kept_have_a_reason(logits, reason):
    row = sample(logits)
    assert row["sample"] is None
    assert np.isnan(row.scale)
    assert re.search(reason, row.reason)


def test_zero_logits():
    row = sample(torch.zeros(3, 2))
    assert (row.scale, row["sample"].tolist()) == (0, [[0, 0]] * 3)
