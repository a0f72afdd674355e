"""`phases`: events of constructed curves, of a real run, and of ten published ones."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from strobe.schema import to_arrow
from strobe_analyzers.phases import Phases

EVENTS = ["memorised", "peak", "turn", "generalised", "accurate", "regress"]


def phases(metrics, **settings):
    rows = list(Phases(**settings).analyze_results(metrics))
    to_arrow(Phases.Row, rows)
    assert [row.event for row in rows] == EVENTS
    return {row.event: row for row in rows}


def curve(name, points):
    return pd.DataFrame({"step": list(points), name: list(points.values())})


def test_a_grokking_curve():
    test = curve("test_loss", {0: 4.0, 100: 40.0, 200: 10.0, 300: 0.4, 400: 0.004})
    train = curve("train_loss", {0: 4.0, 50: 1.0, 60: 0.0001})
    found = phases(train.merge(test, on="step", how="outer"))
    assert (found["memorised"].at_step, found["memorised"].lower, found["memorised"].upper) == (60, 50, 60)
    assert found["memorised"].interpolated_step == pytest.approx(55)  # 1e-2 is half-way from 1 to 1e-4 in logarithms
    assert (found["peak"].at_step, found["peak"].lower, found["peak"].upper, found["peak"].value) == (100, 0, 200, 40)
    assert (found["turn"].at_step, found["turn"].lower) == (300, 200)  # below sqrt(40 * 0.1) = 2
    assert found["turn"].interpolated_step == pytest.approx(200 + 100 * math.log(10 / 2) / math.log(10 / 0.4))
    assert (found["generalised"].at_step, found["generalised"].value) == (400, 0.004)
    assert found["generalised"].interpolated_step == pytest.approx(300 + 100 * math.log(4) / math.log(100))


def test_gaps_are_skipped_not_filled():
    metrics = pd.DataFrame({"step": range(5), "train_loss": [1, 1, 1, 1, 1e-3], "test_loss": [2, np.nan, np.nan, np.nan, 0.01]})
    found = phases(metrics)
    assert (found["generalised"].lower, found["generalised"].upper) == (0, 4)
    assert (found["memorised"].lower, found["memorised"].upper) == (3, 4)


def test_points_out_of_order_and_twice_do_not_matter():
    points = pd.DataFrame({"step": [30, 0, 20, 20, 10], "train_loss": [1e-4, 3.0, 2.0, 1e-3, 0.5]})
    assert phases(points)["memorised"].at_step == 20


def test_generalised_and_accurate_must_stay():
    loss = curve("test_loss", {0: 5.0, 1: 0.05, 2: 0.5, 3: 0.05, 4: 0.05})
    accuracy = curve("test_accuracy", {0: 0.1, 1: 0.99, 2: 0.9, 3: 0.96, 4: 1.0})
    found = phases(loss.merge(accuracy, on="step"))
    assert found["generalised"].at_step == 3
    assert (found["accurate"].at_step, found["accurate"].value) == (3, 0.96)
    assert found["accurate"].interpolated_step == pytest.approx(2 + 0.05 / 0.06)  # linear for accuracy


def test_a_relapse_at_the_end_is_not_generalised():
    found = phases(curve("test_loss", {0: 5.0, 1: 0.01, 2: 0.5}))
    assert found["generalised"].at_step is None
    assert found["regress"].at_step is None


def test_a_run_that_only_memorises_has_nulls():
    found = phases(pd.DataFrame({"step": [0, 10, 20], "train_loss": [4, 0.1, 1e-5], "test_loss": [4, 20.0, 30.0], "test_accuracy": [0, 0, 0.1]}))
    assert found["memorised"].at_step == 20
    assert found["peak"].at_step == 20
    for event in ("turn", "generalised", "accurate", "regress"):
        row = found[event]
        assert (row.at_step, row.interpolated_step, row.lower, row.upper, row.value) == (None,) * 5


@pytest.mark.parametrize("metrics", [None, pd.DataFrame(), pd.DataFrame({"step": [0, 1], "lr": [1.0, 1.0]})])
def test_nothing_recorded_is_nulls(metrics):
    assert all(row.at_step is None for row in phases(metrics).values())


def test_below_from_the_start_has_a_bracket_of_one_point():
    row = phases(curve("train_loss", {5: 1e-3, 6: 1e-4}))["memorised"]
    assert (row.at_step, row.interpolated_step, row.lower, row.upper) == (5, 5.0, 5, 5)


def test_a_test_loss_that_was_never_bad_has_no_turn():
    found = phases(curve("test_loss", {0: 0.09, 1: 0.05}))
    assert found["turn"].at_step is None
    assert found["generalised"].at_step == 0


def test_regress_is_the_minimum_and_the_rise_after_it():
    points = {0: 9.0, 1: 0.01, 2: 0.001, 3: 0.0015}
    found = phases(curve("test_loss", points))
    assert (found["regress"].at_step, found["regress"].value, found["regress"].rise) == (2, 0.001, pytest.approx(0.5))
    assert phases(curve("test_loss", points), regress_rise=0.6)["regress"].at_step is None


@pytest.mark.parametrize("odd", [0.0, np.inf])
def test_zero_and_infinite_losses_give_the_grid_step(odd):
    points = {0: odd, 1: 1e-3} if odd else {0: 1.0, 1: odd}
    assert phases(curve("train_loss", points))["memorised"].interpolated_step == 1


def test_a_real_run(data):
    folder = data / "modadd_p113_seed999"
    losses = json.loads((folder / "run.json").read_text())["test_loss"]
    test = curve("test_loss", {int(step): loss for step, loss in losses.items()})
    train = load_file(folder / "losses.safetensors")["train_loss"]
    found = phases(pd.DataFrame({"step": np.arange(len(train)), "train_loss": train}).merge(test, on="step", how="outer"))
    assert found["memorised"].at_step == 267
    assert (round(found["turn"].interpolated_step), found["turn"].at_step) == (5056, 5500)
    assert (round(found["generalised"].interpolated_step), found["generalised"].at_step) == (5639, 6000)
    assert found["regress"].at_step == 12500
    assert found["regress"].rise == pytest.approx(0.87, abs=0.005)


PUBLISHED = {  # fraction: (first test loss < 0.1, first train loss < 1e-2)
    0.95: (157, 244),
    0.9: (222, 296),
    0.8: (252, 323),
    0.7: (222, 155),
    0.6: (440, 202),
    0.5: (956, 272),
    0.4: (3109, 268),
    0.3: (7930, 274),
    0.28: (15037, 272),
    0.25: (21848, 265),
}


@pytest.mark.parametrize("fraction", PUBLISHED)
def test_published_curves(data, fraction):
    curves = pd.read_parquet(data / "fraction_sweep.parquet").rename(columns={"epoch": "step"})
    found = phases(curves[np.isclose(curves.fraction, fraction)])
    assert (found["generalised"].at_step, found["memorised"].at_step) == PUBLISHED[fraction]
    assert found["peak"].at_step < found["turn"].at_step < found["generalised"].at_step
