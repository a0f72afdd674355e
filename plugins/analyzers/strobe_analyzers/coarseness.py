"""Whether a neuron or head follows slow or fast changes of its operands."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import torch
from pydantic import Field

import strobe
from strobe import Activations, Analyzer, Attention, Last, Probe, dim, hookimpl, maths, metric

ROWS = 8
"""Rows of the map that are differenced at a time: they fit the cache."""


class Coarseness(Analyzer):
    """Three measures of how coarse each neuron's and head's map X over (a, b) is, p x p; a head's is the weight from '=' to a.

    `low_frequency_energy`: power of the centred 2-D Fourier transform within `radius` cycles per sample of the origin (p/8 bins), over all of it
    without the origin: 1 for a blob, 0 for stripes narrower than 1/radius. `variance_preserved`: var(up(down(X))) / var(X), down to `points` x
    `points` by antialiased bilinear resampling and back up: 1 for what that many points can show, 0 for what averages away.
    `gradient`: (mean |X[:, 1:] - X[:, :-1]| + mean |X[1:] - X[:-1]|) / 2, in units of the map; over its standard deviation it compares maps of any
    scale: 1.128 for white noise, 1.8 sin(pi k / p) for cos(w_k (a + b)). Shares and ratios are null for constant maps.

    No transform of 512 maps is made: the disc holds 29 x 29 real Fourier coefficients and the resampling is separable, so one matrix product from
    each side gives both. Cost at p=113, 512 neurons and 4 heads: 45 ms.
    """

    sites = {"blocks.*.mlp.post": Last(), "blocks.*.attn.pattern": Last()}
    families = ("modular_addition",)

    radius: float = Field(0.125, gt=0, le=0.5)
    points: int = Field(14, ge=2)

    class Row(strobe.Row):
        layer: int = dim("layer")
        kind: str = dim("neuron, or head for its map '= -> a'")
        neuron: int | None = dim("neuron; null for heads")
        head: int | None = dim("head; null for neurons")
        low_frequency_energy: float | None = metric("share of the map's variance at wavelengths above 1/radius; null when it is constant", unit="1")
        variance_preserved: float | None = metric("share of its variance left after resampling to points x points and back", unit="1")
        gradient: float | None = metric("mean absolute difference of neighbouring cells, in units of the map", unit="activation")
        gradient_over_std: float | None = metric("the same over the map's standard deviation", unit="1")
        std: float | None = metric("standard deviation of the map: its scale", unit="activation")

    @hookimpl
    def analyze_attention(self, attention: Attention, activations: Activations, probe: Probe) -> Iterator[Row]:
        p = maths.grid_modulus(probe.inputs)
        for site, h in activations.items():  # [p*p, d_mlp]
            if site.endswith("mlp.post"):
                yield from self._rows(int(site.split(".")[1]), "neuron", h, p)
        for layer, pattern in attention.items():
            yield from self._rows(layer, "head", pattern[:, :, -1, 0], p)

    def _rows(self, layer: int, kind: str, values: torch.Tensor, p: int) -> Iterator[Row]:
        measured = measure(values, p, self.radius, min(self.points, p))
        for i, numbers in enumerate(zip(*(column.tolist() for column in measured), strict=True)):
            unit = {"neuron": i if kind == "neuron" else None, "head": i if kind == "head" else None}
            known = {name: number if math.isfinite(number) else None for name, number in zip(Measured._fields, numbers, strict=True)}
            yield self.Row(layer=layer, kind=kind, **unit, **known)


class Measured(NamedTuple):
    """One number per map, float64 [n]; NaN where it is undefined."""

    low_frequency_energy: torch.Tensor
    variance_preserved: torch.Tensor
    gradient: torch.Tensor
    gradient_over_std: torch.Tensor
    std: torch.Tensor


def measure(values: torch.Tensor, p: int, radius: float, points: int) -> Measured:
    """The three measures of each column of values [p*p, n]."""
    x = (values - values.mean(0)).float().reshape(p, p, -1)  # [a, b, n], as the pass laid it out: transposing 512 maps costs more than the rest
    low, kept = _low_and_kept(x, radius, points)
    power, gradient = _power_and_gradient(x)
    constant = maths.is_constant(values)
    power = power.masked_fill(constant, torch.nan)
    std = (power / p**2).sqrt()
    return Measured((low / power).clamp(max=1), kept / power, gradient, gradient / std, torch.where(constant, gradient * 0, std))


def _low_and_kept(x: torch.Tensor, radius: float, points: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Power inside the disc, and sum of squares after resampling down and up again, of centred maps [p, p, n]: float64 [n] each."""
    p, _, n = x.shape
    waves, inside = _disc(p, radius)
    down, gram, total = _resampling(p, points)
    rows = (torch.cat([waves, down]) @ x.reshape(p, -1)).reshape(-1, p, n)  # [wave or point, b, n]
    coefficients = waves @ rows[: len(waves)]  # [wave of a, wave of b, n]
    small = (down @ rows[len(waves) :]).permute(2, 0, 1)  # [n, points, points]
    squares = ((gram @ small @ gram) * small).double().sum((1, 2))  # of the enlarged map, without enlarging it
    mean = (total @ small @ total).double() / p**2
    return (coefficients**2 * inside[..., None]).double().sum((0, 1)), squares - p**2 * mean**2


def _power_and_gradient(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of squares, and mean absolute difference between neighbours, of maps [p, p, n]: float64 [n] each."""
    p = len(x)
    power, differences = (torch.zeros(x.shape[2], dtype=torch.float64) for _ in range(2))
    for start in range(0, p, ROWS):
        block, further = x[start : start + ROWS], x[start : start + ROWS + 1]
        power += (block * block).sum((0, 1))
        differences += (block[:, 1:] - block[:, :-1]).abs_().sum((0, 1)) + (further[1:] - further[:-1]).abs_().sum((0, 1))
    return power, differences / (2 * p * (p - 1))


@cache
def _disc(p: int, radius: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Fourier rows that reach into the disc, float32 [wave, p], and which pairs of them lie in it, the origin left out."""
    frequencies = torch.tensor([row.frequency for row in maths.fourier_rows(p)])
    near = frequencies <= radius * p
    k = frequencies[near]
    squared = k[:, None] ** 2 + k**2
    return maths.fourier_basis(p)[near].float(), (squared <= (radius * p) ** 2) & (squared > 0)


@cache
def _resampling(p: int, points: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Down [points, p]; and of up [p, points]: its Gram matrix, and its column sums."""
    down = torch.nn.functional.interpolate(torch.eye(p)[None, None], (points, p), mode="bilinear", antialias=True)[0, 0]
    up = torch.nn.functional.interpolate(torch.eye(points)[None, None], (p, points), mode="bilinear")[0, 0]
    return down, up.T @ up, up.sum(0)
