"""`sae_features` and `sae_tracks`: dictionaries that are known, and everything that Strobe expects of analyzers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from strobe_sae.autoencoder import fit
from strobe_sae.features import SaeFeatures
from strobe_sae.tracks import SaeTracks

from strobe import Activations, Context, Results
from strobe.testing import AnalyzerConformance, run_analyzer


class TestSaeFeatures(AnalyzerConformance):
    analyzer = SaeFeatures(features=6, updates=20)


class TestSaeTracks(AnalyzerConformance):
    analyzer = SaeTracks


def sparse_mixture(n: int = 400, d: int = 12, k: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs [n, d] made of one or two of k orthonormal directions each, and the directions [k, d]."""
    rng = torch.Generator().manual_seed(0)
    directions = torch.linalg.qr(torch.randn(d, k, generator=rng)).Q.T
    which = torch.stack([torch.randperm(k, generator=rng)[:2] for _ in range(n)])
    amounts = torch.zeros(n, k).scatter_(1, which, 0.5 + torch.rand(n, 2, generator=rng))
    return amounts @ directions, directions


def test_it_finds_the_directions_that_inputs_are_made_of() -> None:
    x, directions = sparse_mixture()
    found = fit(x, 12, 0.05, 400, 0.02, np.random.default_rng(0))
    best = (directions @ found.dictionary.T).amax(1)  # the nearest feature of each direction
    assert best.min() > 0.85
    assert found.error < 0.1
    assert (found.features > 0).double().mean() < 0.5


def test_a_stronger_penalty_makes_fewer_features_active() -> None:
    x, _ = sparse_mixture()
    active = {}
    for penalty in (0.01, 0.5):
        rows = run_analyzer(SaeFeatures(features=12, penalty=penalty), activations=Activations({"blocks.1.mlp.post": x}), context=Context(seed=1))
        assert rows["active"].is_monotonic_decreasing
        assert set(rows["layer"]) == {1}
        active[penalty] = rows["active"].mean()
    assert active[0.5] < 0.7 * active[0.01]


@pytest.mark.parametrize(("post", "says"), [(torch.ones(9, 4), "the same activations"), (torch.full((9, 4), float("nan")), "not finite")])
def test_what_has_no_features_says_so(post: torch.Tensor, says: str) -> None:
    rows = run_analyzer(SaeFeatures, activations=Activations({"blocks.0.mlp.post": post}), context=Context())
    assert says in rows["reason"].item()


def features_at(step: int, directions: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"step": step, "layer": 0, "feature": range(len(directions)), "active": 0.5, "direction": list(directions)})


def test_tracks_follow_features_that_change_places() -> None:
    axes = np.eye(4)
    turned = np.array([[0.9, 0.436, 0, 0], [0, 0, 1, 0], [0, 0, 0, -1.0]])
    steps = [axes[[0, 1, 2]], axes[[2, 0, 1]], turned]
    table = pd.concat([features_at(10 * i, d) for i, d in enumerate(steps)], ignore_index=True)
    rows = run_analyzer(SaeTracks, results=Results({"sae_features": table})).set_index(["step", "feature"])
    assert rows["track"].to_dict() == {
        (0, 0): 0, (0, 1): 1, (0, 2): 2,
        (10, 0): 2, (10, 1): 0, (10, 2): 1,
        (20, 0): 0, (20, 1): 2, (20, 2): 3,
    }  # fmt: skip
    assert rows["age"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 0]
    assert rows["cosine"].loc[10].tolist() == [1, 1, 1]
    assert rows["cosine"].loc[(20, 0)] == pytest.approx(0.9, abs=1e-3)
    assert rows["previous"].loc[10].tolist() == [2, 0, 1]
