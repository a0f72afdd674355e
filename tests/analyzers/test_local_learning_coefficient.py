"""`local_learning_coefficient`: regular minima and normal crossings against their posteriors, and chains that must not be believed."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from quadratic import model, probe, quadratic

from strobe import Loss
from strobe_analyzers.local_learning_coefficient import LocalLearningCoefficient


def run(loss, inputs=None, **settings):
    *chains, mean = LocalLearningCoefficient(batch_size=None, **settings).analyze_landscape(loss, inputs or probe())
    return chains, mean


def crossing(i, j):
    """w1^(2i) w2^(2j) at the origin: LLC 1 / (2 max(i, j))."""
    return Loss(lambda w, split: w["w"][0] ** (2 * i) * w["w"][1] ** (2 * j), {"w": torch.zeros(2, dtype=torch.float64)})


def expected(i, j, nbeta, gamma):
    """n beta E[L] under exp(-n beta L - gamma |w|^2 / 2), by quadrature."""
    x = np.linspace(0, 6 / gamma**0.5, 4001)[1:]
    a, b = np.meshgrid(x, x, sparse=True)
    energy = nbeta * a ** (2 * i) * b ** (2 * j)
    weight = np.exp(-energy - gamma * (a**2 + b**2) / 2)
    return float((energy * weight).sum() / weight.sum())


@pytest.mark.parametrize("d", [2, 8])
def test_a_regular_minimum_has_half_its_dimensions(d):
    loss = quadratic(torch.diag(torch.linspace(1, 3, d, dtype=torch.float64)))
    chains, mean = run(loss, nbeta=100.0, localization=0.1, step_size=2e-3, chains=4, draws=400, burn_in=50)
    assert mean.llc == pytest.approx(d / 2, abs=4 * mean.llc_se + 0.15 * d / 2)
    assert mean.quadratic == pytest.approx(d / 2, rel=0.01)
    assert mean.label == "ok"
    assert mean.acceptance > 0.9
    assert mean.llc == pytest.approx(np.mean([c.llc for c in chains]))
    assert all(len(c.losses) == 400 for c in chains)


@pytest.mark.parametrize(("i", "j", "step", "draws"), [(0, 1, 5e-4, 400), (1, 1, 4e-3, 700), (1, 2, 4e-3, 400)])
def test_normal_crossings_agree_with_their_posterior(i, j, step, draws):
    nbeta = 1000 / log(1000)
    _, mean = run(crossing(i, j), nbeta=nbeta, localization=1.0, step_size=step, chains=4, draws=draws, burn_in=100)
    exact = expected(i, j, nbeta, 1.0)
    assert mean.llc == pytest.approx(exact, abs=3.5 * mean.llc_se + 0.05 * exact)
    assert exact == pytest.approx(1 / (2 * max(i, j)), rel=0.4)  # at this n and gamma, the asymptotic value
    assert exact < 0.55


def test_a_chain_that_feels_its_prior_alone_says_so():
    """n beta tr(H) / 2 gamma is then all that it measures."""
    loss = quadratic(torch.diag(torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)))
    _, mean = run(loss, nbeta=1.0, localization=500.0, step_size=1e-4, chains=4, draws=400, burn_in=100)
    assert mean.label == "prior-dominated"
    assert mean.curvature_to_prior == pytest.approx(5 / 500)
    assert mean.quadratic == pytest.approx(8 / (2 * 500), rel=0.02)
    assert mean.llc == pytest.approx(8 / (2 * 500), rel=0.25)


def test_a_chain_that_is_still_leaving_is_not_stationary():
    loss = quadratic(torch.diag(torch.full((20,), 2.0, dtype=torch.float64)))
    _, mean = run(loss, nbeta=100.0, localization=0.1, step_size=1e-6, chains=4, draws=50)
    assert mean.label == "not stationary"
    assert mean.second_half > 2 * mean.first_half


def test_a_chain_that_diverges_has_no_value_and_keeps_its_trace():
    loss = Loss(lambda w, split: (w["w"] ** 4).sum(), {"w": torch.full((3,), 2.0, dtype=torch.float64)})
    chains, mean = run(loss, nbeta=1000.0, localization=1.0, step_size=0.1, draws=50)
    assert {c.label for c in chains} == {mean.label} == {"diverged"}
    assert (mean.llc, mean.llc_se, chains[0].llc) == (None, None, None)
    assert len(chains[0].losses) < 50
    assert np.isfinite(chains[0].losses).all()


def test_a_checkpoint_that_is_not_finite_has_no_value():
    _, mean = run(Loss(lambda w, split: (w["w"] ** 2).sum() * float("nan"), {"w": torch.ones(3)}), draws=5)
    assert (mean.label, mean.llc, mean.baseline, mean.quadratic) == ("diverged", None, None, None)


def test_steps_too_long_for_the_localisation_are_refused():
    with pytest.raises(ValidationError, match=r"use a step_size of 0\.0001 or less"):
        LocalLearningCoefficient(step_size=1e-3, localization=1000.0)


def test_same_seed_same_chains_on_batches():
    _, loss, grid = model()
    settings = {"batch_size": 4, "draws": 6, "chains": 2}
    first, again = (list(LocalLearningCoefficient(**settings).analyze_landscape(loss, grid)) for _ in range(2))
    np.testing.assert_array_equal(first[0].losses, again[0].losses)
    assert not np.array_equal(first[0].losses, first[1].losses)
    assert first[0].nbeta == pytest.approx(12 / log(12))
    assert first[0].baseline == pytest.approx(loss("train"))
