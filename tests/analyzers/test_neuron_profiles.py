from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans

from strobe import Results
from strobe.schema import to_arrow
from strobe_analyzers.neuron_profiles import NeuronProfiles, grouped

N_K = 6


def tables(profiles, scales, step=500):
    """neuron_frequency and coarseness at `step`, and an earlier step that must not matter."""
    rows, coarse = [], []
    for i, (f, s) in enumerate(zip(profiles, scales, strict=True)):
        k = None if f is None else int(np.argmax(f)) + 1
        rows += [{"step": t, "layer": 0, "neuron": i, "frequency": k, "fractions": f if t == step else np.ones(N_K) / N_K} for t in (0, step)]
        coarse.append({"step": step, "layer": 0, "kind": "neuron", "neuron": i, "std": s})
    coarse.append({"step": step, "layer": 0, "kind": "head", "neuron": None, "std": 9.0})
    return Results(neuron_frequency=pd.DataFrame(rows), coarseness=pd.DataFrame(coarse).astype({"neuron": "Int64"}))


def analyzed(results, **settings):
    found = list(NeuronProfiles(**settings).analyze_results(results))
    assert to_arrow(NeuronProfiles.Row, found).not_finite == {}
    return found


def peak(k, rng, height=0.9):
    rest = rng.dirichlet(np.ones(N_K)) * (1 - height)
    rest[k - 1] += height
    return rest


def test_neurons_of_one_frequency_and_scale_are_one_cluster():
    rng = np.random.default_rng(0)
    kinds = [(2, 1.0)] * 9 + [(5, 1.0)] * 6 + [(5, 0.001)] * 3
    found = analyzed(tables([peak(k, rng) for k, _ in kinds], [s for _, s in kinds]), clusters=3)
    assert [r.cluster for r in found] == [0] * 9 + [1] * 6 + [2] * 3
    assert [r.size for r in found] == [9] * 9 + [6] * 6 + [3] * 3
    assert all(r.step == 500 for r in found)
    for c in range(3):
        members = [r for r in found if r.cluster == c]
        (chosen,) = [r for r in members if r.representative]
        assert chosen.distance == min(r.distance for r in members)


def test_constant_neurons_are_set_apart_and_all_may_be():
    rng = np.random.default_rng(0)
    found = analyzed(tables([peak(1, rng), None, peak(1, rng)], [1.0, 0.0, 1.0]))
    assert (found[1].cluster, found[1].representative, found[1].distance, found[1].frequency) == (-1, False, None, None)
    assert [r.cluster for r in analyzed(tables([None, None], [0.0, 0.0]))] == [-1, -1]


def test_fewer_different_neurons_than_clusters():
    same = np.ones(N_K) / N_K
    found = analyzed(tables([same, same, same], [1.0, 1.0, 1.0]), clusters=8)
    assert [(r.cluster, r.distance) for r in found] == [(0, pytest.approx(0, abs=1e-12))] * 3
    assert [r.representative for r in found] == [True, False, False]


def test_the_same_seed_gives_the_same_clusters_and_an_empty_table_none():
    rng = np.random.default_rng(1)
    results = tables([rng.dirichlet(np.ones(N_K)) for _ in range(40)], rng.random(40) + 0.1)
    a, b = ([r.cluster for r in analyzed(results, clusters=5)] for _ in range(2))
    assert a == b
    assert analyzed(Results(neuron_frequency=pd.DataFrame(columns=["step"]), coarseness=pd.DataFrame())) == []


def test_as_good_as_scikit_learn_on_separate_blobs():
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(5, 7)) * 10
    points = np.concatenate([c + rng.normal(size=(20, 7)) for c in centres])
    labels, distances = grouped(points, 5, seed=0)
    model = KMeans(5, n_init=10, random_state=0).fit(points)
    assert (distances**2).sum() == pytest.approx(model.inertia_, rel=1e-9)
    assert len(set(zip(labels.tolist(), model.labels_.tolist(), strict=True))) == 5
