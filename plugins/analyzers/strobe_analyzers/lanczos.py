"""Lanczos on Hessian-vector products: extreme eigenvalues and the spectral density, for the analyzers of the loss landscape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Vector = Mapping[str, Tensor]
BREAKDOWN = 1e-6
"""Of the largest coefficient so far: where the next off-diagonal falls below it, the start vector lies in the subspace already found."""


class Space:
    """Between name -> tensor and one float64 vector, over the parameters that can be differentiated."""

    def __init__(self, weights: Vector) -> None:
        self._weights = {n: w for n, w in weights.items() if w.is_floating_point()}
        self._whole = weights
        self.size = sum(w.numel() for w in self._weights.values())

    def flat(self, vector: Vector) -> Tensor:
        return torch.cat([vector[n].detach().double().flatten() for n in self._weights])

    def named(self, flat: Tensor) -> dict[str, Tensor]:
        parts = torch.split(flat, [w.numel() for w in self._weights.values()])
        mine = {n: x.view(w.shape).to(w.dtype) for (n, w), x in zip(self._weights.items(), parts, strict=True)}
        return {n: mine.get(n, torch.zeros_like(w)) for n, w in self._whole.items()}

    def operator(self, product: Callable[[Vector], Vector]) -> Callable[[Tensor], Tensor]:
        """A product of named tensors as one of vectors."""
        return lambda v: self.flat(product(self.named(v)))

    def rademacher(self, generator: torch.Generator) -> Tensor:
        """A vector of independent signs, float64 [size]."""
        return torch.randint(0, 2, (self.size,), generator=generator, dtype=torch.int8).double() * 2 - 1


@dataclass(frozen=True)
class Ritz:
    """What Lanczos found, all [m], eigenvalues ascending: `weights` squared first components (they add up to 1), `residuals` ||H y - theta y||,
    a bound on the distance of each to an eigenvalue of H; `rayleigh` is v^T H v of the unit start vector."""

    values: Tensor
    weights: Tensor
    residuals: Tensor
    rayleigh: float


def lanczos(apply: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> Ritz | None:
    """`steps` of Lanczos from `start`, every vector orthogonalised twice against all before (without it, copies of converged values appear).

    It stops earlier when the start vector's invariant subspace is exhausted; values are then exact, one per distinct eigenvalue. None where a
    product is not finite. Cost: one product per step; memory: one vector per step.
    """
    basis = [start / torch.linalg.vector_norm(start)]
    alphas: list[float] = []
    betas: list[float] = []
    for _ in range(min(steps, len(start))):
        w = apply(basis[-1])
        if not bool(w.isfinite().all()):
            return None
        alphas.append(float(basis[-1] @ w))
        known = torch.stack(basis)
        for _twice in range(2):
            w = w - (w @ known.T) @ known
        betas.append(float(torch.linalg.vector_norm(w)))
        if betas[-1] <= BREAKDOWN * max(map(abs, [*alphas, *betas[:-1]])):
            break
        basis.append(w / betas[-1])
    return _ritz(torch.tensor(alphas, dtype=torch.float64), torch.tensor(betas, dtype=torch.float64))


def _ritz(alphas: Tensor, betas: Tensor) -> Ritz:
    off = torch.diag(betas[:-1], 1)
    values, vectors = torch.linalg.eigh(torch.diag(alphas) + off + off.T)
    return Ritz(values, vectors[0] ** 2, betas[-1] * vectors[-1].abs(), float(alphas[0]))
