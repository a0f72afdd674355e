"""`turn_predictors`: signals that lead, follow and do neither, and the real run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from curves import table

from strobe import Results
from strobe_analyzers.turn_predictors import TurnPredictors

STEPS = np.arange(0, 1001, 50)


def sigmoid(at, low, high):
    """A curve whose logarithm goes from log high to log low around `at`."""
    share = 1 / (1 + np.exp((STEPS - at) / 20))
    return np.exp(np.log(low) + share * (np.log(high) - np.log(low)))


def predictors(sigma, gap, turn=500, **settings):
    base = {"step": STEPS, "parameter": "blocks.0.mlp.W_out", "head": None}
    spectra = pd.DataFrame({**base, "participation_ratio_sigma": sigma, "participation_ratio_lambda": sigma, "stable_rank": sigma})
    when = pd.DataFrame([{"event": "turn", "at_step": turn, "interpolated_step": turn, "lower": turn - 50 if turn else None, "upper": turn}])
    analyzer = TurnPredictors(**settings)
    results = Results(effective_dimensionality=spectra, spectral_gap=pd.DataFrame({**base, "gap": gap}), phases=when)
    return table(analyzer, analyzer.analyze_results(results)).set_index("signal")


def test_what_falls_before_leads_and_what_rises_after_follows():
    found = predictors(sigmoid(300, 5, 50), 1 / sigmoid(800, 0.1, 1))
    assert found["order"].to_dict() == {
        "participation_ratio_sigma": "leads",
        "participation_ratio_lambda": "leads",
        "stable_rank": "leads",
        "spectral_gap": "follows",
    }
    assert found["half"]["participation_ratio_sigma"] == pytest.approx(300, abs=1)
    assert found["half_minus_turn"]["spectral_gap"] == pytest.approx(300, abs=1)
    assert (found["onset"] < found["half"]).all()
    assert found["change"]["participation_ratio_sigma"] == pytest.approx(0.1, rel=1e-3)


def test_at_the_turn_is_neither():
    assert predictors(sigmoid(480, 5, 50), np.ones(21) + STEPS / 1e3)["order"]["participation_ratio_sigma"] == "around"


def test_a_signal_that_goes_the_other_way_has_no_date():
    found = predictors(sigmoid(300, 50, 5), sigmoid(300, 1, 10))
    assert found["half"].isna().all()
    assert found["order"].isna().all()
    assert found["fastest"].isna().all()


def test_without_a_turn_there_are_dates_but_no_order():
    found = predictors(sigmoid(300, 5, 50), 1 / sigmoid(800, 0.1, 1), turn=None)
    assert found["half"].notna().all()
    assert found["order"].isna().all()


def test_what_comes_and_goes_does_not_count_as_done():
    """Half-way down early, back up, and down for good late."""
    values = np.where(STEPS < 100, 50.0, np.where(STEPS < 200, 5.0, np.where(STEPS < 700, 50.0, 5.0)))
    assert predictors(values, np.ones(21))["half"]["participation_ratio_sigma"] == pytest.approx(675, abs=26)


def test_the_real_run(data):
    """Half of the fall of log PR comes after the turn at 5,056 for PR_sigma of W_out, and around it for the stable rank of W_in."""
    spectra = pd.read_parquet(data / "real_run_ratios.parquet").assign(head=None)
    events = {"memorised": (266.9, 267, 266, 267), "turn": (5056.2, 5500, 5000, 5500)}
    when = pd.DataFrame([{"event": e, "interpolated_step": s, "at_step": a, "lower": lo, "upper": up} for e, (s, a, lo, up) in events.items()])
    gaps = pd.DataFrame(columns=["step", "parameter", "head", "gap"])
    found = table(TurnPredictors(), TurnPredictors().analyze_results(Results(effective_dimensionality=spectra, spectral_gap=gaps, phases=when)))
    found = found.set_index(["parameter", "signal"])
    assert found["order"]["blocks.0.mlp.W_out", "participation_ratio_sigma"] == "follows"
    assert round(found["half"]["blocks.0.mlp.W_out", "participation_ratio_sigma"]) == 6764
    assert found["order"]["blocks.0.mlp.W_in", "stable_rank"] == "around"
