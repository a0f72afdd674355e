"""`parameter_pca`: circles, lines, dense SVD, and matrices that have none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from curves import table

from strobe import Weights
from strobe_analyzers.parameter_pca import ParameterPca


def pca(weights, **settings):
    analyzer = ParameterPca(**{"parameters": ("*",)} | settings)
    return table(analyzer, analyzer.analyze_weights(Weights(weights)))


def test_a_circle_has_two_equal_shares():
    t = torch.arange(12) * 2 * math.pi / 12
    circle = torch.stack([3 * t.cos(), 3 * t.sin(), torch.ones(12)], 1)
    row = pca({"embed.W_E": circle}).iloc[0]
    assert row.points == 12
    assert row.first_share == pytest.approx(0.5)
    assert row.second_over_first == pytest.approx(1)
    assert row.total_variance == pytest.approx(9)
    np.testing.assert_allclose(np.hypot(row["first"], row["second"]), 3, rtol=1e-5)
    np.testing.assert_allclose(row["third"], 0, atol=1e-5)


def test_a_line_has_one():
    row = pca({"W": torch.outer(torch.arange(5.0), torch.tensor([3.0, -4.0]))}).iloc[0]
    assert row.first_share == pytest.approx(1)
    assert row.second_over_first == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(row["first"], [10, 5, 0, -5, -10], atol=1e-5)  # the largest loading, of 4, is positive


def test_it_is_the_svd_of_the_centred_rows():
    w = torch.randn(9, 6, generator=torch.Generator().manual_seed(0))
    row = pca({"blocks.0.mlp.W_in": w}, components=4).iloc[0]
    x = w.double().numpy()
    x = x - x.mean(0)
    _, s, v = np.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(row.shares, (s**2 / (s**2).sum())[:4], rtol=1e-12)
    for i, name in enumerate(("first", "second", "third")):
        np.testing.assert_allclose(row[name], x @ v[i] * np.sign(v[i][np.abs(v[i]).argmax()]), atol=1e-5)


def test_patterns_choose_matrices_of_any_size():
    weights = {
        "embed.W_E": torch.randn(5, 3),
        "unembed.W_U": torch.randn(3, 4),
        "pos_embed.W_pos": torch.randn(3, 3),
        "blocks.0.mlp.b_in": torch.ones(3),
    }
    assert pca(weights, parameters=ParameterPca().parameters)["parameter"].tolist() == ["embed.W_E", "unembed.W_U"]


@pytest.mark.parametrize("rows", [torch.ones(4, 3), torch.full((4, 3), torch.nan), torch.ones(1, 3)])
def test_rows_that_are_alike_or_not_finite_have_nulls(rows):
    row = pca({"W": rows}).iloc[0]
    assert np.isnan(row.first_share)
    assert row.shares is None
    assert row["first"] is None


def test_a_column_has_one_component():
    row = pca({"W": torch.tensor([[1.0], [2], [6]])}).iloc[0]
    assert row.first_share == 1
    assert np.isnan(row.second_over_first)
    np.testing.assert_allclose(row["first"], [-2, -1, 3])
