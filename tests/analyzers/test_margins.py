"""`margins`: exact clocks, numpy percentiles, the reference of a real run."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from strobe import Outputs, StrobeError, maths
from strobe.schema import to_arrow
from strobe.sites import Tap
from strobe_analyzers.margins import Margins
from strobe_families.modular_addition import ModularAddition


def rows(logits, targets, **splits):
    return {row.split: row for row in Margins().analyze_outputs(Outputs(logits, targets, splits))}


@pytest.mark.parametrize("p", [3, 7, 12])
def test_a_clock_of_one_frequency_has_margin_1_minus_cos(p):
    x = torch.arange(p)
    angle = (x[:, None, None] + x[:, None] - x).double() * 2 * torch.pi / p
    row = rows(torch.cos(angle).reshape(p * p, p), maths.sum_classes(p))["all"]
    expected = 1 - math.cos(2 * math.pi / p)
    assert (row.minimum, row.median, row.maximum) == pytest.approx((expected,) * 3, rel=1e-12)
    assert row.not_positive == 0


def test_percentiles_agree_with_numpy():
    rng = torch.Generator().manual_seed(1)
    logits, targets = torch.randn(300, 5, generator=rng).double(), torch.randint(0, 5, (300,), generator=rng)
    others = logits.clone()
    others[torch.arange(300), targets] = -torch.inf
    margin = (logits[torch.arange(300), targets] - others.max(1).values).numpy()
    row = rows(logits, targets)["all"]
    found = [row.minimum, row.p01, row.p05, row.p25, row.median, row.p75, row.p95, row.p99, row.maximum]
    assert found == pytest.approx(np.percentile(margin, [0, 1, 5, 25, 50, 75, 95, 99, 100]).tolist(), rel=1e-12)
    assert row.mean == pytest.approx(margin.mean(), rel=1e-12)
    assert row.not_positive == (margin <= 0).sum()


def test_empty_splits_half_precision_and_nan():
    found = rows(torch.eye(3).bfloat16(), torch.arange(3), train=torch.ones(3).bool(), test=torch.zeros(3).bool())
    assert list(found) == ["train", "all"]
    assert found["all"].minimum == 1
    made = to_arrow(Margins.Row, Margins().analyze_outputs(Outputs(torch.full((2, 2), torch.nan), torch.tensor([0, 1]))))
    assert made.not_finite["minimum"] == 1
    assert made.table.column("mean").to_pylist() == [None]


def test_one_class_has_no_margin():
    with pytest.raises(StrobeError, match="two or more classes"):
        rows(torch.zeros(2, 1), torch.zeros(2).long())


@pytest.mark.parametrize(("step", "least", "mean"), [(25000, 8.239992148665422, 17.019997285474187)])
def test_a_real_checkpoint(data, step, least, mean):
    family = ModularAddition()
    probe = family.probes(family.split())["grid"]()
    with torch.inference_mode():
        logits = family.forward(load_file(data / "modadd_p113_seed999" / f"epoch_{step:05d}.safetensors"), probe.inputs, Tap())
    row = rows(logits, probe.targets)["all"]
    assert (row.minimum, row.mean) == pytest.approx((least, mean), rel=1e-5)  # float32 logits in between
