"""Exact principal components of a path through weight space, from the inner products of its points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import torch

Weighting = Literal["equal", "gap"]
BLOCK = 1 << 15
"""Parameters taken to float64 at once: 43 checkpoints of them are 11 MB."""


class Gram(NamedTuple):
    """Inner products between checkpoints of one parameter, less its mean; `finite` says at which checkpoints it is, the others are zero."""

    products: torch.Tensor  # [checkpoint, checkpoint] float64
    finite: torch.Tensor  # [checkpoint] bool


class Basis(NamedTuple):
    """Principal components of one group.

    `axes` [checkpoint, component]: component c is the sum over checkpoints of axes[:, c] times the parameters there; a unit vector.
    `coordinates` [checkpoint, component]; `shares` of the (weighted) variance, None for a group that never moves; `finite` [checkpoint].
    """

    axes: torch.Tensor
    coordinates: torch.Tensor
    shares: list[float | None]
    finite: torch.Tensor


def blocks(rows: torch.Tensor, finite: torch.Tensor, size: int = BLOCK) -> Iterator[torch.Tensor]:
    """The rows [checkpoint, parameters] in float64, some columns at a time, less their mean over the finite rows; the other rows are zero."""
    keep = finite[:, None]
    for block in rows.split(size, dim=1):
        x = torch.where(keep, block.double(), 0.0)
        yield torch.where(keep, x - x.sum(0) / finite.sum().clamp(min=1), 0.0)


def gram(rows: torch.Tensor, size: int = BLOCK) -> Gram:
    """Inner products of the rows [checkpoint, parameters], centred over those that are finite."""
    finite = rows.isfinite().all(dim=1)
    products = torch.zeros(len(rows), len(rows), dtype=torch.float64)
    for block in blocks(rows, finite, size):
        products = products + block @ block.T
    return Gram(products, finite)


def together(grams: Sequence[Gram]) -> Gram:
    """The Gram matrix of a group from those of its parameters: only checkpoints at which all are finite, centred over these."""
    finite = torch.stack([g.finite for g in grams]).all(dim=0)
    keep = finite.double()
    centring = torch.diag(keep) - torch.outer(keep, keep) / max(int(finite.sum()), 1)
    return Gram(centring @ torch.stack([g.products for g in grams]).sum(0) @ centring, finite)


def gap_weights(steps: Sequence[int], finite: torch.Tensor) -> torch.Tensor:
    """Trapezoid half-gaps of the finite checkpoints, float64 [checkpoint], adding up to 1: what each stands for of the time of training.

    Points of no time of their own (one checkpoint, or all at one step) weigh the same.
    """
    held = torch.tensor(steps, dtype=torch.float64)[finite]
    gaps = held.diff()
    half = torch.cat([gaps.new_zeros(1), gaps]) / 2 + torch.cat([gaps, gaps.new_zeros(1)]) / 2 if len(held) else held
    weights = torch.zeros(len(finite), dtype=torch.float64)
    weights[finite] = half / half.sum() if len(held) and half.sum() > 0 else 1 / max(len(held), 1)
    return weights


def even_weights(finite: torch.Tensor) -> torch.Tensor:
    """The same weight for every finite checkpoint, adding up to 1."""
    return finite.double() / max(int(finite.sum()), 1)


def weights_of(weighting: Weighting, steps: Sequence[int], finite: torch.Tensor) -> torch.Tensor:
    return gap_weights(steps, finite) if weighting == "gap" else even_weights(finite)


def basis(found: Gram, components: int, weights: torch.Tensor | None = None) -> Basis:
    """Exact PCA through the Gram matrix. With `weights` [checkpoint] the mean and the variance are weighted; coordinates are of every finite point.

    Of n points at most n - 1 components are kept. Signs are those of the eigensolver: see `signed` and `turned`.
    """
    finite, n = found.finite, int(found.finite.sum())
    w = even_weights(finite) if weights is None else weights
    keep = finite.double()
    centring = torch.diag(keep) - torch.outer(keep, w)  # rows less the weighted mean
    products = centring @ found.products @ centring.T
    root = w.sqrt()
    variances, vectors = torch.linalg.eigh(root[:, None] * products * root)
    variances, vectors = variances.flip(0).clamp(min=0), vectors.flip(1)
    kept = max(0, min(components, n - 1))  # n points span n - 1 dimensions
    total = variances.sum()
    shares: list[float | None] = [float(v / total) for v in variances[:kept]] if total > 0 else [None] * kept
    scale = variances[:kept].sqrt()
    known = scale > 1e-12 * scale[:1].clamp(min=1e-300) if kept else scale > 0
    axes = root[:, None] * vectors[:, :kept] / torch.where(known, scale, torch.inf)
    return Basis(centring.T @ axes, products @ axes, shares, finite)


def turned(b: Basis, signs: torch.Tensor) -> Basis:
    return b._replace(axes=b.axes * signs, coordinates=b.coordinates * signs)


def signed(stacked: Mapping[str, torch.Tensor] | Iterator[tuple[str, torch.Tensor]], members: Mapping[str, list[str]], bases: Mapping[str, Basis],
           size: int = BLOCK) -> dict[str, Basis]:  # fmt: skip
    """The bases with each component turned so that its largest |loading| is positive: an eigenvector alone has no sign.

    `stacked`: each parameter with its rows [checkpoint, size], one at a time.
    """
    extremes = {group: b.axes.new_zeros(b.axes.shape[1]) for group, b in bases.items()}
    for name, rows in stacked.items() if isinstance(stacked, Mapping) else stacked:
        for block in blocks(rows, rows.isfinite().all(dim=1), size):
            for group in (group for group, names in members.items() if name in names):
                extremes[group] = _larger(extremes[group], block.T @ bases[group].axes)
    signs = {group: torch.where(extreme < 0, -1.0, 1.0).double() for group, extreme in extremes.items()}
    return {group: turned(b, signs[group]) for group, b in bases.items()}


def _larger(extreme: torch.Tensor, loadings: torch.Tensor) -> torch.Tensor:
    """Per component, the loading of largest magnitude so far: [component] from [parameters, component]."""
    found = loadings.gather(0, loadings.abs().argmax(dim=0, keepdim=True))[0]
    return torch.where(found.abs() > extreme.abs(), found, extreme)
