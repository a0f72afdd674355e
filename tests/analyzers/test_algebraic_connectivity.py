"""`algebraic_connectivity`: graphs known in closed form, and the eigenvalues that scipy's Laplacian has."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import laplacian

from strobe import Weights
from strobe_analyzers.algebraic_connectivity import AlgebraicConnectivity


def connectivity(matrix):
    (row,) = AlgebraicConnectivity().analyze_weights(Weights({"W": torch.as_tensor(matrix)}))
    return row.connectivity


def by_scipy(matrix):
    """Second smallest eigenvalue of scipy's normalised Laplacian of the bipartite graph [inputs + outputs]."""
    n, m = matrix.shape
    graph = np.zeros((n + m, n + m))
    graph[:n, n:] = np.abs(matrix)
    graph[n:, :n] = np.abs(matrix).T
    return np.sort(np.linalg.eigvalsh(laplacian(graph, normed=True)))[1]


@given(seed=st.integers(0, 1000), n=st.integers(1, 7), m=st.integers(1, 7), density=st.sampled_from([0.4, 1.0]))
def test_agrees_with_scipy(seed, n, m, density):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((n, m)) * (rng.random((n, m)) < density)
    matrix[0, 0] = 1.0
    assert connectivity(matrix) == pytest.approx(by_scipy(matrix), abs=1e-9)


@pytest.mark.parametrize("shape", [(2, 2), (3, 7), (1, 5)])
def test_a_complete_bipartite_graph_has_one(shape):
    assert connectivity(np.full(shape, -3.0)) == pytest.approx(1)


def test_a_matrix_of_rank_one_has_one_and_a_single_edge_two():
    assert connectivity(np.outer([1.0, -2, 5], [0.1, 3, -4, 7])) == pytest.approx(1)
    assert connectivity(np.full((1, 1), 4.0)) == 2


def test_blocks_have_zero_however_rows_are_sorted():
    blocks = np.zeros((5, 6))
    blocks[:2, :3], blocks[2:, 3:] = 1.0, np.random.default_rng(0).random((3, 3)) + 0.1
    rng = np.random.default_rng(1)
    assert connectivity(blocks) == pytest.approx(0, abs=1e-12)
    assert connectivity(blocks[rng.permutation(5)][:, rng.permutation(6)]) == pytest.approx(0, abs=1e-12)


@given(seed=st.integers(0, 1000))
def test_signs_scale_order_and_transposing_change_nothing(seed):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((4, 6))
    before = connectivity(matrix)
    changed = -7 * np.abs(matrix)[rng.permutation(4)][:, rng.permutation(6)].T
    assert connectivity(changed) == pytest.approx(before, abs=1e-12)


def test_a_dead_row_is_a_piece_of_its_own_and_a_dead_matrix_no_graph():
    dead = np.ones((3, 3))
    dead[1] = 0
    assert connectivity(dead) == 0
    assert connectivity(np.zeros((3, 3))) is None
    assert connectivity(np.zeros((0, 3))) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_finite_is_null(bad):
    assert connectivity(np.array([[1.0, bad], [2.0, 3.0]])) is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    matrix = torch.from_numpy(np.random.default_rng(0).standard_normal((8, 16))).to(dtype)
    assert connectivity(matrix) == connectivity(matrix.double())


def test_a_real_checkpoint(data):
    weights = Weights.open(data / "modadd_p113_seed999" / "epoch_25000.safetensors")
    for row in AlgebraicConnectivity(parameters="*.W_[EQU]*").analyze_weights(weights):
        matrix = dict(weights.matrices(row.parameter))[row.parameter]
        assert row.connectivity == pytest.approx(by_scipy(matrix.double().numpy()), abs=1e-10)
