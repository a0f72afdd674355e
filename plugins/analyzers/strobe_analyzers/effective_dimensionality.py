from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

import strobe
from strobe import Analyzer, Weights, array, dim, hookimpl, maths, metric


class EffectiveDimensionality(Analyzer):
    """How many directions each weight matrix really uses: participation ratios, stable and effective rank, and all singular values.

    One row per matrix as stored (so `embed.W_E` with its "=" row), and one per head of W_Q, W_K, W_V, W_O. Biases are left out.
    Every ratio is 1 when one direction carries everything and the rank when all directions are alike. A matrix with NaN or infinity
    has null ratios and an empty spectrum; so has a zero matrix null ratios, for which they are undefined.
    Cost: no forward; one symmetric eigenproblem of the smaller side per matrix and head, an SVD where that loses precision.
    """

    parameters: str = "*"

    class Row(strobe.Row):
        parameter: str = dim("canonical parameter name")
        head: int | None = dim("attention head; null for the whole matrix, all heads side by side")
        participation_ratio_sigma: float | None = metric("(sum s)^2 / sum s^2 of the singular values s", unit="1")
        participation_ratio_lambda: float | None = metric("(sum s^2)^2 / sum s^4: participation ratio of the covariance spectrum", unit="1")
        stable_rank: float | None = metric("sum s^2 / s_1^2", unit="1")
        effective_rank: float | None = metric("exp of the entropy of s / sum s (Roy & Vetterli 2007)", unit="1")
        dims_90: int | None = metric("fewest singular directions that hold 90 % of sum s^2", unit="1")
        dims_99: int | None = metric("fewest singular directions that hold 99 % of sum s^2", unit="1")
        singular_values: np.ndarray = array("singular values, largest first", dims=["rank"], dtype="float64", unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        for name, matrix in weights.matrices(self.parameters):
            yield self._row(name, None, matrix)
        for name, head, matrix in weights.heads(self.parameters):
            yield self._row(name, head, matrix)

    def _row(self, name: str, head: int | None, matrix: torch.Tensor) -> Row:
        s = maths.singular_values(matrix)
        finite = bool(s.isfinite().all())
        known = finite and bool(s.sum() > 0)
        return self.Row(
            parameter=name,
            head=head,
            participation_ratio_sigma=maths.participation_ratio(s) if known else None,
            participation_ratio_lambda=maths.participation_ratio(s**2) if known else None,
            stable_rank=maths.stable_rank(s) if known else None,
            effective_rank=maths.effective_rank(s) if known else None,
            dims_90=maths.dims_holding(s, 0.90) if known else None,
            dims_99=maths.dims_holding(s, 0.99) if known else None,
            singular_values=s.numpy() if finite else np.zeros(0),
        )
