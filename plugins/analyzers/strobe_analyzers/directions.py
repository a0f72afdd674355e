"""Random directions in weight space, scaled filter by filter, for the analyzers of the loss landscape."""

from __future__ import annotations

from collections.abc import Mapping

import torch

PER_HEAD = ("W_Q", "W_K", "W_V", "W_O")
TABLES = ("W_E", "W_pos")
TINY = 1e-10
"""Added to the norm of a direction's filter, as in the source."""


def filter_axes(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of a parameter that make up one filter, in `x @ W` orientation; () where the parameter has none (biases, scalars).

    A matrix [in, out] has one filter per output unit: axis 0. Embeddings have one per token or position, their row: axis 1. Attention
    [head, in, out] one per head and output index: axis 1. Convolutions (out, in, k, k) one per output channel: all axes but the first.
    The published code takes "dim 0" for all, which in this orientation is the input unit.
    """
    last = name.rsplit(".", 1)[-1]
    if len(shape) < 2:
        return ()
    if len(shape) == 2:
        return (1,) if last in TABLES else (0,)
    return (1,) if len(shape) == 3 and last in PER_HEAD else tuple(range(1, len(shape)))


def filter_normalised(weights: Mapping[str, torch.Tensor], generator: torch.Generator) -> dict[str, torch.Tensor]:
    """A normal direction, each filter scaled to the norm of the weights' own: d_i <- d_i ||w_i|| / ||d_i||, so ||d|| = ||w|| apart from biases,
    which get zeros (as do integer parameters). Drawn in float32 in the order of the names, so that one seed gives one direction at any precision.

    Source: Li et al. 1712.09913, section 4; `net_plotter.py` of their code.
    """
    return {name: _scaled(name, w, generator) for name, w in weights.items()}


def _scaled(name: str, w: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    axes = filter_axes(name, tuple(w.shape))
    if not axes or not w.is_floating_point():
        return torch.zeros_like(w)
    d = torch.randn(w.shape, generator=generator).to(w.dtype)
    norms = [torch.linalg.vector_norm(x, dim=axes, keepdim=True) for x in (w, d)]
    scaled: torch.Tensor = d * (norms[0] / (norms[1] + TINY))
    return scaled


def moved(weights: Mapping[str, torch.Tensor], *terms: tuple[float, Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """w + sum of alpha d over the (alpha, d) given. Integer parameters stay."""
    return {name: _moved(w, [(alpha, d[name]) for alpha, d in terms]) for name, w in weights.items()}


def _moved(w: torch.Tensor, terms: list[tuple[float, torch.Tensor]]) -> torch.Tensor:
    for alpha, d in terms:
        w = w + alpha * d if w.is_floating_point() else w
    return w


def norm(vector: Mapping[str, torch.Tensor]) -> float:
    """2-norm over all parameters, in float64."""
    return float(sum(float((x.double() ** 2).sum()) for x in vector.values()) ** 0.5)
