"""`change_points`: exact joins, noise, a real run, brute force."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest

from strobe.schema import to_arrow
from strobe_analyzers.change_points import ChangePoints, piecewise


def rows(steps, losses, signal="test_loss", **settings):
    found = list(ChangePoints(**settings).analyze_results(pd.DataFrame({"step": steps, signal: losses})))
    to_arrow(ChangePoints.Row, found)
    return [r for r in found if r.signal == signal]


def breaks(*args, **settings):
    return [r.at_step for r in rows(*args, **settings) if r.at_step is not None]


def test_piecewise_constant_data_break_exactly_at_the_joins():
    rng = np.random.default_rng(0)
    levels = np.repeat([0.0, -1.0, -4.0], [10, 12, 9]) + 0.01 * rng.standard_normal(31)
    steps = np.cumsum(rng.integers(1, 50, 31))  # unequal gaps
    assert breaks(steps, 10**levels, from_step=0) == [steps[10], steps[22]]
    first = rows(steps, 10**levels, from_step=0)[0]
    assert (first.lower, first.upper, first.index) == (steps[9], steps[10], 1)


def test_exact_lines_break_at_the_bend_and_no_further():
    steps = np.arange(20) * 100
    losses = 10.0 ** np.where(steps < 1000, -steps / 1000, -1 - (steps - 1000) / 250 - 1)
    (row,) = rows(steps, losses, from_step=0)
    assert row.at_step == 1000
    assert (row.slope_before, row.slope_after) == pytest.approx((-1, -4))
    assert row.rms == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_white_noise_has_no_break(seed):
    noise = np.random.default_rng(seed).standard_normal(60)
    (row,) = rows(np.arange(60), 10**noise, from_step=0)
    assert (row.index, row.at_step, row.slope_after) == (None, None, None)
    assert row.rms == row.rms_straight


@pytest.mark.parametrize("seed", range(3))
def test_the_best_positions_are_those_of_brute_force(seed):
    rng = np.random.default_rng(seed)
    x, y = np.cumsum(rng.integers(1, 9, 14)).astype(float), rng.standard_normal(14)

    def rms(cuts):
        parts = zip([0, *cuts], [*cuts, 14], strict=True)
        return np.sqrt(sum(np.polyfit(x[i:j], y[i:j], 1, full=True)[1].sum() for i, j in parts) / 14)

    fits = piecewise(x, y, 3, 3)
    for b in range(4):
        cuts = [c for c in itertools.combinations(range(3, 12), b) if all(j - i >= 3 for i, j in itertools.pairwise([0, *c, 14]))]
        best = min(cuts, key=rms)
        assert fits[b][1] == pytest.approx(rms(best), rel=1e-9)
        assert fits[b][0] == list(best)


def test_too_few_points_constant_curves_and_nothing_recorded():
    assert [r.at_step for r in rows([0, 1, 2], [1.0, 0.1, 0.01])] == [None]
    assert breaks(np.arange(20), np.full(20, 0.5)) == []
    assert breaks(np.arange(20), np.zeros(20)) == []
    assert [r.points for r in ChangePoints().analyze_results(pd.DataFrame())] == [0, 0]


def test_long_curves_are_taken_at_every_nth_point():
    steps = np.arange(5000)
    losses = 10.0 ** np.where(steps < 2000, -steps / 1000, -2.0)
    (row,) = rows(steps, losses, max_points=100)
    assert row.points == 100
    assert row.lower <= 2000 <= row.upper


def test_a_real_run_breaks_at_5000_8000_and_11500(data):
    losses = json.loads((data / "modadd_p113_seed999" / "run.json").read_text())["test_loss"]
    steps = np.array(sorted(map(int, losses)))
    assert breaks(steps, [losses[str(s)] for s in steps]) == [5000, 8000, 11500]  # from its peak, 1,500
