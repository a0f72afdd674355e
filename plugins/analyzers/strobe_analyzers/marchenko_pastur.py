from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch

import strobe
from strobe import Analyzer, Weights, dim, hookimpl, maths, metric


class MarchenkoPastur(Analyzer):
    """How many directions of a weight matrix stick out of what noise of its size would have: eigenvalues above the Marchenko-Pastur edge.

    For W of N x M, N >= M: lambda = eig(W^T W / N), Q = N/M, and the spectrum of noise with standard deviation s ends at (s (1 + 1/sqrt(Q)))^2.
    s is fitted to the bulk: the median of lambda over the median of the law at s = 1, which a few spikes hardly move (Gavish & Donoho 2014,
    section III.D). 0 spikes: nothing but noise; M: none of it is. The largest eigenvalue of pure noise lies above the edge one time in six, so a
    single spike with `largest_over_edge` near 1 is no finding.
    Needs many eigenvalues, so matrices narrower than `min_width` have nulls and a `reason`: lower it to have them looked at all the same.
    Cost: nothing for narrow matrices; else one symmetric eigenproblem of the smaller side: 10 ms for 256 x 1024.
    Source: Marchenko & Pastur 1967; on weight matrices Martin & Mahoney 2021 (1810.01075).
    """

    parameters: str = "*"
    min_width: int = 256

    class Row(strobe.Row):
        parameter: str = dim("canonical parameter name")
        spikes: int | None = metric("eigenvalues above the edge, 0 to the width", unit="1")
        edge: float | None = metric("upper end of the spectrum of noise, as an eigenvalue of W^T W / N", unit="1")
        noise: float | None = metric("standard deviation of an entry of that noise", unit="1")
        largest_over_edge: float | None = metric("largest eigenvalue over the edge: 1 for noise, more for a direction that sticks out", unit="1")
        spike_share: float | None = metric("share of the sum of squares that the spikes hold, 0..1", unit="1")
        reason: str | None = dim("why there is no edge; null when there is one")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        for name, matrix in weights.matrices(self.parameters):
            width = min(matrix.shape)
            if width < self.min_width:
                yield self._none(name, f"{width} wide, narrower than min_width={self.min_width}")
            else:
                yield self._row(name, maths.singular_values(matrix), max(matrix.shape))

    def _row(self, name: str, s: torch.Tensor, longest: int) -> Row:
        if not s.isfinite().all():
            return self._none(name, "weights are not finite")
        values = (s**2 / longest).numpy()  # descending
        ratio = len(values) / longest  # 1 / Q
        noise = (float(np.median(values)) / median(ratio)) ** 0.5
        edge = (noise * (1 + ratio**0.5)) ** 2
        if not edge > np.finfo(float).eps * values[0]:
            return self._none(name, "half of the eigenvalues or more are zero: there is no bulk to fit")
        spikes = int((values > edge).sum())
        share = float(values[:spikes].sum() / values.sum())
        return self.Row(
            parameter=name, spikes=spikes, edge=edge, noise=noise, largest_over_edge=float(values[0] / edge), spike_share=share, reason=None
        )

    def _none(self, name: str, reason: str) -> Row:
        empty = dict.fromkeys(set(self.Row.model_fields) - {"parameter", "reason"})
        return self.Row(parameter=name, reason=reason, **empty)  # type: ignore[arg-type]


@cache
def median(ratio: float) -> float:
    """Median of the Marchenko-Pastur law with variance 1 and aspect ratio M/N in (0, 1], to 1e-6.

    Density sqrt((b - x)(x - a)) / (2 pi ratio x) on a, b = (1 -+ sqrt(ratio))^2. With x = 1 + ratio + 2 sqrt(ratio) cos t the mass of dt is
    2 sin^2 t / (pi x), smooth; summed at midpoints from the upper end.
    """
    n = 20_000
    t = (np.arange(n) + 0.5) * np.pi / n
    mass = np.cumsum(2 * np.sin(t) ** 2 / (np.pi * (1 + ratio + 2 * ratio**0.5 * np.cos(t))) * (np.pi / n))
    half = float(np.interp(0.5 * mass[-1], mass, t + np.pi / (2 * n)))  # mass[i] ends at t[i] + half a step
    return 1 + ratio + 2 * ratio**0.5 * float(np.cos(half))
