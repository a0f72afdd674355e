from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

import strobe
from strobe import Analyzer, Weights, dim, hookimpl, maths, metric


class PowerlawAlpha(Analyzer):
    """How heavy the tail of a weight matrix's spectrum is: the exponent alpha of a power law p(x) ~ x^-alpha fitted to lambda = sigma^2.

    With lambda ascending and each lambda_i tried as x_min: n = values from i on, alpha = 1 + n / sum ln(lambda_j / x_min), and
    D = max_j |1 - (lambda_j / x_min)^(1 - alpha) - (j - i)/n|; the x_min of least D (Kolmogorov-Smirnov distance) is kept. From 1 up: above 6
    is called under-trained (the tail of a random matrix), 2 to 6 well trained, below 2 over-trained (WeightWatcher's words and thresholds).
    Means nothing for few eigenvalues, so matrices narrower than `min_width` have nulls and a `reason`: lower it to have them fitted all the same.
    One large eigenvalue can halve alpha, so read it beside `tail` and `distance`. Zero eigenvalues (below rounding) are left out.
    Cost: nothing for narrow matrices; else one symmetric eigenproblem and O(width^2): 12 ms for 256 x 1024.
    Source: Clauset, Shalizi, Newman 2009 (0706.1062), section 3; Martin, Peng, Mahoney 2021 (2002.06716).
    """

    parameters: str = "*"
    min_width: int = 256

    class Row(strobe.Row):
        parameter: str = dim("canonical parameter name")
        alpha: float | None = metric("exponent of the power law, 1 and up", unit="1")
        standard_error: float | None = metric("(alpha - 1) / sqrt(tail)", unit="1")
        x_min: float | None = metric("smallest eigenvalue sigma^2 of the tail", unit="1")
        tail: int | None = metric("eigenvalues in the tail", unit="1")
        distance: float | None = metric("Kolmogorov-Smirnov distance of the tail from its power law, 0 (exact) to 1", unit="1")
        alpha_weighted: float | None = metric("alpha log10 of the largest eigenvalue", unit="1")
        log_alpha_norm: float | None = metric("log10 of the sum of lambda^alpha over all eigenvalues", unit="1")
        reason: str | None = dim("why there is no fit; null when there is one")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        for name, matrix in weights.matrices(self.parameters):
            width = min(matrix.shape)
            if width < self.min_width:
                yield self._none(name, f"{width} wide, narrower than min_width={self.min_width}")
            else:
                yield self._fitted(name, maths.singular_values(matrix), max(matrix.shape))

    def _fitted(self, name: str, s: torch.Tensor, longest: int) -> Row:
        if not s.isfinite().all():
            return self._none(name, "weights are not finite")
        values = (s[s > s.max() * longest * torch.finfo(s.dtype).eps] ** 2).numpy()
        fit = fit_power_law(values)
        if fit is None:
            return self._none(name, f"{len(values)} eigenvalues above rounding, without two different ones")
        largest = float(values.max())
        return self.Row(
            parameter=name,
            alpha=fit.alpha,
            standard_error=(fit.alpha - 1) / fit.tail**0.5,
            x_min=fit.x_min,
            tail=fit.tail,
            distance=fit.distance,
            alpha_weighted=fit.alpha * float(np.log10(largest)),
            log_alpha_norm=fit.alpha * float(np.log10(largest)) + float(np.log10(((values / largest) ** fit.alpha).sum())),  # no overflow
            reason=None,
        )

    def _none(self, name: str, reason: str) -> Row:
        empty = dict.fromkeys(set(self.Row.model_fields) - {"parameter", "reason"})
        return self.Row(parameter=name, reason=reason, **empty)  # type: ignore[arg-type]


class Fit(NamedTuple):
    """A power law fitted to the values from `x_min` up."""

    alpha: float
    x_min: float
    tail: int
    distance: float


def fit_power_law(values: np.ndarray) -> Fit | None:
    """The power law of least Kolmogorov-Smirnov distance over all choices of x_min among the values > 0; None without two different values."""
    x = np.sort(values)
    logs = np.log(x)
    fits = [_tail_fit(logs[i:], x[i]) for i in range(len(x) - 1) if logs[-1] > logs[i]]
    return min(fits, key=lambda fit: fit.distance, default=None)


def _tail_fit(logs: np.ndarray, x_min: float) -> Fit:
    """Maximum likelihood of the exponent for one tail, its logarithms ascending."""
    n, above = len(logs), logs - logs[0]
    slope = n / above.sum()  # alpha - 1
    distance = np.abs(1 - np.exp(-slope * above) - np.arange(n) / n).max()
    return Fit(1 + float(slope), float(x_min), n, float(distance))
