from __future__ import annotations

import numpy as np
import pytest
import torch
from real_run import passed

from strobe import Activations, Outputs, Weights
from strobe.schema import to_arrow
from strobe_analyzers.neural_collapse import MEASURES, NeuralCollapse

SITE = "blocks.0.resid_post"


def simplex(n, d):
    """Vertices of a simplex of n classes in d >= n dimensions, rotated: [n, d]."""
    centred = torch.eye(n, dtype=torch.float64) - 1 / n
    basis = torch.linalg.qr(torch.randn(d, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
    return centred @ basis.T


def rows(x, targets, logits=None, W_U=None, splits=None):
    n = int(targets.max()) + 1
    logits = torch.nn.functional.one_hot(targets, n).double() if logits is None else logits
    weights = Weights({} if W_U is None else {"unembed.W_U": W_U})
    found = NeuralCollapse().analyze_outputs(Outputs(logits, targets, splits or {}), Activations({SITE: x, "logits": logits}), weights)
    return {r.split: r for r in found}


def test_a_simplex_without_noise_is_full_collapse():
    corners = simplex(6, 10)
    targets = torch.arange(6).repeat(5)
    row = rows(corners[targets] + 3, targets, W_U=corners.T.contiguous() * 2)["all"]
    assert [getattr(row, name) for name in MEASURES] == pytest.approx([0] * len(MEASURES), abs=1e-12)
    assert row.classes == 6


def test_against_the_formulas_with_pinv():
    rng = torch.Generator().manual_seed(1)
    targets = torch.randint(0, 5, (80,), generator=rng)
    x = torch.randn(80, 7, generator=rng, dtype=torch.float64) + torch.randn(5, 7, generator=rng, dtype=torch.float64)[targets]
    W_U = torch.randn(7, 5, generator=rng, dtype=torch.float64)
    logits = torch.randn(80, 5, generator=rng)
    row = rows(x, targets, logits, W_U)["all"]
    mu = torch.stack([x[targets == c].mean(0) for c in range(5)])
    m, within = mu - mu.mean(0), (x - mu[targets]).T @ (x - mu[targets]) / 80
    assert row.nc1 == pytest.approx((within @ torch.linalg.pinv(m.T @ m / 5, rcond=1e-6)).trace().item() / 5)
    norms = m.norm(dim=1).numpy()
    assert row.nc2_norms == pytest.approx(norms.std() / norms.mean())
    cosines = [abs((m[i] @ m[j] / norms[i] / norms[j]).item() + 1 / 4) for i in range(5) for j in range(i)]
    assert row.nc2_angles == pytest.approx(np.mean(cosines))
    assert row.nc3 == pytest.approx((torch.linalg.norm(W_U.T / W_U.norm() - m / m.norm()) ** 2).item())
    nearest = torch.cdist(x, mu).argmin(1)
    assert row.nc4 == pytest.approx((nearest != logits.argmax(1)).double().mean().item())
    variances = [((x[targets == c] - mu[c]) ** 2).sum(1).mean() for c in range(5)]
    pairs = [((variances[i] + variances[j]) / (2 * ((mu[i] - mu[j]) ** 2).sum())).item() for i in range(5) for j in range(i)]
    assert row.cdnv == pytest.approx(np.mean(pairs))


def test_unrelated_unembedding_has_nc3_two():
    corners = simplex(5, 400)
    targets = torch.arange(5).repeat(3)
    W_U = torch.randn(400, 5, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    assert rows(corners[targets], targets, W_U=W_U)["all"].nc3 == pytest.approx(2, abs=0.2)


def test_classes_may_be_few_among_many_and_unembedding_of_another_width_is_ignored():
    targets = torch.tensor([7, 7, 2, 2])
    x = torch.tensor([[1.0, 0.0], [1.2, 0.0], [-1.0, 0.0], [-1.2, 0.0]])
    row = rows(x, targets, W_U=torch.randn(3, 8))["all"]
    assert (row.classes, row.nc3, row.nc4) == (2, None, 0)
    assert rows(x, targets, W_U=torch.randn(2, 5))["all"].nc3 is None  # class 7 has no column
    assert rows(x, targets, W_U=torch.full((2, 8), torch.nan))["all"].nc3 is None


def test_nothing_to_measure_has_a_reason():
    one = rows(torch.randn(4, 3), torch.zeros(4, dtype=torch.long))["all"]
    flat = rows(torch.ones(4, 3), torch.tensor([0, 0, 1, 1]))["all"]
    bad = rows(torch.full((4, 3), torch.nan), torch.tensor([0, 0, 1, 1]))["all"]
    alike = rows(torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]), torch.tensor([0, 0, 1, 1]))["all"]
    assert one.reason == "fewer than two classes"
    assert flat.reason == "the same vector for every input"
    assert bad.reason == "activations are not finite"
    assert alike.reason == "all classes have the same mean"
    for row in (one, flat, bad, alike):
        assert [getattr(row, name) for name in MEASURES] == [None] * len(MEASURES)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_precision_gives_finite_numbers(dtype):
    targets = torch.arange(4).repeat(6)
    x = torch.randn(24, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    made = to_arrow(NeuralCollapse.Row, rows(x, targets, W_U=torch.randn(5, 4).to(dtype)).values())
    assert made.not_finite == {}


def test_splits_are_rows_and_an_empty_one_has_none():
    targets, mask = torch.arange(3).repeat(4), torch.arange(12) < 6
    splits = {"train": mask, "test": ~mask, "none": torch.zeros(12, dtype=torch.bool)}
    assert list(rows(torch.randn(12, 4), targets, splits=splits)) == ["train", "test"]


def test_the_real_run_moves_towards_collapse():
    found = {}
    for step in (1000, 25_000):
        weights, _, sites, outputs = passed(step, "resid_post")
        found[step] = {r.split: r for r in NeuralCollapse().analyze_outputs(outputs, Activations(sites), weights)}
    early, late = found[1000]["test"], found[25_000]["test"]
    assert late.nc4 == 0
    assert (late.nc1 < early.nc1, late.cdnv < early.cdnv / 10, late.nc3 < early.nc3) == (True, True, True)
    assert late.nc2_angles > 0.3  # four circles are no simplex of 113 corners
