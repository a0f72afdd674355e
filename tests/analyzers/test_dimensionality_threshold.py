"""`dimensionality_threshold`: known crossings, and the dates of the real run."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from curves import table
from safetensors.numpy import load_file

from strobe import Results
from strobe_analyzers.dimensionality_threshold import DimensionalityThreshold
from strobe_analyzers.phases import Phases


def phases(turn=None, generalised=None, memorised=None):
    events = {"memorised": memorised, "turn": turn, "generalised": generalised}
    return pd.DataFrame([{"event": e, "at_step": s, "interpolated_step": s, "lower": s, "upper": s} for e, s in events.items()]).astype(
        {"interpolated_step": float, "at_step": float}
    )


def ratios(sigma, steps=None, parameter="blocks.0.mlp.W_in"):
    steps = range(len(sigma)) if steps is None else steps
    values = [None if v is None else float(v) for v in sigma]
    return pd.DataFrame(
        {"step": steps, "parameter": parameter, "head": None, "participation_ratio_sigma": values, "participation_ratio_lambda": values}
    )


def thresholds(spectra, when, **settings):
    analyzer = DimensionalityThreshold(**settings)
    found = table(analyzer, analyzer.analyze_results(Results(effective_dimensionality=spectra, phases=when)))
    return found[found["ratio"] == "sigma"].set_index("level")


def test_a_straight_fall_is_interpolated():
    found = thresholds(ratios([100, 40, 20, 10], (0, 100, 200, 300)), phases(turn=120.0, generalised=200.0))
    assert found.loc[30.0, ["interpolated_step", "lower", "upper", "at_step"]].tolist() == [150, 100, 200, 200]
    assert found.loc[25.0].interpolated_step == 175
    assert found.loc[30.0].minus_turn == 30
    assert found.loc[25.0].minus_generalised == -25
    assert found["monotone"].all()
    assert found["stays"].all()


def test_the_steepest_fall_is_of_the_logarithm_after_memorising():
    values = [100, 20, 16, 4, 3]  # the largest drop in the logarithm, by 5, comes before memorising
    found = thresholds(ratios(values), phases(memorised=1.0)).iloc[0]
    assert (found.steepest_lower, found.steepest_upper) == (2, 3)
    assert found.steepest_slope == pytest.approx(np.log(4 / 16))


def test_a_fall_that_comes_back_neither_stays_nor_is_monotone():
    found = thresholds(ratios([50, 28, 42, 20]), phases()).loc[30.0]
    assert found.at_step == 1
    assert not found.stays
    assert not found.monotone
    assert found.largest_rise == pytest.approx(0.5)


def test_a_rise_before_the_highest_value_is_no_rise_of_the_decline():
    assert thresholds(ratios([40, 60, 20, 10]), phases())["monotone"].all()


def test_small_matrices_and_those_that_stay_high_have_a_reason():
    assert thresholds(ratios([20, 10]), phases())["reason"].tolist() == ["below from the start"] * 2
    found = thresholds(ratios([90, 31]), phases())
    assert found["reason"].tolist() == ["never below"] * 2
    assert found["interpolated_step"].isna().all()


def test_without_a_turn_there_is_a_date_but_no_difference():
    found = thresholds(ratios([40, 20]), phases())
    assert found["interpolated_step"].notna().all()
    assert found[["minus_turn", "minus_generalised"]].isna().all(axis=None)


def test_unknown_ratios_heads_and_one_checkpoint():
    found = thresholds(ratios([40, None, 20]), phases())
    assert (found.loc[30.0].lower, found.loc[30.0].upper) == (0, 2)
    one = thresholds(ratios([20]), phases())
    assert one["steepest_slope"].isna().all()
    assert len(thresholds(ratios([None, None]), phases())) == 0
    assert len(thresholds(ratios([40, 20]).assign(head=0), phases())) == 0


def real(data):
    folder = data / "modadd_p113_seed999"
    losses = json.loads((folder / "run.json").read_text())["test_loss"]
    train = load_file(folder / "losses.safetensors")["train_loss"]
    test = pd.DataFrame({"step": [int(s) for s in losses], "test_loss": list(losses.values())})
    metrics = pd.DataFrame({"step": np.arange(len(train)), "train_loss": train}).merge(test, on="step", how="outer")
    return pd.read_parquet(data / "real_run_ratios.parquet").assign(head=None), table(Phases(), Phases().analyze_results(metrics))


def test_the_real_run(data):
    """PR_sigma falls below 30 and 25 after generalising, PR_lambda around the turn."""
    spectra, when = real(data)
    analyzer = DimensionalityThreshold()
    found = table(analyzer, analyzer.analyze_results(Results(effective_dimensionality=spectra, phases=when)))
    dates = found.set_index(["parameter", "ratio", "level"])["interpolated_step"]
    for (matrix, ratio), expected in {
        ("W_in", "sigma"): (6582, 7348),
        ("W_out", "sigma"): (6716, 7071),
        ("W_in", "lambda"): (4585, 5315),
        ("W_out", "lambda"): (5039, 5342),
    }.items():
        assert tuple(round(dates[f"blocks.0.mlp.{matrix}", ratio, level]) for level in (30.0, 25.0)) == expected
    after = found[found["parameter"].str.contains("mlp") & (found["ratio"] == "sigma")]
    assert (after["minus_generalised"] > 900).all()
    assert after["monotone"].all()
