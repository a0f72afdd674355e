"""`shared_trajectory`: one basis over runs, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from curves import checkpoints, table

from strobe import Checkpoints, StrobeError, Weights
from strobe_analyzers.shared_trajectory import SharedTrajectory


def shared(runs, **settings):
    analyzer = SharedTrajectory(groups=("all",), **settings)
    return table(analyzer, analyzer.analyze_trajectory(runs))


def coordinates(found, run):
    return found[found["run"] == run].pivot(index="step", columns="component", values="coordinate").to_numpy(float)


@pytest.fixture
def walks():
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal((5, 30)).cumsum(0) for name in ("a", "b")}


def test_it_is_the_pca_of_all_points_together(walks):
    found = shared({name: checkpoints(walk) for name, walk in walks.items()})
    x = np.concatenate(list(walks.values()))
    u, s, v = np.linalg.svd(x - x.mean(0), full_matrices=False)
    signs = np.sign(v[np.arange(len(v)), np.abs(v).argmax(1)])
    expected = (u * s * signs)[:, :9]
    np.testing.assert_allclose(np.concatenate([coordinates(found, name) for name in walks]), expected, atol=1e-9)
    shares = found[(found["run"] == "a") & (found["step"] == 0)]["variance_share"]
    np.testing.assert_allclose(shares, (s**2 / (s**2).sum())[:9], rtol=1e-9)


def test_the_same_run_twice_lies_on_itself(walks):
    found = shared({"a": checkpoints(walks["a"]), "again": checkpoints(walks["a"])}, components=3)
    np.testing.assert_allclose(coordinates(found, "a"), coordinates(found, "again"), atol=1e-12)


def test_only_common_steps_count(walks):
    runs = {"a": checkpoints(walks["a"], (0, 1, 2, 3, 4)), "b": checkpoints(walks["b"], (0, 2, 4, 6, 8))}
    found = shared(runs)
    assert found.groupby("run")["step"].unique().map(list).to_dict() == {"a": [0, 2, 4], "b": [0, 2, 4]}


@pytest.mark.parametrize("weighting", ["equal", "gap"])
def test_every_run_weighs_the_same_even_with_a_checkpoint_missing(walks, weighting):
    broken = walks["b"].copy()
    broken[2] = np.nan
    found = shared({"a": checkpoints(walks["a"]), "b": checkpoints(broken)}, weighting=weighting)
    assert np.isnan(coordinates(found, "b")[2]).all()
    assert np.isfinite(np.delete(coordinates(found, "b"), 2, 0)).all()


def test_gap_weights_change_the_axes_not_the_distances(walks):
    runs = {name: checkpoints(walk, (0, 1, 2, 3, 100)) for name, walk in walks.items()}
    even, gap = (shared(runs, weighting=w) for w in ("equal", "gap"))
    assert not np.allclose(coordinates(even, "a"), coordinates(gap, "a"))
    apart = [np.linalg.norm(coordinates(f, "a")[0] - coordinates(f, "b")[0]) for f in (even, gap)]
    assert apart[0] == pytest.approx(np.linalg.norm(walks["a"][0] - walks["b"][0]))
    assert apart[1] == pytest.approx(apart[0])


def test_runs_of_different_shapes_are_refused_by_name(walks):
    runs = {"a": checkpoints(walks["a"]), "wide": checkpoints(np.zeros((5, 31)))}
    with pytest.raises(StrobeError, match=r"different shapes.*W is \[30\] in a and \[31\] in wide.*name only runs of one shape"):
        shared(runs)


def test_runs_with_other_parameters_are_refused(walks):
    other = Checkpoints((0, 1), lambda _: Weights({"W": torch.zeros(30), "bias": torch.zeros(1)}))
    with pytest.raises(StrobeError, match="bias is missing in a and \\[1\\] in other"):
        shared({"a": checkpoints(walks["a"]), "other": other})


def test_one_run_and_no_common_steps_are_refused(walks):
    with pytest.raises(StrobeError, match="two runs or more, got a; for one run there is parameter_trajectory"):
        shared({"a": checkpoints(walks["a"])})
    with pytest.raises(StrobeError, match="0 common steps"):
        shared({"a": checkpoints(walks["a"]), "b": checkpoints(walks["b"], (10, 11, 12, 13, 14))})
    with pytest.raises(StrobeError, match="run b has no checkpoints"):
        shared({"a": checkpoints(walks["a"]), "b": Checkpoints((), lambda _: Weights({}))})
