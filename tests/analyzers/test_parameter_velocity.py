"""`parameter_velocity`: straight lines, corners, and a real run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from strobe import Checkpoints, StrobeError, Weights
from strobe.schema import to_arrow
from strobe_analyzers.parameter_velocity import ParameterVelocity


def rows(path, name="embed.W_E", **settings):
    """Group -> rows, for a parameter that is at path[step] at each step."""
    checkpoints = Checkpoints(tuple(path), lambda step: Weights({name: torch.tensor(path[step])}))
    found = list(ParameterVelocity(**settings).analyze_trajectory(checkpoints))
    to_arrow(ParameterVelocity.Row, found)
    return [r for r in found if r.group == found[0].group] if found else []


def test_a_straight_line_and_a_corner():
    found = rows({0: [0.0, 0.0], 10: [3.0, 4.0], 30: [6.0, 8.0], 130: [2.0, 11.0]}, groups=("all",))
    assert [(r.previous_step, r.step, r.gap) for r in found] == [(0, 10, 10), (10, 30, 20), (30, 130, 100)]
    assert [r.distance for r in found] == pytest.approx([5, 5, 5])
    assert [r.velocity for r in found] == pytest.approx([0.5, 0.25, 0.05])
    assert [r.per_root_gap for r in found] == pytest.approx([5 / 10**0.5, 5 / 20**0.5, 0.5])
    assert found[0].cosine is None
    assert [r.cosine for r in found[1:]] == pytest.approx([1, 0], abs=1e-12)
    assert [r.path_length for r in found] == pytest.approx([5, 10, 15])
    assert found[-1].from_start == pytest.approx(125**0.5)


def test_a_step_per_root_gap_is_what_a_random_walk_has_in_common():
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.standard_normal((401, 200)), 0)
    found = rows({step: walk[step].tolist() for step in (0, 100, 400)}, groups=("all",))
    assert found[0].per_root_gap == pytest.approx(found[1].per_root_gap, rel=0.2)


def test_one_checkpoint_has_no_interval_and_two_identical_ones_no_velocity():
    assert rows({0: [1.0]}) == []
    (row,) = rows({0: [1.0], 5: [1.0]})
    assert (row.velocity, row.cosine) == (0, None)


def test_weights_that_are_not_finite_are_null():
    found = rows({0: [1.0], 1: [float("nan")], 2: [1.0]}, groups=("all",))
    assert [r.velocity for r in found] == [None, None]


def test_a_pattern_without_parameters_is_an_error():
    with pytest.raises(StrobeError, match="matches no parameter"):
        rows({0: [1.0], 1: [2.0]}, groups=("blocks.*",))


def test_groups_of_a_real_model_add_up(data):
    folder = data / "modadd_p113_seed999"
    checkpoints = Checkpoints((5000, 5500, 6000), lambda step: Weights.open(folder / f"epoch_{step:05d}.safetensors"))
    found = {(r.group, r.step): r for r in ParameterVelocity().analyze_trajectory(checkpoints)}
    assert found["all", 5500].velocity == pytest.approx(0.0172, abs=5e-5)  # the peak of the turn
    parts = [found[group, 6000].distance ** 2 for group in ("embedding", "attention", "mlp")]
    assert sum(parts) == pytest.approx(found["all", 6000].distance ** 2, rel=1e-9)
