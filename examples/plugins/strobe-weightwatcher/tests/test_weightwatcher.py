"""`weightwatcher`: spectra whose exponent is known, agreement with Strobe's own fit, and everything that Strobe expects of an analyzer."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from strobe_weightwatcher.analyzer import WeightWatcher

from strobe import Weights
from strobe.testing import AnalyzerConformance, run_analyzer


class TestWeightWatcher(AnalyzerConformance):
    analyzer = WeightWatcher(min_evals=4)  # the matrices of the tiny run are small


def with_spectrum(s: torch.Tensor, rows: int) -> torch.Tensor:
    """A matrix [rows, len(s)] with these singular values."""
    generator = torch.Generator().manual_seed(0)
    u = torch.linalg.qr(torch.randn(rows, len(s), generator=generator, dtype=torch.float64)).Q
    v = torch.linalg.qr(torch.randn(len(s), len(s), generator=generator, dtype=torch.float64)).Q
    return u * s @ v.T


def test_the_exponent_of_a_pareto_spectrum() -> None:
    n, alpha = 200, 3.0
    eigenvalues = (1 - (torch.arange(n, dtype=torch.float64) + 0.5) / n) ** (-1 / (alpha - 1))  # quantiles of p(x) ~ x^-3 from 1 up
    (row,) = run_analyzer(WeightWatcher, weights=Weights({"embed.W_E": with_spectrum(eigenvalues.sqrt(), 300)})).to_dict("records")
    assert row["alpha"] == pytest.approx(alpha, rel=0.1)
    assert row["stable_rank"] == pytest.approx((eigenvalues.sum() / eigenvalues.max()).item(), rel=1e-3)
    assert row["log_spectral_norm"] == pytest.approx(eigenvalues.max().log10().item(), rel=1e-3)
    assert pd.isna(row["reason"])


def test_a_random_matrix_is_under_trained_and_strobe_agrees() -> None:
    from strobe_analyzers.powerlaw_alpha import PowerlawAlpha

    matrix = torch.randn(400, 300, generator=torch.Generator().manual_seed(0)) / 20
    (theirs,) = run_analyzer(WeightWatcher, weights=Weights({"w": matrix})).to_dict("records")
    (ours,) = run_analyzer(PowerlawAlpha, weights=Weights({"w": matrix})).to_dict("records")
    assert theirs["alpha"] == pytest.approx(ours["alpha"], rel=0.15)
    assert (theirs["verdict"] == "under-trained") == (theirs["alpha"] > 6)


def test_what_cannot_be_fitted_says_why() -> None:
    weights = Weights({"small": torch.randn(3, 40), "bad": torch.full((30, 30), float("nan")), "zero": torch.zeros(30, 30)})
    rows = run_analyzer(WeightWatcher, weights=weights).set_index("parameter")
    assert rows["alpha"].isna().all()
    assert rows["reason"].to_dict() == {
        "small": "3 eigenvalues, fewer than min_evals=20",
        "bad": "weights are not finite",
        "zero": "all weights are zero",
    }


def test_a_fit_that_fails_leaves_the_norms() -> None:
    """As weightwatcher 0.7.7 said it of a W_Q at the end of a training."""
    said = {"status": "failed", "warning": "over-trained", "alpha": -1, "alpha_weighted": -1.0, "D": -1.0, "xmin": -1, "num_pl_spikes": -1}
    norms = {"log_alpha_norm": -1.0, "log_norm": 2.1, "log_spectral_norm": 1.9, "stable_rank": 1.6, "entropy": 0.2}
    row = WeightWatcher()._row("blocks.0.attn.W_Q", {**said, **norms})
    assert row.reason == "weightwatcher says its fit is 'failed'"
    assert {row.alpha, row.alpha_weighted, row.log_alpha_norm, row.distance, row.x_min, row.tail, row.verdict} == {None}
    assert (row.log_norm, row.log_spectral_norm, row.stable_rank, row.entropy) == (2.1, 1.9, 1.6, 0.2)
