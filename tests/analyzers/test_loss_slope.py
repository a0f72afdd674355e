"""`loss_slope`: lines, plateaus, windows, and the second fall of a real run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strobe.schema import to_arrow
from strobe_analyzers.loss_slope import LossSlope, slope_of


def rows(steps, losses, signal="train_loss", **settings):
    found = list(LossSlope(**settings).analyze_results(pd.DataFrame({"step": steps, signal: losses})))
    to_arrow(LossSlope.Row, found)
    return found


def test_tenfold_in_a_thousand_steps_is_minus_one_and_a_constant_is_nought():
    steps = np.arange(0, 3001)
    falling, still = rows(steps, 10.0 ** (-steps / 1000)), rows(steps, np.full(3001, 0.25))
    assert 300 < len(falling) <= 400
    assert all(r.slope == pytest.approx(-1, abs=1e-9) for r in falling)
    assert all(r.slope == 0 for r in still)


def test_a_bend_is_where_it_is():
    steps = np.arange(0, 5001)
    found = rows(steps, 10.0 ** np.where(steps < 2000, 0.0, -(steps - 2000) / 500))
    assert all(r.slope == pytest.approx(0, abs=1e-12) for r in found if r.upper <= 2000)
    assert all(r.slope == pytest.approx(-2) for r in found if r.lower >= 2000)
    assert all(-2 < r.slope < 0 for r in found if r.lower < 1999 and r.upper > 2001)


def test_windows_are_a_share_of_the_step_and_hold_enough_points():
    found = rows(np.arange(0, 10_001), np.geomspace(1, 1e-6, 10_001), window=0.02)
    assert all((r.lower, r.upper) == (r.step - int(0.02 * r.step), r.step + int(0.02 * r.step)) for r in found if 100 <= r.step <= 9800)
    sparse = rows([0, 100, 1000, 1100], [1.0, 0.1, 0.01, 0.001])
    assert [(r.step, r.points, r.lower, r.upper) for r in sparse] == [(0, 3, 0, 1000), (100, 3, 0, 1000), (1000, 3, 100, 1100), (1100, 3, 100, 1100)]
    assert len(found) <= 400
    assert (found[0].step, found[-1].step) == (0, 10_000)


@given(st.integers(0, 2**32 - 1))
def test_slopes_are_those_of_numpy(seed):
    rng = np.random.default_rng(seed)
    x, y = np.cumsum(rng.integers(1, 50, 9)) + rng.integers(0, 10**6), rng.standard_normal(9)
    assert slope_of(x, y) == pytest.approx(np.polyfit(x - x[0], y, 1)[0], rel=1e-9, abs=1e-12)


def test_what_has_no_logarithm_is_left_out_and_little_has_no_slope():
    assert [r.step for r in rows([0, 1, 2, 3, 4], [1.0, 0.0, np.nan, 0.5, np.inf])] == [0, 3]
    assert rows([0], [1.0]) == []
    assert rows([5, 5, 5], [1.0, 0.5, 0.2]) == []
    assert list(LossSlope().analyze_results(pd.DataFrame())) == []


def test_both_losses_and_steps_in_any_order():
    table = pd.DataFrame({"step": [200, 0, 100], "train_loss": [0.01, 1.0, 0.1], "test_loss": [1.0, 1.0, 1.0]})
    found = list(LossSlope().analyze_results(table))
    assert [(r.signal, r.step) for r in found] == [(s, t) for s in ("train_loss", "test_loss") for t in (0, 100, 200)]
    assert [r.slope for r in found] == pytest.approx([-10.0] * 3 + [0.0] * 3)
