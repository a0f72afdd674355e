"""`run_correlations`: perfect, opposite and unrelated numbers; a second implementation."""

from __future__ import annotations

import numpy as np
import pytest
from curves import table
from scipy.stats import spearmanr
from summaries import context, profiles

from strobe import Results, StrobeError
from strobe_analyzers.run_correlations import RunCorrelations, spearman


def correlations(runs, parameters=None, **settings):
    analyzer = RunCorrelations(**settings)
    found = analyzer.analyze_results(Results(run_profile=profiles(runs, noise=0)), context(parameters or {}))
    return table(analyzer, found).set_index(["x", "y"])


def test_the_same_order_the_opposite_and_an_interval():
    runs = {f"r{i}": {"turn": 100.0 * i, "generalised": float(i**3), "path_length": -float(i)} for i in range(9)}
    found = correlations(runs)
    assert found.loc[("turn", "generalised")]["rho"] == pytest.approx(1)
    assert found.loc[("turn", "path_length")][["rho", "low", "high"]].tolist() == pytest.approx([-1, -1, -1])
    assert found.loc[("turn", "path_length")]["excludes_zero"]
    assert set(found.index) == {("turn", "generalised"), ("turn", "path_length"), ("generalised", "path_length")}  # the rest is the same for all


def test_spearman_with_ties_is_scipys():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, (2, 40)).astype(float)
    assert spearman(x[None], y[None])[0] == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)


def test_unrelated_numbers_have_an_interval_around_0():
    rng = np.random.default_rng(3)
    runs = {f"r{i}": {"turn": float(rng.random()), "mixed_share": float(rng.random())} for i in range(30)}
    row = correlations(runs).loc[("turn", "mixed_share")]
    assert row["low"] < 0 < row["high"]
    assert not row["excludes_zero"]
    assert 0.5 < row["high"] - row["low"] < 0.9  # about 4 / sqrt(30)


def test_numeric_parameters_take_part():
    runs = {f"r{i}": {"turn": 1000.0 / (i + 1)} for i in range(6)}
    parameters = {f"r{i}": {"weight_decay": float(i), "optimizer": "adamw" if i else "sgd", "p": 31} for i in range(6)}
    assert correlations(runs, parameters).loc[("turn", "weight_decay")]["rho"] == pytest.approx(-1)


def test_only_runs_that_have_both_count_and_too_few_have_no_row():
    runs = {f"r{i}": {"turn": float(i), "regress": float(i) if i < 3 else None, "delay": float(-i) if i < 5 else None} for i in range(6)}
    found = correlations(runs)
    assert ("turn", "regress") not in found.index
    assert found.loc[("turn", "delay")]["runs"] == 5
    assert len(correlations({"one": {}})) == 0


def test_columns_limit_the_pairs_and_unknown_ones_are_named():
    runs = {f"r{i}": {"turn": float(i), "regress": float(i), "delay": float(i)} for i in range(5)}
    assert set(correlations(runs, columns=("delay",)).index) == {("turn", "delay"), ("delay", "regress")}
    with pytest.raises(StrobeError, match=r"no column 'dealy'; there are .*delay"):
        correlations(runs, columns=("dealy",))
