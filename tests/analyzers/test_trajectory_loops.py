"""`trajectory_loops`: curves of known shape, random walks, and the account of the real run."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from curves import checkpoints, path_results, table
from hypothesis import given
from hypothesis import strategies as st

from strobe import Results
from strobe_analyzers import plane_curves
from strobe_analyzers.trajectory_loops import TrajectoryLoops

T = np.linspace(0.8, 2 * math.pi + 0.7, 41)
EIGHT = np.stack([2 * np.sin(T), np.sin(2 * T)], 1)


def loops(run, **settings):
    analyzer = TrajectoryLoops(**{"walks": 20} | settings)
    return table(analyzer, analyzer.analyze_results(path_results(run)))


def test_a_figure_of_eight_returns():
    row = loops(checkpoints(EIGHT, dimensions=50)).iloc[0]
    assert (row.x, row.y, row.reading) == (1, 2, "return")
    assert (row.crossings, row.crossings_gap_weighted, row.crossings_robust, row.returns) == (1, 1, 1, 1)
    np.testing.assert_allclose(row.crossing_distances, 0, atol=1e-6)
    np.testing.assert_allclose(row.crossing_angles, 90, atol=1)  # slopes 1 and -1 at the origin
    np.testing.assert_allclose(row.crossing_firsts, (math.pi - 0.8) / (2 * math.pi - 0.1) * 40, atol=0.1)
    np.testing.assert_allclose(row.crossing_seconds, (2 * math.pi - 0.8) / (2 * math.pi - 0.1) * 40, atol=0.1)
    assert row.closed
    assert abs(row.area_over_length) < 1e-3  # the two halves cancel
    assert row.null_return_rate == 0


def test_the_same_eight_with_a_third_direction_only_looks_like_it():
    """The crossing is there in the plane of the second and third components; along the first its points are a diameter apart."""
    lifted = np.column_stack([EIGHT, 3 * np.cos(T)])
    found = loops(checkpoints(lifted, dimensions=50)).set_index(["x", "y"]).loc[(2, 3)]
    assert found.reading == "projection crossing"
    assert (found.crossings_robust, found.returns) == (1, 0)
    np.testing.assert_allclose(found.crossing_distances, 1, atol=0.02)


def test_a_circle_comes_round_without_crossing():
    t = np.linspace(0, 2 * math.pi, 61)
    row = loops(checkpoints(3 * np.stack([np.cos(t), np.sin(t)], 1), dimensions=20)).iloc[0]
    assert (row.crossings, row.crossings_gap_weighted, row.reading) == (0, 0, "none")
    assert row.closed
    assert row.start_to_end == pytest.approx(0, abs=1e-6)
    assert row.closest == pytest.approx(0, abs=1e-6)
    assert (row.closest_first, row.closest_second) == (0, 60)
    assert abs(row.signed_area) == pytest.approx(9 * math.pi, rel=0.01)
    assert abs(row.area_over_length) == pytest.approx(1 / (4 * math.pi), rel=0.01)
    assert row.turning == pytest.approx(2 * math.pi * 59 / 60)
    assert row.curvature == pytest.approx(1 / 3, rel=0.03)


def test_an_arc_is_open():
    t = np.linspace(0, math.pi, 20)
    row = loops(checkpoints(np.stack([np.cos(t), np.sin(t)], 1))).iloc[0]
    assert not row.closed
    assert row.start_to_end == pytest.approx(1)


def test_orientation_is_that_of_parameter_trajectory():
    t = np.linspace(0, 5, 30)
    points = np.stack([2 * np.cos(t), np.sin(t), np.sin(3 * t) / 5], 1)
    results = path_results(checkpoints(points))
    trajectory = results["parameter_trajectory"].pivot(index="step", columns="component", values="coordinate").to_numpy(float)
    found = table(TrajectoryLoops(), TrajectoryLoops(walks=2).analyze_results(results))
    for row in found.itertuples():
        assert row.signed_area == pytest.approx(plane_curves.signed_area(trajectory[:, [row.x - 1, row.y - 1]]))


@pytest.mark.parametrize("points", [[[0.0, 0], [1, 1], [2, 2], [5, 5]], [[0.0, 0], [1, 1]], [[1.0, 1]], [[1.0, 1]] * 5])
def test_lines_two_checkpoints_one_and_none_that_moves_have_no_rows(points):
    assert len(loops(checkpoints(points))) == 0


def test_a_checkpoint_that_is_not_finite_is_left_out():
    broken = EIGHT.copy()
    broken[10] = np.nan
    assert loops(checkpoints(broken)).iloc[0].reading == "return"


def test_a_glancing_crossing_does_not_count():
    """Two nearly parallel stretches: 6 degrees."""
    points = np.array([[0, 0.0], [10, 0.5], [11, -3], [-1, -3], [-1, 0.65], [10, 0.1]])
    assert len(plane_curves.crossings(points)) == 1
    assert plane_curves.crossings(points)[0].angle == pytest.approx(math.degrees(math.atan(0.05) * 2), abs=0.01)
    assert plane_curves.crossings(points, 15) == []


def test_a_crossing_that_hangs_on_one_checkpoint_does_not_survive():
    points = np.array([[0, 0.0], [1, 0], [2, 0], [3, 0], [3, 1], [1.5, 1], [1.4, -0.2], [1.2, 1], [0, 1.5]])
    found = plane_curves.crossings(points, 15)
    assert len(found) == 2  # one spike through the line, in and out
    assert not any(plane_curves.survives(points, c, 15) for c in found)
    (whole,) = plane_curves.crossings(EIGHT, 15)
    assert plane_curves.survives(EIGHT, whole, 15)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=4, max_size=9), st.floats(0, 6), st.floats(0.1, 9))
def test_crossings_do_not_depend_on_rotation_or_scale(points, angle, scale):
    x = np.round(np.array(points), 3)
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    inside = [c for c in plane_curves.crossings(x, 1) if 1e-6 < c.t < 1 - 1e-6 and 1e-6 < c.u < 1 - 1e-6]
    turned = {(c.i, c.j): c for c in plane_curves.crossings(x @ turn.T)}
    for c in inside:
        assert turned[c.i, c.j].angle == pytest.approx(c.angle, abs=1e-4)


def test_random_walks_cross_as_often_as_their_null_says():
    """Each of 12 walks is held against walks of its own kind: the share that crosses is what their nulls say, and none of it is a return."""
    rng = np.random.default_rng(0)
    found = pd.concat([loops(checkpoints(rng.standard_normal((25, 300)).cumsum(0)), walks=12) for _ in range(12)])
    for plane, rows in found.groupby(["x", "y"]):
        assert (rows.crossings > 0).mean() == pytest.approx(rows.null_crossing_rate.mean(), abs=0.3), plane
    assert (found.crossings > 0).groupby([found.x, found.y]).mean().max() > 0.5
    assert found.returns.sum() == 0


def test_lissajous_finds_the_frequencies_of_sine_waves():
    s = np.linspace(0, 1, 40)
    wave = plane_curves.sine_fit(s, 3 + np.sin(math.pi * 3 * s + 1))
    assert (wave.frequency, wave.explained) == (pytest.approx(3), pytest.approx(1))


def test_lissajous_is_asked_for_and_random_walks_have_it_too():
    run = checkpoints(np.random.default_rng(1).standard_normal((30, 2000)).cumsum(0))
    assert loops(run, walks=2).lissajous_ratio.isna().all()
    row = loops(run, lissajous=True, walks=3).set_index(["x", "y"]).loc[(1, 2)]
    assert row.lissajous_ratio == pytest.approx(2, abs=0.15)  # components of a walk are cosines of 1, 2, 3 half-periods
    assert row.lissajous_explained > 0.9
    assert row.lissajous_explained_null > 0.9


def test_the_result_repeats():
    run = checkpoints(EIGHT, dimensions=30)
    pd.testing.assert_frame_equal(loops(run), loops(run))


def test_the_account_of_the_real_run(data):
    """Crossings, angles, places and areas as in `reference_extra.json`, of all 43 checkpoints."""
    products = pd.read_parquet(data / "real_run_products.parquet")
    nothing = pd.DataFrame(columns=["group", "step", "component", "coordinate"])
    found = table(TrajectoryLoops(), TrajectoryLoops().analyze_results(Results(checkpoint_products=products, parameter_trajectory=nothing)))
    found = found.set_index(["group", "x", "y"])
    whole = found.loc["all"]
    assert whole.crossings.tolist() == [0, 0, 0]
    assert whole.crossings_gap_weighted.tolist() == [0, 0, 1]  # only gap weights make PC2 and PC3 cross
    assert (found.reading == "none").all()
    crossing = whole.loc[(2, 3)]
    assert (crossing.crossing_firsts[0], crossing.crossing_seconds[0]) == (pytest.approx(1895.961551239096), pytest.approx(19691.94978619363))
    assert crossing.crossing_angles[0] == pytest.approx(87.45163140585887)
    assert crossing.crossing_distances[0] == pytest.approx(0.8465, abs=1e-4)
    assert crossing.null_gap_weighted_rate == 1  # so does every random walk with these step lengths
    assert abs(whole.loc[(1, 2)].signed_area) == pytest.approx(1785.3340318749586)
    assert abs(whole.loc[(1, 2)].area_over_length) == pytest.approx(0.13126896719309178)
    embedding = found.loc[("embedding", 1, 3)]  # in the reference at 750-1000 and 2000-2500, 32 degrees
    assert (embedding.crossings, embedding.crossings_robust, round(embedding.crossing_angles[0])) == (1, 0, 32)
    apart = np.concatenate(found.xs((2, 3), level=("x", "y")).crossing_distances.to_list())
    assert 0.8 < apart.min() < 0.82
    assert 0.96 < apart.max() < 0.97
    attention = found.loc[("attention", 1, 3)]  # the reference lists two, of 14 and 17 degrees: one is too flat to count
    assert attention.crossing_angles.tolist() == [pytest.approx(17.1, abs=0.05)]
