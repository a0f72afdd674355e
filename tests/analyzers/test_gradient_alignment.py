"""`gradient_alignment`: gradients per class that are made to agree or not, and a small transformer by brute force."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from quadratic import model, probe

from strobe import Context, Loss, Probe, StrobeError
from strobe_analyzers.gradient_alignment import GradientAlignment

P = 11


def classes(p=P, each=4):
    """`each` inputs of every class, half of them for training."""
    targets = torch.arange(p).repeat(each)
    mask = torch.arange(p * each) < p * each // 2
    return Probe("hand", torch.zeros(len(targets), 1, dtype=torch.int64), targets, {"train": mask, "test": ~mask})


def linear(a, b, inputs):
    """Two matrices whose gradient on class r is a[r] and b[r]."""

    def objective(w, split):
        r = inputs.targets[inputs.splits[split] if isinstance(split, str) else split]
        return ((a[r] * w["embed.W_E"]).sum(1) + (b[r] * w["blocks.0.mlp.W_in"]).sum(1)).mean()

    return Loss(objective, {"embed.W_E": torch.zeros(a.shape[1]), "blocks.0.mlp.W_in": torch.zeros(b.shape[1])})


def wave(k, p=P):
    angle = 2 * torch.pi * k * torch.arange(p) / p
    return torch.stack([torch.cos(angle), torch.sin(angle)], 1)


def rows(loss, inputs, p=P, **settings):
    found = GradientAlignment(**settings).analyze_landscape(loss, inputs, Context(family=SimpleNamespace(p=p)))
    return {(r.group, r.other): r for r in found}


def test_parts_on_one_circle_align_and_share_its_frequency():
    inputs = classes()
    turn = torch.linalg.qr(torch.randn(5, 2, generator=torch.Generator().manual_seed(0))).Q
    row = rows(linear(wave(2), 7 * wave(2) @ turn.T, inputs), inputs)
    pair = row["embedding", "mlp"]
    assert pair.alignment == pytest.approx(1)
    assert pair.frequency_correlation == pytest.approx(1)
    assert pair.null_95 < 0.5
    assert row["mlp", "mlp"].energies.argmax() + 1 == 2
    assert row["mlp", "mlp"].energies.sum() == pytest.approx(1)


def test_parts_on_different_frequencies_do_not():
    inputs = classes()
    pair = rows(linear(wave(2), wave(3), inputs), inputs)["embedding", "mlp"]
    assert pair.alignment == pytest.approx(0, abs=1e-6)
    assert pair.frequency_correlation < 0
    assert pair.train_test_cosine is None


def test_random_gradients_lie_within_the_null():
    inputs, above = classes(), 0
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        a, b = (torch.randn(P, 3, generator=generator) for _ in range(2))
        pair = rows(linear(a, b, inputs), inputs)["embedding", "mlp"]
        assert 0 < pair.null < pair.null_95 < 1
        above += pair.alignment > pair.null_95
    assert above <= 3


def test_train_and_test_gradients_of_a_small_transformer():
    _family, loss, grid = model(p=5)
    found = rows(loss, grid, p=5)
    names = [n for n in loss.weights if ".attn." in n]
    train, test = (torch.cat([loss.grad(s)[n].flatten() for n in names]) for s in ("train", "test"))
    row = found["attention", "attention"]
    assert row.train_test_cosine == pytest.approx(float(torch.cosine_similarity(train, test, dim=0)))
    assert row.gradient_norm == pytest.approx(float(train.norm()))
    assert row.alignment == pytest.approx(1)
    batches = [(grid.splits["train"] & (grid.targets == r)).nonzero()[:, 0] for r in range(5)]
    x, y = (np.stack([_flat(loss.grad(b), names) for b in batches]) for names in (("embed.W_E", "pos_embed.W_pos"), ("unembed.W_U",)))
    x, y = x - x.mean(0), y - y.mean(0)
    expected = np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    assert found["embedding", "unembedding"].alignment == pytest.approx(expected, rel=1e-9)


def _flat(gradient, names):
    return np.concatenate([gradient[n].flatten().numpy() for n in names])


def test_a_frozen_part_is_null():
    inputs = classes()
    row = rows(linear(wave(2), torch.zeros(P, 3), inputs), inputs)
    assert (row["embedding", "mlp"].alignment, row["embedding", "mlp"].frequency_correlation) == (None, None)
    assert row["mlp", "mlp"].train_test_cosine is None
    assert row["mlp", "mlp"].gradient_norm == 0


def test_without_classes_inputs_are_batched_at_random_and_foreign_models_go_by_matrix():
    points = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    loss = Loss(lambda w, split: (points[:20] if split == "train" else points[split]).matmul(w["layer"]).square().mean(), {"layer": torch.ones(4, 2)})
    (row,) = rows(loss, probe(), batches=5).values()
    assert (row.group, row.classes, row.energies) == ("layer", 5, None)
    with pytest.raises(StrobeError, match="'odd' matches no parameter"):
        rows(loss, probe(), groups=("odd",))
    with pytest.raises(StrobeError, match="2 training inputs are too few"):
        rows(loss, probe(2, 2))
