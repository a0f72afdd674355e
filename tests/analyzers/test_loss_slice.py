"""`loss_slice`: parabolas and bowls, through the checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from quadratic import model, probe

from strobe import Loss
from strobe.schema import to_arrow, to_pandas
from strobe_analyzers.loss_slice import LossSlice

W = torch.arange(1.0, 7.0, dtype=torch.float64).view(3, 2)


def bowl(minimum):
    return Loss(lambda w, split: ((w["W_in"] - minimum) ** 2).sum(), {"W_in": W})


def test_a_line_through_a_bowl_is_a_parabola():
    (_, row) = LossSlice(points=9, radius=0.5).analyze_landscape(bowl(W), probe())
    assert row.losses.shape == (1, 9)
    assert row.betas.tolist() == [0]
    np.testing.assert_allclose(row.losses[0], row.alphas**2 * 91, atol=1e-12)
    assert row.rise == pytest.approx(row.losses.mean())


def test_the_middle_of_a_plane_is_the_checkpoint_and_its_axis_the_line():
    _, loss, grid = model()
    line = {r.split: r for r in LossSlice(points=5).analyze_landscape(loss, grid)}
    plane = {r.split: r for r in LossSlice(points=5, dimensions=2).analyze_landscape(loss, grid)}
    for split in ("train", "test"):
        assert plane[split].losses.shape == (5, 5)
        assert plane[split].losses[2, 2] == pytest.approx(loss(split))
        np.testing.assert_allclose(plane[split].losses[2], line[split].losses[0])
        assert not np.allclose(plane[split].losses[:, 2], line[split].losses[0])


def test_a_plane_of_a_bowl_is_the_quadratic_of_its_directions():
    (_, row) = LossSlice(points=3, dimensions=2).analyze_landscape(bowl(W), probe())
    corners = row.losses
    np.testing.assert_allclose(corners, corners[::-1, ::-1])  # even about the minimum
    assert corners[1, 0] == pytest.approx(91)
    assert corners[0, 0] + corners[0, 2] == pytest.approx(4 * 91)  # ||d1 + d2||^2 + ||d1 - d2||^2


def test_not_a_number_is_null():
    loss = Loss(lambda w, split: w["W_in"].sum() * float("nan"), {"W_in": W})
    table = to_pandas(to_arrow(LossSlice.Row, LossSlice(points=3).analyze_landscape(loss, probe())).table)
    assert table[["loss", "rise"]].isna().all(axis=None)
