"""`flatness` and its directions: a quadratic in closed form, the axes of a filter, the same numbers every time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from quadratic import model, probe, quadratic

from strobe import Loss, StrobeError
from strobe.schema import to_arrow, to_pandas
from strobe_analyzers.directions import filter_axes, filter_normalised, norm
from strobe_analyzers.flatness import Flatness


def rows(analyzer, loss, inputs=None):
    return {r.split: r for r in analyzer.analyze_landscape(loss, inputs or probe())}


def matrix_loss(scale=1.0, slope=0.0):
    """scale ||W - W0||^2 / 2 + slope sum W, at W0, of one 3 x 2 matrix and a bias: d^T H d = scale ||d||^2 = scale ||W||^2 for every direction."""
    weights = {"W_in": torch.arange(1.0, 7.0, dtype=torch.float64).view(3, 2), "b_in": torch.ones(2, dtype=torch.float64)}
    return Loss(lambda w, split: scale * ((w["W_in"] - weights["W_in"]) ** 2).sum() / 2 + slope * w["W_in"].sum() + 5 * w["b_in"].sum(), weights)


@pytest.mark.parametrize("alpha", [0.01, 0.5, 1e-4])
@pytest.mark.parametrize("slope", [0.0, 3.0])
def test_a_round_bowl_has_the_same_curvature_in_every_direction(alpha, slope):
    row = rows(Flatness(alpha=alpha, pairs=4), matrix_loss(2.0, slope))["train"]
    assert row.curvature == pytest.approx(2 * 91, rel=1e-6)
    assert row.curvature_se == pytest.approx(0, abs=1e-4)
    assert row.delta == pytest.approx(91 * alpha**2, rel=1e-6)
    assert (row.delta_std > 1e-6 * row.delta) == (slope > 0)  # the slope is in single directions alone


def test_standard_errors_are_over_pairs():
    h = torch.diag(torch.tensor([1.0, 50.0, 3.0], dtype=torch.float64))
    loss = Loss(lambda w, split: (w["W_in"] @ h @ w["W_in"].T).trace() / 2, {"W_in": torch.randn(2, 3, dtype=torch.float64)})
    row = rows(Flatness(pairs=5), loss)["train"]
    curvatures = (row.plus + row.minus) / row.alpha**2
    assert row.curvature == pytest.approx(curvatures.mean())
    assert row.curvature_se == pytest.approx(curvatures.std(ddof=1) / 5**0.5)
    assert row.curvature_std == pytest.approx(curvatures.std(ddof=1))
    assert row.delta_se == pytest.approx(row.curvature_se * row.alpha**2 / 2)
    assert row.delta_std == pytest.approx(np.concatenate([row.plus, row.minus]).std(ddof=1))


@pytest.mark.parametrize(
    ("name", "shape", "axes"),
    [
        ("blocks.0.mlp.W_in", (4, 6), (0,)),
        ("unembed.W_U", (4, 7), (0,)),
        ("embed.W_E", (8, 4), (1,)),
        ("pos_embed.W_pos", (3, 4), (1,)),
        ("blocks.0.attn.W_Q", (2, 4, 3), (1,)),
        ("blocks.0.attn.W_O", (2, 3, 4), (1,)),
        ("conv.weight", (8, 3, 5, 5), (1, 2, 3)),
        ("blocks.0.mlp.b_in", (6,), ()),
        ("scale", (), ()),
    ],
)
def test_a_filter_is_what_makes_one_output(name, shape, axes):
    assert filter_axes(name, shape) == axes


def test_directions_have_the_norm_of_the_weights_filter_by_filter():
    weights = model()[1].weights
    d = filter_normalised(weights, torch.Generator().manual_seed(0))
    torch.testing.assert_close(d["blocks.0.mlp.W_in"].norm(dim=0), weights["blocks.0.mlp.W_in"].norm(dim=0))
    torch.testing.assert_close(d["embed.W_E"].norm(dim=1), weights["embed.W_E"].norm(dim=1))
    torch.testing.assert_close(d["blocks.0.attn.W_O"].norm(dim=1), weights["blocks.0.attn.W_O"].norm(dim=1))
    assert not d["blocks.0.mlp.b_in"].any()
    matrices = {n: w for n, w in weights.items() if w.ndim > 1}
    assert norm(d) == pytest.approx(norm(matrices))


def test_same_seed_same_numbers_and_another_seed_others():
    _, loss, grid = model()
    first, again, other = (rows(Flatness(pairs=3, seed=s), loss, grid) for s in (0, 0, 1))
    for split in ("train", "test"):
        np.testing.assert_array_equal(first[split].plus, again[split].plus)
        assert not np.array_equal(first[split].plus, other[split].plus)
    assert list(first) == ["test", "train"]
    assert first["train"].loss == pytest.approx(loss("train"))


def test_losses_that_are_not_finite_are_null():
    loss = Loss(lambda w, split: w["W_in"].sum() * float("nan"), {"W_in": torch.ones(2, 2)})
    table = to_pandas(to_arrow(Flatness.Row, Flatness().analyze_landscape(loss, probe())).table)
    assert table[["loss", "delta", "curvature", "curvature_se"]].isna().all(axis=None)


def test_a_probe_without_splits_is_taken_whole_and_unknown_splits_are_refused():
    inputs = probe()
    whole = type(inputs)("bare", inputs.inputs, inputs.targets)
    assert list(rows(Flatness(pairs=2), matrix_loss(), whole)) == ["all"]
    with pytest.raises(StrobeError, match="no inputs in trian"):
        rows(Flatness(splits=("trian",)), quadratic(torch.eye(2)))
