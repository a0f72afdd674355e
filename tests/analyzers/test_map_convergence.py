from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from real_run import passed

from strobe import Activations, Results
from strobe.schema import to_arrow, to_pandas
from strobe_analyzers.activation_maps import ActivationMaps
from strobe_analyzers.map_convergence import MapConvergence, correlations, rank_correlation, settles

STEPS = (0, 100, 500)


def maps(unit, per_step, **columns):
    """Rows of a table of maps: per_step[step][i] is unit i's map."""
    return pd.DataFrame([{"step": s, "layer": 0, unit: i, "map": m, **columns} for s, ms in per_step.items() for i, m in enumerate(ms)])


def coarse(n, kind="neuron", step=STEPS[-1], energy=None):
    return pd.DataFrame(
        [{"step": step, "layer": 0, "kind": kind, kind: i, "low_frequency_energy": 0.5 if energy is None else energy[i]} for i in range(n)]
    )


def analyzed(neurons, heads=None, coarseness=None, **settings):
    heads = pd.DataFrame(columns=["step", "layer", "head", "key", "map"]) if heads is None else heads
    coarseness = coarse(8) if coarseness is None else coarseness
    found = list(MapConvergence(**settings).analyze_results(Results(activation_maps=neurons, attention_maps=heads, coarseness=coarseness)))
    assert to_arrow(MapConvergence.Row, found).not_finite == {}
    return found


def test_correlation_is_pearsons_with_the_last_map():
    rng = np.random.default_rng(0)
    per_step = {s: rng.random((3, 5, 5)).astype(np.float16) for s in STEPS}
    found = {(r.step, r.neuron): r.correlation for r in analyzed(maps("neuron", per_step)) if r.step is not None}
    assert len(found) == 9
    for (step, i), value in found.items():
        expected = np.corrcoef(per_step[step][i].ravel().astype(float), per_step[500][i].ravel().astype(float))[0, 1]
        assert value == pytest.approx(expected, abs=1e-12)


def test_converged_is_the_first_step_from_which_it_stays():
    up, other = np.arange(4.0).reshape(2, 2), np.array([[0.0, 1], [1, 0]])
    per_step = {0: [up, other, up], 100: [up * 2 + 1, up, other], 500: [up, up, up]}
    rows = [r for r in analyzed(maps("neuron", per_step)) if r.step is None and r.neuron is not None]
    assert [(r.converged_step, r.lower) for r in rows] == [(0, None), (100, 0), (500, 100)]
    assert [r.low_frequency_energy for r in rows] == [0.5] * 3


def test_constant_maps_have_no_correlation():
    up, flat = np.arange(4.0).reshape(2, 2), np.full((2, 2), 3.0)
    found = analyzed(maps("neuron", {0: [flat, up], 500: [up, flat]}))
    assert [r.correlation for r in found if r.step is not None] == [None, None, pytest.approx(1), None]
    assert [r.converged_step for r in found if r.step is None and r.neuron is not None] == [500, None]


def test_coarse_first_says_whether_slow_patterns_settle_first():
    up, other = np.arange(4.0).reshape(2, 2), np.array([[0.0, 1], [1, 0]])
    steps = (0, 1, 2, 3)
    per_step = {s: [up if s >= i else other for i in range(4)] for s in steps}
    neurons = maps("neuron", per_step)
    (told,) = [r for r in analyzed(neurons, coarseness=coarse(4, step=3, energy=[0.9, 0.6, 0.3, 0.1])) if r.step is None and r.neuron is None]
    assert told.coarse_first == pytest.approx(1)
    (told,) = [r for r in analyzed(neurons, coarseness=coarse(4, step=3, energy=[0.1, 0.3, 0.6, 0.9])) if r.step is None and r.neuron is None]
    assert told.coarse_first == pytest.approx(-1)


def test_heads_are_taken_to_a_alone_and_one_checkpoint_is_enough():
    up = np.arange(4.0).reshape(2, 2)
    heads = pd.concat([maps("head", {7: [up]}, key=0), maps("head", {7: [np.ones((2, 2))]}, key=1)])
    empty = pd.DataFrame(columns=["step", "layer", "neuron", "map"])
    here, whole, kind = analyzed(empty, heads, coarse(1, "head", step=7))
    assert (here.step, here.head, here.correlation) == (7, 0, pytest.approx(1))
    assert (whole.converged_step, whole.lower) == (7, None)
    assert kind.coarse_first is None


@pytest.mark.parametrize("step", [5500, 8000])
def test_a_sample_of_pairs_gives_the_correlation_of_the_full_maps(step):
    """The real run at p = 113, whose tiles cannot resolve its frequencies: each error within the standard error of 128 pairs, none systematic."""
    site, tables, full = "blocks.0.mlp.post", [], []
    for at in (step, 25_000):
        here = passed(at, "mlp.post")
        rows = ActivationMaps().analyze_activations(Activations({site: here.sites[site]}), here.probe)
        tables.append(to_pandas(to_arrow(ActivationMaps.Row, rows).table).assign(step=at))
        full.append(here.sites[site].double().numpy())
    first, last = (h - h.mean(0) for h in full)
    r = (first * last).sum(0) / np.sqrt((first**2).sum(0) * (last**2).sum(0))
    found = correlations(pd.concat(tables), "neuron").values[0]
    deviations = (found - r) / ((1 - r**2) / np.sqrt(128))
    assert np.median(found) == pytest.approx(np.median(r), abs=0.03)
    assert abs(deviations.mean()) < 0.25
    assert np.sqrt((deviations**2).mean()) < 1.5


def test_samples_are_taken_where_there_are_any_and_a_missing_one_is_unknown():
    up, down = np.arange(8, dtype=np.int8), np.arange(8, dtype=np.int8)[::-1]
    tile = np.eye(2)
    table = pd.DataFrame([{"step": s, "layer": 0, "neuron": 0, "map": tile, "sample": x} for s, x in ((0, None), (1, up), (2, down), (3, up))])
    assert correlations(table, "neuron").values[:, 0] == pytest.approx([np.nan, 1, -1, 1], nan_ok=True)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8), st.sampled_from([0.5, 0.9]))
def test_settles_against_the_definition(values, threshold):
    v = np.array(values)
    expected = next((i for i in range(len(v)) if (v[i:] >= threshold).all()), None)
    assert settles(v, threshold) == expected


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=20))
def test_rank_correlation_is_scipys(pairs):
    x, y = np.array(pairs, float).T
    found = rank_correlation(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
