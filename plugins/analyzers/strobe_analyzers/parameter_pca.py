"""How the rows of a weight matrix lie, at each step on axes of its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from pydantic import Field

import strobe
from strobe import Analyzer, Weights, array, dim, hookimpl, metric

DRAWN = ("first", "second", "third")
"""Components whose coordinates are stored."""


class ParameterPca(Analyzer):
    """Principal components of the rows of a weight matrix, fitted at each checkpoint: tokens of W_E, residual directions of W_in, neurons of W_out.

    Rows [n, d] are points, centred; exact, by SVD in float64. The largest |loading| of a component is positive, so signs are reproducible, but axes
    turn and swap freely from one step to the next: compare shares over steps, not coordinates (parameter_trajectory has one basis for all steps).
    A circle of residues appears as two equal shares. Attention heads lie side by side. Null shares for a matrix whose rows are all alike or not
    finite. Cost at p=113: no forward; 20 ms, 17 KB.
    """

    parameters: tuple[str, ...] = ("embed.W_E", "unembed.W_U", "blocks.*.mlp.W_in", "blocks.*.mlp.W_out")
    components: int = Field(10, ge=1)

    class Row(strobe.Row):
        parameter: str = dim("canonical parameter name")
        points: int = metric("rows of the matrix", unit="1")
        total_variance: float | None = metric("sum of the variances of all columns", unit="1")
        first_share: float | None = metric("share of variance on the first component, 0..1", unit="1")
        second_over_first: float | None = metric("second share over the first: 1 for a circle, 0 for a line", unit="1")
        shares: np.ndarray | None = array("share of variance per component", dims=["component"], dtype="float64", unit="1")
        first: np.ndarray | None = array("position of each row on the first component", dims=["row"], unit="1")
        second: np.ndarray | None = array("on the second; zeros where there is none", dims=["row"], unit="1")
        third: np.ndarray | None = array("on the third; zeros where there is none", dims=["row"], unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        for pattern in self.parameters:
            for name, matrix in weights.matrices(pattern):
                yield self._row(name, matrix)

    def _row(self, name: str, matrix: torch.Tensor) -> Row:
        x = matrix.double()
        x = x - x.mean(0)
        nothing = dict.fromkeys(("total_variance", "first_share", "second_over_first", "shares", *DRAWN))
        if not x.isfinite().all() or not len(x):
            return self.Row(parameter=name, points=len(x), **nothing)
        u, s, v = torch.linalg.svd(x, full_matrices=False)
        total = float((s**2).sum())
        if total <= 0:
            return self.Row(parameter=name, points=len(x), **{**nothing, "total_variance": 0.0})
        signs = torch.where(v.gather(1, v.abs().argmax(1, keepdim=True)) < 0, -1.0, 1.0)[:, 0]
        placed = torch.nn.functional.pad(u * s * signs, (0, len(DRAWN))).float().numpy()
        shares = (s**2 / total).numpy()
        return self.Row(
            parameter=name,
            points=len(x),
            total_variance=total / len(x),
            first_share=float(shares[0]),
            second_over_first=float(shares[1] / shares[0]) if len(shares) > 1 else None,
            shares=shares[: self.components],
            **{which: placed[:, i] for i, which in enumerate(DRAWN)},
        )
