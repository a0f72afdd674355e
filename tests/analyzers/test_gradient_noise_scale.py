"""`gradient_noise_scale`: gradients whose mean and covariance are known."""

from __future__ import annotations

import pytest
import torch
from quadratic import model, probe

from strobe import Loss, StrobeError
from strobe_analyzers.gradient_noise_scale import GradientNoiseScale


def pulled(points):
    """Each input pulls w towards its own point: gradient w - x, at w = 0."""
    return Loss(lambda w, split: ((w["w"] - points[split]) ** 2).sum(1).mean() / 2, {"w": torch.zeros(points.shape[1], dtype=torch.float64)})


def only(loss, inputs, **settings):
    (row,) = GradientNoiseScale(**settings).analyze_landscape(loss, inputs)
    return row


@pytest.mark.parametrize("batch_size", [1, 4])
def test_trace_and_square_of_known_points(batch_size):
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(4000, 6, generator=generator, dtype=torch.float64) + torch.tensor([0.5, 0, 0, 0, 0, 0], dtype=torch.float64)
    row = only(pulled(points), probe(4000, 0), batch_size=batch_size)
    assert abs(row.trace - float(points.var(0).sum())) < 4 * row.trace_se
    assert row.trace == pytest.approx(6, rel=0.1)
    assert row.full_square == pytest.approx(float(points.mean(0).square().sum()))
    assert row.square == pytest.approx(row.full_square - row.trace / 4000)
    assert row.noise_scale == pytest.approx(6 / 0.25, rel=0.2)
    assert not row.drowned


def test_single_inputs_give_the_covariance_exactly():
    points = torch.tensor([[1.0, 0.0], [3.0, 4.0], [5.0, -1.0]], dtype=torch.float64)
    row = only(pulled(points), probe(3, 0), batch_size=1)
    assert row.trace == pytest.approx(float(points.var(0).sum()))
    assert row.full_noise_scale == pytest.approx(row.trace / 10)


def test_inputs_that_agree_make_no_noise():
    row = only(pulled(torch.ones(30, 2, dtype=torch.float64)), probe(30, 0), batch_size=5)
    assert row.trace == pytest.approx(0, abs=1e-12)
    assert row.noise_scale == pytest.approx(0, abs=1e-12)


def test_a_gradient_below_its_noise_is_drowned():
    points = torch.tensor([[1.0], [-1.0]] * 10, dtype=torch.float64)
    row = only(pulled(points), probe(20, 0), batch_size=1)
    assert row.drowned
    assert row.noise_scale is None


def test_default_batches_fit_any_model_and_impossible_ones_are_refused():
    _, loss, grid = model()
    row = only(loss, grid)
    assert (row.batch_size, row.inputs) == (1, 12)
    with pytest.raises(StrobeError, match="fewer than 2 batches of 7; lower batch_size to 6"):
        only(loss, grid, batch_size=7)


def test_not_a_number_is_null():
    row = only(Loss(lambda w, split: w["w"].sum() * float("nan"), {"w": torch.ones(3)}), probe())
    assert (row.trace, row.noise_scale, row.drowned) == (None, None, None)
