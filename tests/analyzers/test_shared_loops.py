"""`shared_loops`: loops of several runs in one basis, held against random walks in their place."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from curves import checkpoints, products, table

from strobe import Results
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
