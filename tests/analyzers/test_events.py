"""`events`: each kind of event by hand, and none from nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strobe import Results
from strobe.schema import to_arrow
from strobe_analyzers.events import Events

COLUMNS = {
    "phases": ["signal", "event", "at_step", "interpolated_step", "lower", "upper", "value", "rise"],
    "frequency_timeline": ["place", "frequency", "change", "at_step", "lower", "upper", "share", "peak_share"],
    "head_dynamics": ["layer", "head", "switch_steps", "switch_lowers", "switch_frequencies"],
    "transient_frequencies": ["frequency", "transient", "peak", "peak_step", "final", "pruned_step", "lower", "homeless"],
    "parameter_velocity": ["group", "previous_step", "step", "velocity"],
    "progress_measures": ["split", "step", "excluded_loss"],
    "representation_geometry": [
        "layer", "site", "step", "axis_ratios", "frequency_shares", "alignment", "alignment_null_95", "alignment_frequency"
    ],
    "key_frequencies": ["set", "frequencies"],
    "effective_dimensionality": ["parameter", "head", "step", "participation_ratio_sigma"],
    "parameter_trajectory": ["group", "step", "component", "coordinate"],
    "loss_slope": ["signal", "step", "slope", "lower", "upper"],
}  # fmt: skip


def found(**tables):
    """Events in tables given as lists of tuples in the order of COLUMNS; the others are empty."""
    made = {name: pd.DataFrame(tables.get(name, []), columns=columns) for name, columns in COLUMNS.items()}
    made["transient_frequencies"]["transient"] = made["transient_frequencies"]["transient"].astype(bool)
    events = list(Events(**tables.get("settings", {})).analyze_results(Results(made)))
    to_arrow(Events.Row, events)
    return events


def rows(**tables):
    return [(r.event, r.subject, r.at_step, r.lower, r.upper) for r in found(**tables)]


MEMORISED = ("train_loss", "memorised", 20, 19.5, 10, 20, 0.009, None)


def test_nothing_found_is_an_empty_table():
    assert rows() == []
    assert rows(phases=[("test_loss", "turn", None, None, None, None, None, None)]) == []


def test_phase_events_keep_their_recorded_step():
    peak = ("test_loss", "peak", 30, 30.0, 20, 40, 9.0, None)
    assert rows(phases=[peak, MEMORISED]) == [("memorised", "train_loss", 20, 10, 20), ("peak", "test_loss", 30, 20, 40)]


def test_frequencies_heads_and_cohorts():
    found = rows(
        frequency_timeline=[("neurons", 5, "lost", 30, 20, 30, 0.01, 0.2)],
        head_dynamics=[(0, 1, np.array([10, 40]), np.array([0, 30]), np.array([5, 6])), (0, None, [], [], [])],
        transient_frequencies=[(5, True, 9, 20, 0, 30, 20, 3), (6, False, 9, 20, 9, None, None, 0)],
    )
    assert found == [
        ("head takes up a frequency", "head 1", 10, 0, 10),
        ("cohort pruned", "neurons of k 5", 30, 20, 30),
        ("frequency lost", "k 5 in neurons", 30, 20, 30),
        ("head switches frequency", "head 1", 40, 30, 40),
    ]


def velocity(values):
    return [("all", 10 * i, 10 * (i + 1), v) for i, v in enumerate(values)]


def test_a_burst_stands_out_of_a_decay():
    rng = np.random.default_rng(0)
    decay = np.exp(-np.arange(30) / 10 + 0.02 * rng.standard_normal(30))
    assert rows(parameter_velocity=velocity(decay)) == []
    decay[20] *= 2.7
    assert rows(parameter_velocity=velocity(decay)) == [("velocity burst", "all parameters", 210, 200, 210)]


def test_a_step_in_a_smooth_decay_is_so_many_deviations_of_two_percent():
    decay = list(np.exp(-np.arange(30) / 10))
    decay[20] *= np.exp(0.3)
    (burst,) = found(parameter_velocity=velocity(decay))
    assert burst.detail.endswith(", 10.0 deviations")  # 0.2 above the median of the seven


def test_constant_null_and_few_velocities_have_no_burst():
    assert rows(parameter_velocity=velocity([1.0] * 20)) == []
    assert rows(parameter_velocity=velocity([1.0, 1.0, 9.0, 1.0])) == []
    assert rows(parameter_velocity=velocity([1.0] * 10 + [np.nan] + [1.0] * 10)) == []


def test_excluded_loss_onset_is_after_memorising_and_stays():
    losses = [4.7, 2.0, 0.001, 0.3, 0.01, 0.2, 3.0]
    progress = [("train", 10 * i, loss) for i, loss in enumerate(losses)]
    assert rows(progress_measures=progress) == []  # never memorised
    assert ("excluded-loss onset", "excluded loss", 50, 40, 50) in rows(progress_measures=progress, phases=[MEMORISED])
    assert len(rows(progress_measures=progress[:5], phases=[MEMORISED])) == 1


def geometry(ratios, shares=0.3, alignment=0.9):
    return [(0, "resid_post", 10 * i, np.array([r, 0.9]), np.array([shares, 0.1]), alignment, 0.07, 1) for i, r in enumerate(ratios)]


def test_a_circle_comes_and_falls_flat():
    keys = [("union", np.array([1]))]
    found = rows(representation_geometry=geometry([0.1, 0.8, 0.6, 0.3, 0.05]), key_frequencies=keys)
    assert found == [("first circle", "k 1 at resid_post", 10, 0, 10), ("collapse to a line", "k 1 at resid_post", 40, 20, 40)]


def test_noise_and_frequencies_that_never_were_circles_do_not_collapse():
    keys = [("union", np.array([1]))]
    assert rows(representation_geometry=geometry([0.8, 0.05], shares=0.001, alignment=0.01), key_frequencies=keys) == []
    assert rows(representation_geometry=geometry([0.2, 0.05], alignment=0.01), key_frequencies=keys) == []
    assert rows(representation_geometry=geometry([0.8, 0.05]), key_frequencies=[("union", None)]) == []


def test_the_steepest_fall_is_after_memorising_and_per_step():
    sizes = [(0, 100.0), (10, 10.0), (20, 9.0), (30, 8.9), (90, 6.0)]
    spectra = [("blocks.0.mlp.W_in", None, step, size) for step, size in sizes]
    assert rows(effective_dimensionality=spectra, phases=[MEMORISED])[-1] == ("steepest fall", "PR of blocks.0.mlp.W_in", 90, 30, 90)
    assert rows(effective_dimensionality=[(n.replace("W_in", "W_Q"), *rest) for n, *rest in spectra]) == []


def test_the_second_fall_of_the_train_loss_is_after_the_peak_of_the_test_loss():
    slopes = [("train_loss", 10, -9.0, 5, 15), ("train_loss", 40, -0.2, 35, 45), ("train_loss", 50, -0.1, 45, 55), ("test_loss", 50, -3.0, 45, 55)]
    peak = ("test_loss", "peak", 30, 30.0, 20, 40, 9.0, None)
    assert rows(loss_slope=slopes, phases=[peak])[-1] == ("steepest fall", "train_loss", 40, 35, 45)
    assert rows(loss_slope=slopes) == []
    assert len(rows(loss_slope=[("train_loss", 40, 0.1, 35, 45)], phases=[peak])) == 1


def test_turning_points_of_the_trajectory():
    path = [("all", 10 * i, 1, x) for i, x in enumerate([0.0, 2.0, 1.0, -1.0, 0.0])]
    assert rows(parameter_trajectory=path) == [("turning point", "PC1", 10, 0, 20), ("turning point", "PC1", 30, 20, 40)]


def test_order_is_that_of_time():
    found = rows(phases=[MEMORISED], parameter_trajectory=[("all", 10 * i, 1, x) for i, x in enumerate([0.0, 2.0, 1.0])])
    assert [e[2] for e in found] == [10, 20]


@pytest.mark.parametrize(
    "tables", [{"effective_dimensionality": [("blocks.0.mlp.W_in", None, 0, 5.0)]}, {"parameter_trajectory": [("all", 0, 1, 1.0)]}]
)
def test_one_checkpoint(tables):
    assert rows(**tables) == []
