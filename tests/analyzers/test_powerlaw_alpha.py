"""`powerlaw_alpha` and its width rule: a Pareto sample, a second implementation, and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strobe import Weights
from strobe.schema import to_arrow
from strobe_analyzers.powerlaw_alpha import PowerlawAlpha, fit_power_law


def clauset(values):
    """Alpha, x_min and D straight from Clauset et al., in plain Python."""
    data = sorted(values)
    best = None
    for i, x_min in enumerate(data[:-1]):
        tail = data[i:]
        logs = sum(math.log(x / x_min) for x in tail)
        if not logs:
            continue
        alpha = 1 + len(tail) / logs
        D = max(abs(1 - (x / x_min) ** (1 - alpha) - j / len(tail)) for j, x in enumerate(tail))
        if best is None or best[2] > D:
            best = (alpha, x_min, D)
    return best


def rows(tensors, **settings):
    return {row.parameter: row for row in PowerlawAlpha(**settings).analyze_weights(Weights(tensors))}


def with_eigenvalues(values):
    """A square matrix whose sigma^2 are the values, between two random rotations."""
    rng = np.random.default_rng(1)
    left, right = (np.linalg.qr(rng.standard_normal((len(values),) * 2)).Q for _ in range(2))
    return torch.from_numpy(left * np.sqrt(values) @ right)


def test_a_pareto_sample_of_exponent_three():
    """2,000 draws by inversion, seed 0: 2.9905 +- 0.045, as the package powerlaw 2.0 finds too."""
    sample = (1 - np.random.default_rng(0).random(2000)) ** -0.5
    fit = fit_power_law(sample)
    assert fit.alpha == pytest.approx(2.9905, abs=5e-5)
    assert (fit.alpha - 1) / fit.tail**0.5 == pytest.approx(0.045, abs=1e-3)


@given(seed=st.integers(0, 1000), n=st.integers(3, 40))
def test_agrees_with_a_second_implementation(seed, n):
    values = np.random.default_rng(seed).pareto(1.5, n) + 0.1
    fit = fit_power_law(values)
    assert (fit.alpha, fit.x_min, fit.distance) == pytest.approx(clauset(values), rel=1e-9)


@given(seed=st.integers(0, 100), scale=st.floats(1e-6, 1e6))
def test_scale_does_not_move_the_exponent(seed, scale):
    values = np.random.default_rng(seed).pareto(2, 30) + 1
    assert fit_power_law(scale * values).alpha == pytest.approx(fit_power_law(values).alpha, rel=1e-9)


def test_a_matrix_is_fitted_through_its_squared_singular_values():
    values = np.random.default_rng(0).pareto(2, 60) + 1
    row = rows({"W": with_eigenvalues(values)}, min_width=50)["W"]
    alpha, x_min, distance = clauset(values)
    assert (row.alpha, row.x_min, row.distance) == pytest.approx((alpha, x_min, distance), rel=1e-6)
    assert row.tail == (values >= x_min).sum()
    assert row.alpha_weighted == pytest.approx(alpha * math.log10(values.max()))
    assert row.log_alpha_norm == pytest.approx(math.log10((values**alpha).sum()))
    assert row.reason is None


def test_narrow_matrices_are_named_and_not_fitted_unless_asked():
    tensors = {"narrow": torch.randn(255, 1000), "wide": torch.randn(256, 256)}
    found = rows(tensors)
    assert found["narrow"].alpha is None
    assert found["narrow"].reason == "255 wide, narrower than min_width=256"
    assert found["wide"].alpha > 1
    assert rows(tensors, min_width=255)["narrow"].alpha > 1


def test_one_large_eigenvalue_is_no_overflow():
    row = rows({"W": torch.diag(torch.tensor([1e12, *np.linspace(1e6, 2e6, 9)], dtype=torch.float64) * 1e120)}, min_width=2)["W"]
    assert math.isfinite(row.log_alpha_norm)


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        (torch.zeros(4, 4), "0 eigenvalues"),
        (torch.eye(4), "4 eigenvalues"),
        (torch.ones(4, 4), "1 eigenvalues"),
        (torch.full((4, 4), torch.nan), "not finite"),
    ],
)
def test_what_has_no_tail_has_a_reason(matrix, reason):
    found = rows({"W": matrix}, min_width=1)
    assert reason in found["W"].reason
    assert to_arrow(PowerlawAlpha.Row, found.values()).not_finite == {}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    matrix = torch.from_numpy(np.random.default_rng(0).standard_normal((16, 40))).to(dtype)
    assert rows({"W": matrix}, min_width=1)["W"].alpha == rows({"W": matrix.double()}, min_width=1)["W"].alpha
