"""`run_groups`: means, spreads, and what a parameter explains."""

from __future__ import annotations

import numpy as np
import pytest
from curves import table
from summaries import context, profiles

from strobe import Results
from strobe_analyzers.run_groups import RunGroups, between_share


def groups(runs, parameters, **settings):
    analyzer = RunGroups(**settings)
    return table(analyzer, analyzer.analyze_results(Results(run_profile=profiles(runs, noise=0)), context(parameters)))


TURNS = {"a": 100.0, "b": 110.0, "c": 300.0, "d": 500.0}
PARAMETERS = {run: {"p": 31, "seed": i, "fraction": 0.7 if run in "ab" else 0.3} for i, run in enumerate(TURNS)}


def test_means_and_spreads_per_value():
    found = groups({run: {"turn": t} for run, t in TURNS.items()}, PARAMETERS)
    turn = found[found["column"] == "turn"].set_index(["parameter", "group"])
    assert list(turn.index) == [("all", "all"), ("fraction", "0.3"), ("fraction", "0.7")]  # p is the same, seeds are all different
    fast = turn.loc[("fraction", "0.7")]
    assert (fast["mean"], fast["deviation"], fast["low"], fast["high"]) == (105, pytest.approx(50**0.5), 100, 110)
    assert fast["spread"] == pytest.approx(50**0.5 / 105)
    assert (fast["kind"], turn.loc[("fraction", "0.3")]["kind"]) == ("consistent", "seed-dependent")
    whole = np.array(list(TURNS.values()))
    between = 2 * ((105 - whole.mean()) ** 2 + (400 - whole.mean()) ** 2) / ((whole - whole.mean()) ** 2).sum()
    assert fast["between"] == pytest.approx(between)
    assert turn.loc[("all", "all")]["known"] == 4


def test_between_share_runs_from_nothing_to_everything():
    assert between_share(np.array([1.0, 1, 5, 5]), np.array([0, 0, 1, 1])) == pytest.approx(1)
    assert between_share(np.array([1.0, 5, 1, 5]), np.array([0, 0, 1, 1])) == pytest.approx(0)


def test_the_null_is_what_a_meaningless_grouping_reaches():
    rng = np.random.default_rng(0)
    runs = {f"r{i}": {"turn": float(rng.normal(1000, 100))} for i in range(12)}
    parameters = {run: {"coin": i % 2} for i, run in enumerate(runs)}
    row = groups(runs, parameters).query("column == 'turn' and parameter == 'coin'").iloc[0]
    assert 0.15 < row["between_null"] < 0.6
    real = groups({r: {"turn": 1000.0 + 500 * parameters[r]["coin"] + i} for i, r in enumerate(runs)}, parameters)
    row = real.query("column == 'turn' and parameter == 'coin'").iloc[0]
    assert row["between"] > 0.99 > row["between_null"]


def test_one_run_and_numbers_that_are_missing():
    found = groups({"a": {"turn": None}}, {"a": {"p": 31}})
    assert found["kind"].unique().tolist() == ["one run", "none"]
    assert found[found["column"] == "turn"]["mean"].isna().all()
    assert found["between"].isna().all()


def test_groups_by_a_named_parameter_even_if_all_differ():
    found = groups({run: {} for run in TURNS}, PARAMETERS, by=("seed",))
    assert set(found["parameter"]) == {"all", "seed"}
    assert set(found[found["parameter"] == "seed"]["group"]) == {"0", "1", "2", "3"}
