"""`logit_fourier`: exact clocks, the p^3 cube by definition, reference values of real runs."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from strobe import Outputs, Results, StrobeError
from strobe.schema import to_arrow
from strobe.sites import Tap
from strobe_analyzers.logit_fourier import LogitFourier
from strobe_families.modular_addition import ModularAddition


def sets(**keys):
    return Results(key_frequencies=pd.DataFrame([{"set": s, "frequencies": k and np.array(k)} for s, k in keys.items()]))


def rows(logits, p, **keys):
    family = ModularAddition(p=p)
    probe = family.probes(family.split())["grid"]()
    found = list(LogitFourier().analyze_outputs(Outputs(logits, probe.targets), probe, sets(**(keys or {"union": None}))))
    to_arrow(LogitFourier.Row, found)
    return {row.keys: row for row in found}


def clock(p, amplitudes):
    x = torch.arange(p)
    angle = ((x[:, None, None] + x[:, None] - x) % p).double() * 2 * torch.pi / p
    return sum(a * torch.cos(k * angle) for k, a in amplitudes.items()).reshape(p * p, p)


FVE = ("fve", "fve_class_mean_removed", "fve_input_mean_removed", "fve_both_removed")


@pytest.mark.parametrize("p", [3, 7, 8, 113])
def test_exact_clock_logits_are_explained_in_full(p):
    row = rows(clock(p, {1: 3.0}), p, last=[1])["last"]
    assert [getattr(row, name) for name in FVE] == pytest.approx([1.0] * 4, rel=1e-12)
    assert row.coefficients.tolist() == pytest.approx([3.0 * (p**3 / 2) ** 0.5], rel=1e-12)  # amplitude times the norm of the cosine


def test_an_amplitude_squared_is_its_share():
    found = rows(clock(11, {1: 3.0, 4: 4.0}), 11, own=[4], last=[1, 4])
    assert found["own"].fve == pytest.approx(16 / 25)
    assert found["last"].fve == pytest.approx(1)
    assert found["all"].n_keys == 5


@given(st.integers(0, 1000), st.sampled_from([3, 4, 6, 7]))
def test_coefficients_and_denominators_are_those_of_the_cube(seed, p):
    logits = torch.randn(p * p, p, generator=torch.Generator().manual_seed(seed)).double() + 2
    row = rows(logits, p)["all"]
    waves = torch.stack([clock(p, {k: 1.0}).flatten() for k in row.frequencies.tolist()])
    waves = waves / waves.norm(dim=1, keepdim=True)
    assert row.coefficients.tolist() == pytest.approx((waves @ logits.flatten()).tolist(), abs=1e-10)
    centred = [logits - logits.mean(), logits - logits.mean(0), logits - logits.mean(1, keepdim=True)]
    centred.append(centred[2] - centred[2].mean(0))
    explained = float((row.coefficients**2).sum())
    assert [getattr(row, name) for name in FVE] == pytest.approx([explained / float((x**2).sum()) for x in centred], rel=1e-10)


def test_constant_logits_have_no_shares_and_nan_no_coefficients():
    assert rows(torch.full((9, 3), 7.0), 3)["all"].fve is None
    row = rows(torch.full((9, 3), torch.nan), 3)["all"]
    assert (row.fve, row.coefficients) == (None, None)


def test_sets_that_are_null_have_no_row_and_other_logits_are_refused():
    assert list(rows(clock(5, {1: 1.0}), 5, own=None, last=[1])) == ["all", "last"]
    with pytest.raises(StrobeError, match=r"logits \[25, 5\]"):
        rows(torch.zeros(25, 4), 5)


REAL = {  # published with reference values: four denominators at the last checkpoint, keys of the last
    ("modadd_p113_seed999", 25000): ([24, 36, 39, 41], [0.89698111957891, 0.912125274438899, 0.896981884283134, 0.912126065182838]),
    ("progress_measures_wd01", 107791): ([6, 23, 37, 39, 41], [0.9747698506803067, 0.9755747318400642, 0.9747698691763408, 0.9755747503666554]),
}


@pytest.mark.parametrize("run", REAL)
def test_real_runs(data, run):
    (folder, step), (keys, expected) = run, REAL[run]
    assert json.loads((data / folder / "run.json").read_text())
    family = ModularAddition()
    probe = family.probes(family.split())["grid"]()
    with torch.inference_mode():
        logits = family.forward(load_file(data / folder / f"epoch_{step:05d}.safetensors"), probe.inputs, Tap())
    row = rows(logits, 113, last=keys)["last"]
    assert [getattr(row, name) for name in FVE] == pytest.approx(expected, rel=1e-6)
