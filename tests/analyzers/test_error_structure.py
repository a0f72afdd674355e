"""`error_structure`: errors of one class, of one frequency, and at random."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strobe import Context, Results
from strobe.schema import to_arrow
from strobe_analyzers.error_structure import ErrorStructure
from strobe_families.modular_addition import ModularAddition


def rows(p, wrong=None, margin=None):
    wrong = np.zeros((p, p), bool) if wrong is None else wrong
    margin = np.where(wrong, -1.0, 1.0) if margin is None else margin
    trace = pd.DataFrame([{"step": 7, "rank": wrong.flatten().astype(int), "margin": margin.flatten()}])
    found = list(ErrorStructure().analyze_results(Results(input_trace=trace), Context(family=ModularAddition(p=p))))
    to_arrow(ErrorStructure.Row, found)
    return {r.map: r for r in found}


def pairs(p):
    x = np.arange(p)
    return x[:, None], x[None, :]


def test_a_residue_class_that_fails_depends_on_the_sum_alone():
    a, b = pairs(11)
    row = rows(11, (a + b) % 11 == 4)["error"]
    assert row.mean == pytest.approx(1 / 11)
    assert row.sum_share == pytest.approx(1)


def test_a_margin_that_follows_one_frequency():
    a, b = pairs(13)
    row = rows(13, margin=np.cos(2 * np.pi * 3 * (a - b) / 13))["margin"]
    assert (row.frequency, row.fraction) == (3, pytest.approx(1))
    assert row.sum_share == pytest.approx(0, abs=1e-12)


def test_errors_at_random_are_at_the_null():
    p = 31
    row = rows(p, np.random.default_rng(0).random((p, p)) < 0.3)["error"]
    assert row.fractions.mean() == pytest.approx(row.null_fraction, rel=0.2)
    assert row.sum_share == pytest.approx(row.null_sum_share, rel=0.5)


def test_no_errors_and_logits_that_are_not_finite_are_null():
    assert (rows(5)["error"].frequency, rows(5)["error"].mean) == (None, 0)
    trace = pd.DataFrame([{"step": 0, "rank": None, "margin": None}])
    found = list(ErrorStructure().analyze_results(Results(input_trace=trace), Context(family=ModularAddition(p=5))))
    assert [(r.mean, r.frequency, r.fractions) for r in found] == [(None, None, None)] * 2
