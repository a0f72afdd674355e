"""`checkpoint_products`: inner products of centred checkpoints, from which distances follow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from curves import checkpoints, products, table

from strobe import Checkpoints, StrobeError, Weights
from strobe_analyzers.checkpoint_products import CheckpointProducts
from strobe_analyzers.paths import paths


def test_they_are_the_inner_products_of_the_points_less_their_mean():
    points = np.random.default_rng(0).standard_normal((5, 7))
    found = products(checkpoints(points, (0, 1, 5, 9, 20)))
    x = points - points.mean(0)
    np.testing.assert_allclose(np.stack(found["products"]), x @ x.T, atol=1e-12)
    assert found["step"].tolist() == [0, 1, 5, 9, 20]
    assert found["parameters"].unique().tolist() == [7]


def test_distances_follow():
    points = np.array([[0.0, 0], [3, 4], [3, 0]])
    (path,) = paths(products(checkpoints(points)))
    np.testing.assert_allclose(path.distances, [[0, 5, 3], [5, 0, 4], [3, 4, 0]], atol=1e-12)


def test_a_group_adds_up_its_parameters():
    steps = {0: (1.0, 2.0), 1: (2.0, 5.0)}
    run = Checkpoints((0, 1), lambda s: Weights({"blocks.0.mlp.W_in": torch.full((2, 2), steps[s][0]), "unembed.W_U": torch.full((1,), steps[s][1])}))
    found = table(CheckpointProducts(), CheckpointProducts().analyze_trajectory(run))
    distance = {p.group: p.distances[0, 1] for p in paths(found)}
    assert distance == pytest.approx({"all": (4 + 9) ** 0.5, "embedding": 3, "unembedding": 3, "mlp": 2})


def test_a_checkpoint_that_is_not_finite_has_none_and_the_others_keep_theirs():
    points = np.random.default_rng(1).standard_normal((4, 3))
    broken = points.copy()
    broken[2, 1] = np.nan
    found = products(checkpoints(broken))
    assert found["products"][2] is None
    (path,) = paths(found)
    kept = np.delete(points, 2, 0)
    np.testing.assert_allclose(path.distances, np.linalg.norm(kept[:, None] - kept, axis=2), atol=1e-12)
    assert path.steps.tolist() == [0, 1, 3]


def test_one_checkpoint_is_a_path_of_one_point():
    (path,) = paths(products(checkpoints([[1.0, 2]])))
    assert path.distances.tolist() == [[0]]


def test_a_pattern_without_parameters_is_an_error():
    with pytest.raises(StrobeError, match=r"checkpoint_products: group 'x.y' matches no parameter"):
        products(checkpoints([[1.0], [2]]), "x.y")
