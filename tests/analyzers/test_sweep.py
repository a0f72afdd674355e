"""Runs against runs on a real sweep: thirteen small runs, one degraded on purpose (`benchmarks/sweep.py`; kept in tests/data/sweep)."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from curves import table
from summaries import context

from strobe import Frame, Results
from strobe_analyzers.anomalies import Anomalies
from strobe_analyzers.run_correlations import RunCorrelations
from strobe_analyzers.run_groups import RunGroups
from strobe_analyzers.run_summary import RunSummary
from strobe_renderers.anomaly_scores import AnomalyScores
from strobe_renderers.group_spread import GroupSpread

REMOVED = 5


@pytest.fixture(scope="module")
def sweep(data):
    profiles = pd.read_parquet(data / "sweep" / "run_profile.parquet")
    parameters = json.loads((data / "sweep" / "parameters.json").read_text())
    return Results(run_profile=profiles), context(parameters)


@pytest.fixture(scope="module")
def odd(sweep):
    return table(Anomalies(), Anomalies().analyze_results(*sweep))


def test_thirteen_runs_of_two_fractions(sweep):
    found = table(RunSummary(), RunSummary().analyze_results(*sweep)).set_index("run")
    assert len(found) == 13
    assert found["varying"]["f50-s3"] == "fraction=0.5, seed=3"
    assert found["complete"].all()
    assert found["p"].unique() == [31]
    assert found["fraction"].value_counts().to_dict() == {0.5: 6, 0.7: 7}
    assert found["generalises"].sum() == 10  # one seed of each fraction does not, by 5,000 epochs, nor does the degraded run stay there


def test_the_degraded_run_is_found_for_what_was_done_to_it(sweep, odd):
    """It lost the frequency that was taken out, which no peer with as many others did, and its loss rose by six orders of magnitude."""
    profile = sweep[0]["run_profile"].set_index("run")
    assert str(REMOVED) in profile["frequencies_lost"]["degraded"].split(", ")
    assert str(REMOVED) in profile["key_frequencies"]["f70-s0"].split(", ")  # its twin, without the intervention, computes with it
    mine = odd[(odd["run"] == "degraded") & odd["anomalous"]].set_index("column")
    assert {"n_lost", "final_over_min", "final_train_loss", "generalises"} <= set(mine.index)
    assert mine["rank"]["n_lost"] <= 4
    assert mine["z"]["n_lost"] > 10
    assert mine["null_rate"]["n_lost"] < 1e-3
    losses = odd[odd["column"] == "final_over_min"].set_index("run")["z"].abs()
    assert losses.idxmax() == "degraded"


def test_its_turn_is_that_of_its_twin_and_no_anomaly(odd):
    turn = odd[(odd["column"] == "turn")].set_index("run")
    assert turn["value"]["degraded"] == turn["value"]["f70-s0"]  # the intervention came later
    assert not turn["anomalous"]["degraded"]


def test_runs_that_never_generalised_are_found_too(odd):
    missing = odd[(odd["run"] == "f50-s5") & (odd["column"] == "generalised")].iloc[0]
    assert missing["anomalous"]
    assert missing["why"] == "has none; all 5 peers do"


def test_the_fraction_decides_when_and_the_seed_which(sweep):
    groups = table(RunGroups(), RunGroups().analyze_results(*sweep)).set_index(["parameter", "group", "column"])
    early, late = groups.loc[("fraction", "0.7", "turn")], groups.loc[("fraction", "0.5", "turn")]
    assert early["mean"] < 600 < 1400 < late["mean"]
    assert early["between"] > early["between_null"]
    memorised = groups.loc[("fraction", "0.5", "memorised")]
    assert memorised["kind"] == "consistent"
    assert late["kind"] == "seed-dependent"
    keys = groups.loc[("fraction", "0.7", "mean_frequency")]
    assert keys["between"] < keys["between_null"]  # which frequencies, the fraction does not say


def test_the_turn_and_generalising_go_together(sweep):
    pairs = table(RunCorrelations(resamples=200), RunCorrelations(columns=("turn",), resamples=200).analyze_results(*sweep)).set_index(["x", "y"])
    row = pairs.loc[("turn", "generalised")]
    assert row["rho"] > 0.9
    assert row["excludes_zero"]
    fraction = pairs.loc[("turn", "fraction")]
    assert fraction["rho"] < -0.7


def test_the_charts_name_the_degraded_run(sweep, odd):
    rows = AnomalyScores().render(Frame(odd, cursor={"run": "f70-s1"})).to_dict()["datasets"]["runs"]
    assert any(r["run"] == "degraded" and r["column"] == "n lost" and r["anomalous"] for r in rows)
    groups = table(RunGroups(), RunGroups().analyze_results(*sweep))
    spec = GroupSpread().render(Frame(groups)).to_dict()
    assert "by fraction" in spec["description"]  # chosen by itself: the seed makes as many groups as runs
