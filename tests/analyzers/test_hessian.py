"""`hessian`: quadratics with a known spectrum, and a small transformer against its dense Hessian."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from quadratic import dense, model, probe, quadratic

from strobe import Loss, StrobeError
from strobe.schema import to_arrow, to_pandas
from strobe_analyzers.hessian import Hessian
from strobe_analyzers.lanczos import lanczos


def only(analyzer, loss, inputs=None):
    (row,) = analyzer.analyze_landscape(loss, inputs or probe())
    return row


def turned(values, seed=0):
    """A symmetric matrix with these eigenvalues in random directions."""
    q = torch.linalg.qr(torch.from_numpy(np.random.default_rng(seed).standard_normal((len(values),) * 2))).Q
    return q @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ q.T


def test_a_diagonal_quadratic_is_known_exactly():
    """Vectors of signs have equal weight on every eigenvector of a diagonal matrix: trace and density are exact, whatever their number."""
    values = [-2.0, 0.5, 1.0, 7.0]
    row = only(Hessian(top=2), quadratic(torch.diag(torch.tensor(values, dtype=torch.float64))))
    np.testing.assert_allclose(row.eigenvalues, [7, 1], rtol=1e-10)
    np.testing.assert_allclose(row.density_nodes, values, rtol=1e-10)
    np.testing.assert_allclose(row.density_shares, [0.25] * 4, rtol=1e-10)
    assert (row.lambda_max, row.lambda_min) == pytest.approx((7, -2))
    assert (row.trace, row.trace_se) == pytest.approx((6.5, 0), abs=1e-12)
    assert row.parameters == 4


@given(seed=st.integers(0, 100), n=st.integers(2, 9))
@settings(max_examples=30)
def test_lanczos_as_long_as_the_matrix_finds_its_spectrum(seed, n):
    values = np.sort(np.random.default_rng(seed).standard_normal(n))
    row = only(Hessian(lanczos_steps=n, top=n), quadratic(turned(values, seed)))
    np.testing.assert_allclose(row.eigenvalues[::-1], values, atol=1e-8)
    assert row.density_shares.sum() == pytest.approx(1)
    assert (row.density_shares * row.density_nodes).sum() * n == pytest.approx(row.trace_samples[0])


def test_repeated_values_end_lanczos_early():
    matrix = turned([2.0] * 5 + [3.0] * 4)
    found = lanczos(lambda v: matrix @ v, torch.ones(9, dtype=torch.float64), 9)
    np.testing.assert_allclose(found.values, [2, 3], atol=1e-9)
    np.testing.assert_allclose(found.residuals, 0, atol=1e-5)


def test_residuals_bound_the_error():
    values = np.linspace(0, 1, 60) ** 3
    row = only(Hessian(lanczos_steps=6), quadratic(turned(values)))
    nearest = np.abs(row.eigenvalues[:, None] - values).min(1)
    assert (nearest <= row.residuals + 1e-12).all()
    assert nearest.max() > 0


def test_trace_and_density_within_their_errors():
    values = np.random.default_rng(3).exponential(size=40)
    row = only(Hessian(probes=200, density_probes=50, lanczos_steps=8), quadratic(turned(values)))
    assert abs(row.trace - values.sum()) < 4 * row.trace_se
    h = turned(values).numpy()
    spread = (2 * ((h**2).sum() - (np.diag(h) ** 2).sum())) ** 0.5
    assert row.trace_se == pytest.approx(spread / 200**0.5, rel=0.2)
    assert (row.density_shares * row.density_nodes**2).sum() == pytest.approx((values**2).mean(), rel=0.1)


def test_a_small_transformer_against_its_dense_hessian():
    split = "test"
    _, loss, grid = model(d_mlp=4)
    h = dense(loss, split).numpy()
    values = np.linalg.eigvalsh(h)
    row = only(Hessian(lanczos_steps=40, probes=60, splits=(split,)), loss, grid)
    np.testing.assert_allclose(row.eigenvalues, values[::-1][:3], rtol=1e-6)
    assert row.lambda_min == pytest.approx(values[0], rel=1e-4)
    assert abs(row.trace - values.sum()) < 4 * row.trace_se


def test_float32_agrees_with_float64():
    _, loss, grid = model()
    narrow = loss.at({n: w.float() for n, w in loss.weights.items()})
    assert only(Hessian(), narrow, grid).lambda_max == pytest.approx(only(Hessian(float64=True), narrow, grid).lambda_max, rel=1e-4)


def test_unused_and_integer_parameters_are_flat():
    loss = quadratic(torch.diag(torch.tensor([4.0, 1.0])), unused=torch.ones(3), count=torch.tensor([1, 2]))
    row = only(Hessian(), loss)
    assert row.lambda_max == pytest.approx(4)
    assert row.parameters == 5


def test_what_is_not_finite_is_null_and_what_has_no_gradient_is_refused():
    loss = Loss(lambda w, split: (w["w"] ** 2).sum() * float("nan"), {"w": torch.ones(3)})
    table = to_pandas(to_arrow(Hessian.Row, Hessian().analyze_landscape(loss, probe())).table)
    assert table[["lambda_max", "trace", "eigenvalues", "density_nodes"]].isna().all(axis=None)
    with pytest.raises(StrobeError, match="cannot be differentiated"):
        only(Hessian(), Loss(lambda w, split: w["w"].round().detach().sum(), {"w": torch.ones(3)}))
    with pytest.raises(ValidationError, match="raise probes"):
        Hessian(probes=2, density_probes=3)


def test_a_flat_loss_has_zeros():
    row = only(Hessian(), Loss(lambda w, split: w["w"].sum(), {"w": torch.ones(3)}))
    assert (row.lambda_max, row.trace) == (0, 0)
