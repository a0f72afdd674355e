"""`anomalies`: the odd run out is found for the right reason, and none where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from curves import table
from summaries import context, profiles

from strobe import Results
from strobe_analyzers.anomalies import Anomalies
from strobe_analyzers.run_table import NUMBERS


def anomalies(runs, parameters=None, *, noise=0.05, seed=0, **settings):
    parameters = parameters or {run: {"family": "modular_addition", "p": 31, "seed": i} for i, run in enumerate(runs)}
    analyzer = Anomalies(**settings)
    return table(analyzer, analyzer.analyze_results(Results(run_profile=profiles(runs, noise=noise, seed=seed)), context(parameters)))


def runs(n, **odd):
    return {f"r{i}": {} for i in range(n - 1)} | {"odd": odd}


def test_a_degraded_run_is_found_for_what_was_done_to_it():
    found = anomalies(runs(8, n_keys=3, n_lost=2, frequencies_lost="4, 5", final_test_loss=3e-2))
    mine = found[(found["run"] == "odd") & found["anomalous"]]
    assert set(mine["column"]) >= {"n_keys", "n_lost", "final_test_loss"}
    first = mine.set_index("rank").loc[1]
    assert first["column"] == "final_test_loss"
    assert first["why"].startswith("0.03 is above its 7 peers: median 2")
    assert not found[found["run"] != "odd"]["column"].isin(["n_keys", "n_lost"])[found["anomalous"]].any()


def test_the_run_is_not_among_its_own_peers():
    row = anomalies(runs(5, turn=9000.0)).set_index(["run", "column"]).loc[("odd", "turn")]
    assert row["peers"] == 4
    assert row["peer_high"] < 5000


def test_z_is_the_robust_score_of_the_peers():
    values = [1.0, 2.0, 4.0, 7.0]
    found = anomalies({f"r{i}": {"turn": v} for i, v in enumerate(values)} | {"odd": {"turn": 13.0}}, noise=0)
    row = found.set_index(["run", "column"]).loc[("odd", "turn")]
    assert row["z"] == pytest.approx((13 - 3) / (1.4826 * 1.5))  # deviations 2, 1, 1, 4: median 1.5
    assert 0 < row["null_rate"] < 0.2


def test_losses_are_compared_as_logarithms():
    found = anomalies({f"r{i}": {"final_test_loss": 10.0**-i} for i in range(4)} | {"odd": {"final_test_loss": 1e-9}}, noise=0)
    row = found.set_index(["run", "column"]).loc[("odd", "final_test_loss")]
    assert row["log"]
    assert row["z"] == pytest.approx((-9 + 1.5) / 1.4826)
    assert row["peer_median"] == pytest.approx(0.055)


def test_peers_that_agree_to_the_last_digit_make_no_anomaly_of_a_rounding():
    assert not anomalies(runs(6, turn=4000.001), noise=0)["anomalous"].any()


def test_one_frequency_lost_where_no_peer_lost_any():
    row = anomalies(runs(6, n_lost=1, n_keys=4)).set_index(["run", "column"]).loc[("odd", "n_lost")]
    assert (row["z"], row["anomalous"]) == (4, True)
    assert row["null_rate"] < 0.005
    peers = {f"r{i}": {"n_lost": i % 3} for i in range(6)} | {"odd": {"n_lost": 1}}
    assert not anomalies(peers).query("column == 'n_lost'")["anomalous"].any()  # where they differ anyway, nothing is odd


def test_a_run_that_never_generalised_among_those_that_did():
    nothing = {"generalises": False, "generalised": None, "delay": None, "turn_to_generalised": None, "n_lost": None}
    found = anomalies(runs(5, **nothing)).set_index(["run", "column"]).loc["odd"]
    assert found.loc["generalised", "anomalous"]
    assert found.loc["generalised", "why"] == "has none; all 4 peers do"
    assert np.isnan(found.loc["generalised", "z"])


def test_only_runs_with_the_same_parameters_are_peers():
    parameters = {f"r{i}": {"family": "f", "fraction": 0.5 if i < 4 else 0.3, "seed": i} for i in range(8)}
    slow = {f"r{i}": {"turn": 4000.0 if i < 4 else 9000.0} for i in range(8)}
    found = anomalies(slow, parameters)
    assert not found[found["column"] == "turn"]["anomalous"].any()
    assert set(found[found["column"] == "turn"]["peers"]) == {3}
    mixed = anomalies(slow, parameters, ignore=("seed", "fraction"))
    assert set(mixed[mixed["column"] == "turn"]["peers"]) == {7}


@pytest.mark.parametrize("n", [1, 2, 3])
def test_one_run_and_few_peers_say_so(n):
    found = anomalies(runs(n, turn=9e9))
    assert len(found) == n * len(NUMBERS)
    assert not found["anomalous"].any()
    assert found["why"].unique().tolist() == [f"{n - 1} peers, at least 3 are needed"]


def test_runs_without_metrics_have_numbers_left():
    missing = dict.fromkeys(("epochs", "turn", "final_test_loss", "min_test_loss", "final_train_loss", "min_train_loss"))
    found = anomalies({f"r{i}": missing for i in range(5)}).set_index(["run", "column"]).loc["r0"]
    assert found.loc["turn", "why"] == "has none"
    assert found.loc["path_length", "why"] == "in line"


def test_false_alarms_are_as_rare_as_the_level_says():
    """Runs drawn alike: a share of at most about `level` of their numbers is called anomalous."""
    flagged = [anomalies(runs(7), noise=0.3, seed=s)["anomalous"].mean() for s in range(6)]
    assert np.mean(flagged) <= 0.02
