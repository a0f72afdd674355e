"""`shared_loops`: loops of several runs in one basis, held against random walks in their place."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from curves import checkpoints, products, table

from strobe import Results, Workspace
from strobe_analyzers.shared_loops import SharedLoops
from strobe_analyzers.shared_trajectory import SharedTrajectory

T = np.linspace(0.8, 2 * math.pi + 0.7, 31)
EIGHT = np.stack([2 * np.sin(T), np.sin(2 * T), 0 * T], 1)
LIFTED = EIGHT + np.stack([0 * T, 0 * T, 1.5 * np.cos(T)], 1)


def loops(runs, **settings):
    trajectory, analyzer = SharedTrajectory(groups=("all",)), SharedLoops(**{"walks": 5} | settings)
    shared = table(trajectory, trajectory.analyze_trajectory(runs))
    own = pd.concat([products(run).assign(run=name) for name, run in runs.items()])
    return table(analyzer, analyzer.analyze_results(Results(shared_trajectory=shared, checkpoint_products=own))).set_index(["run", "x", "y"])


def test_an_eight_returns_beside_a_line_that_does_not():
    line = np.stack([np.linspace(-2, 2, 31), np.zeros(31), np.full(31, 0.1)], 1)
    found = loops({"eight": checkpoints(EIGHT, dimensions=40), "line": checkpoints(line, dimensions=40)})
    eight = found.loc[("eight", 1, 2)]
    assert (eight.reading, eight.crossings, eight.crossings_robust, eight.returns) == ("return", 1, 1, 1)
    np.testing.assert_allclose(eight.crossing_distances, 0, atol=1e-6)
    assert eight.closed
    assert (found.loc["line"].crossings == 0).all()
    assert not found.loc["line"].closed.any()


def test_what_two_runs_share_may_make_a_crossing_of_none():
    """Both runs rise along the third axis while they draw an eight: in the plane of the eight it is a crossing, its points are far apart."""
    found = loops({"a": checkpoints(LIFTED, dimensions=40), "b": checkpoints(LIFTED * 1.1, dimensions=40)})
    crossed = found[found.crossings_robust > 0]
    assert len(crossed) >= 2
    assert set(crossed.reading) == {"projection crossing"}
    assert min(min(d) for d in crossed.crossing_distances) > 0.5


def test_random_walks_are_like_their_null():
    rng = np.random.default_rng(1)
    runs = {f"r{i}": checkpoints(5 * rng.standard_normal(200) + rng.standard_normal((15, 200)).cumsum(0)) for i in range(4)}
    found = loops(runs, walks=10)
    assert found.returns.sum() == 0
    assert (found.crossings > 0).mean() == pytest.approx(found.null_crossing_rate.mean(), abs=0.3)


def test_the_result_repeats_and_holes_are_left_out():
    broken = EIGHT.copy()
    broken[7] = np.nan
    runs = {"eight": checkpoints(broken), "other": checkpoints(EIGHT * 0.5)}
    pd.testing.assert_frame_equal(loops(runs), loops(runs))
    assert loops(runs).loc[("eight", 1, 2)].reading == "return"


@pytest.mark.parametrize("points", [[[0.0, 0, 0], [1, 1, 1]], [[1.0, 0, 0]] * 31])
def test_a_run_of_two_checkpoints_or_one_that_never_moves_has_no_rows(points):
    runs = {"short": checkpoints(points), "eight": checkpoints(EIGHT[: len(points)])}
    assert "short" not in loops(runs).index.get_level_values("run")


def test_through_the_engine_and_runs_of_different_shapes(tmp_path):
    """An analyzer of several runs reads a table that several runs share; where there is none, both say why, and a smaller set of runs mends it."""
    workspace = Workspace(tmp_path)
    training = {"epochs": 6, "schedule": "every:2", "lr": 1e-2}
    for name, width in (("a", 4), ("b", 4), ("wide", 8)):
        seed = ord(name[0])
        workspace.train("modular_addition", name=name, training=training, p=7, d_model=width, n_heads=1, d_mlp=4, fraction=0.5, seed=seed)
    failed = {f.analyzer: f.message for f in workspace.analyze(["a", "wide"], ["shared_loops"]).failures}
    assert "runs of different shapes have no common basis: blocks.0.attn.W_K is [1, 4, 4] in a and [1, 8, 8] in wide" in failed["shared_trajectory"]
    assert "it reads shared_trajectory, which gave no result" in failed["shared_loops"]
    assert not workspace.analyze(["a", "b"], ["shared_loops"]).failures
    assert set(workspace.table("shared_loops", runs=["a", "b"])["run"]) == {"a", "b"}
    alone = {f.analyzer: f.message for f in workspace.analyze(["a"], ["shared_loops"]).failures}
    assert "needs two runs or more" in alone["shared_trajectory"]


def test_a_run_that_is_still_training_has_the_steps_it_has(tmp_path):
    """Steps that both have: the one that goes on adds none until the other has them too."""
    half, whole = EIGHT[:12], EIGHT[:31]
    found = loops({"half": checkpoints(half, range(12)), "whole": checkpoints(whole * 0.9, range(31))})
    assert set(found.index.get_level_values("run")) == {"half", "whole"}
    assert (found.loc["whole"].start_to_end <= 1).all()
    assert not found.loc["whole"].closed.any()  # at the twelfth step it has not come round
