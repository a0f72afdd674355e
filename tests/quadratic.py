"""Losses whose landscape is known in closed form, and the probe and model that landscape analyzers are tried on."""

from __future__ import annotations

from typing import Any

import torch

from strobe import Loss, Probe
from strobe.sites import Tap
from strobe_families.modular_addition import ModularAddition


def quadratic(matrix: torch.Tensor, at: torch.Tensor | None = None, **more: torch.Tensor) -> Loss:
    """L(w) = w^T H w / 2 over one vector `w`, at the minimum unless `at` is given; parameters in `more` do not enter."""
    w = torch.zeros(len(matrix), dtype=matrix.dtype) if at is None else at
    return Loss(lambda weights, split: weights["w"] @ matrix @ weights["w"] / 2, {"w": w, **more})


def probe(train: int = 20, test: int = 10) -> Probe:
    """Inputs that mean nothing, the first for training."""
    mask = torch.arange(train + test) < train
    return Probe("hand", torch.zeros(len(mask), 1, dtype=torch.int64), torch.zeros(len(mask), dtype=torch.int64), {"train": mask, "test": ~mask})


def model(p: int = 5, seed: int = 0, **parameters: Any) -> tuple[ModularAddition, Loss, Probe]:
    """A small untrained transformer in float64, its loss and its grid."""
    family = ModularAddition(p=p, **{"d_model": 4, "n_heads": 2, "d_mlp": 6, "fraction": 0.5, "seed": seed} | parameters)
    grid = family.probes(family.split())["grid"]()
    weights = {n: w.double() for n, w in family.initial().items()}
    return family, Loss(objective(family, grid), weights), grid


def objective(family: ModularAddition, grid: Probe) -> Any:
    def mean_loss(weights: Any, split: Any) -> torch.Tensor:
        rows = grid.splits[split] if isinstance(split, str) else split
        return family.loss(family.forward(weights, grid.inputs[rows], Tap()).double(), grid.targets[rows]).mean()

    return mean_loss


def dense(loss: Loss, split: str = "train") -> torch.Tensor:
    """The whole Hessian by central differences of gradients: nothing of `hvp` in it. float64 [n, n]."""
    names = list(loss.weights)
    start = torch.cat([loss.weights[n].flatten() for n in names])

    def gradient(w: torch.Tensor) -> torch.Tensor:
        parts = torch.split(w, [loss.weights[n].numel() for n in names])
        here = loss.at({n: x.view(loss.weights[n].shape) for n, x in zip(names, parts, strict=True)})
        return torch.cat([g.flatten() for g in here.grad(split).values()])

    step = 1e-6
    columns = [(gradient(start + step * e) - gradient(start - step * e)) / (2 * step) for e in torch.eye(len(start), dtype=start.dtype)]
    h = torch.stack(columns)
    return (h + h.T) / 2
