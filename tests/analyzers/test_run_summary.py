"""`run_profile` and `run_summary` over small trained runs, through the engine; and a shared basis of their paths."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from curves import table
from summaries import TYPICAL, context, profiles

from strobe import Results, Training, Workspace
from strobe_analyzers.run_profile import RunProfile
from strobe_analyzers.run_summary import RunSummary

SMALL = {"p": 11, "d_model": 8, "n_heads": 2, "d_mlp": 12}


def test_varying_parameters_are_named_and_the_profile_kept():
    parameters = {"a": {"p": 31, "seed": 1, "fraction": 0.5, "epochs": 10_000}, "b": {"p": 31, "seed": 2, "fraction": 0.5, "epochs": 20_000}}
    given = profiles({"a": {}, "b": {}}, noise=0)
    found = table(RunSummary(), RunSummary().analyze_results(Results(run_profile=given), context(parameters))).set_index("run")
    assert found["varying"].to_dict() == {"a": "epochs=10000, seed=1", "b": "epochs=20000, seed=2"}
    assert found["complete"].to_dict() == {"a": True, "b": False}  # b is still training
    assert json.loads(found["parameters"]["b"])["epochs"] == 20_000
    assert found["fraction"].tolist() == [0.5, 0.5]
    for name, value in TYPICAL.items():
        assert found[name]["a"] == value


def test_one_run_is_fine_and_without_parameters_too():
    found = table(RunSummary(), RunSummary().analyze_results(Results(run_profile=profiles({"a": {}})), context({}))).iloc[0]
    assert found["varying"] == ""
    assert pd.isna(found["complete"])
    assert pd.isna(found["p"])


def empty(names):
    return pd.DataFrame({name: pd.Series(dtype=object) for name in names.split()})


def test_a_run_without_metrics_has_no_dates_and_no_losses():
    """All derived tables empty, weights not finite: still one row, of nulls."""
    results = Results(
        phases=empty("event interpolated_step at_step rise"),
        key_frequencies=pd.DataFrame([{"set": s, "frequencies": None, "flag": "weights are not finite"} for s in ("last", "union")]),
        neuron_dynamics=empty("layer frequency fraction"),
        dominant_frequencies=empty("view step share frequency component amplitude"),
        axis_ratio=empty("view step frequency axis_ratio"),
        trajectory_loops=empty("group start_to_end closed crossings_robust"),
        update_geometry=empty("group step path_length efficiency"),
        dimensionality_threshold=empty("parameter ratio level interpolated_step"),
        turn_predictors=empty("parameter signal half"),
    )
    for metrics in (pd.DataFrame(), None):
        row = table(RunProfile(), RunProfile().analyze_results(results, metrics)).iloc[0]
        assert not row.pop("generalises")
        assert row.isna().all()


def test_key_frequencies_that_are_gone_at_the_end_are_lost():
    from strobe_analyzers.run_profile import _keys

    sets = [{"set": "last", "frequencies": np.array([24, 36]), "flag": None}, {"set": "union", "frequencies": np.array([24, 36, 54]), "flag": None}]
    assert _keys(pd.DataFrame(sets)) == {"n_keys": 2, "key_frequencies": "24, 36", "n_lost": 1, "frequencies_lost": "54"}
    sets[1]["flag"] = "no checkpoint with test loss below 0.1"
    assert _keys(pd.DataFrame(sets))["n_lost"] is None  # before generalising nothing can be lost


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    ws = Workspace(tmp_path_factory.mktemp("sweep"))
    for fraction in (0.5, 0.8):
        for seed in (0, 1):
            training = Training(epochs=20, lr=1e-2, schedule="every:10")
            ws.train("modular_addition", name=f"f{fraction}-s{seed}", training=training, fraction=fraction, seed=seed, **SMALL)
    return ws


def test_runs_through_the_engine(sweep):
    """Four runs, two fractions: one row each, peers and groups by what they were trained with, and their paths in one basis."""
    wanted = ["run_summary", "anomalies", "run_groups", "run_correlations", "shared_trajectory"]
    report = sweep.analyze(analyzers=wanted)
    assert not report.failures
    found = sweep.table("run_summary").set_index("run")
    assert found["fraction"].astype(float).to_dict() == {"f0.5-s0": 0.5, "f0.5-s1": 0.5, "f0.8-s0": 0.8, "f0.8-s1": 0.8}
    for run in sweep.runs():
        losses = run.metrics
        assert found["final_train_loss"][run.name] == pytest.approx(losses["train_loss"].dropna().iloc[-1])
        assert found["epochs"][run.name] == 20
        assert found["complete"][run.name]
    groups = sweep.table("run_groups")
    assert set(groups["parameter"]) == {"all", "fraction", "seed"}
    assert sweep.table("anomalies")["why"].unique().tolist() == ["1 peers, at least 3 are needed"]
    paths = sweep.table("shared_trajectory")
    start = paths[(paths["group"] == "all") & (paths["step"] == 0)].pivot(index="run", columns="component", values="coordinate").astype(float)
    weights = {run.name: {n: w.double() for n, w in run.weights(0).items()} for run in sweep.runs()}
    a, b = weights["f0.5-s0"], weights["f0.5-s1"]
    apart = math.sqrt(sum(float(((a[n] - b[n]) ** 2).sum()) for n in a))
    stored = paths["component"].max()
    assert np.linalg.norm(start.loc["f0.5-s0"] - start.loc["f0.5-s1"]) <= apart * (1 + 1e-9)
    assert stored == 10


def test_a_run_of_another_shape_is_refused_in_words_and_the_rest_is_stored(sweep, tmp_path):
    import shutil

    ws = Workspace(shutil.copytree(sweep.root, tmp_path / "mixed", copy_function=shutil.copy2))
    ws.train("modular_addition", name="wide", training=Training(epochs=20, lr=1e-2, schedule="every:10"), **{**SMALL, "d_mlp": 20})
    report = ws.analyze(["f0.5-s0", "wide"], ["shared_trajectory", "checkpoint_products"])
    (failure,) = report.failures
    assert failure.analyzer == "shared_trajectory"
    assert "blocks.0.mlp.W_in is [8, 12] in f0.5-s0 and [8, 20] in wide" in failure.message
    assert set(ws.table("checkpoint_products", runs=["f0.5-s0", "wide"])["run"]) == {"f0.5-s0", "wide"}
