from __future__ import annotations

from collections.abc import Iterator

import torch

import strobe
from strobe import Analyzer, Weights, dim, hookimpl, maths, metric


class WeightNorms(Analyzer):
    """How large each parameter is: Frobenius norm, spectral norm and largest absolute value, biases included.

    The sum of squares of a model, as the progress-measures paper reports it, is the sum of `frobenius`^2 over its parameters.
    Cost: no forward; one symmetric eigenproblem of the smaller side per matrix (about 15 ms per p=113 checkpoint).
    """

    parameters: str = "*"

    class Row(strobe.Row):
        parameter: str = dim("canonical parameter name")
        frobenius: float | None = metric("root of the sum of squares of all entries; null when one is not finite", unit="1")
        spectral: float | None = metric("largest singular value, per-head tensors with their heads side by side; of a vector its 2-norm", unit="1")
        max_abs: float | None = metric("largest absolute entry", unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        matrices = dict(weights.matrices(self.parameters))
        for name in weights.named(self.parameters):
            tensor = weights[name]
            if tensor.numel():
                yield self._row(name, matrices.get(name, tensor.reshape(1, -1)))

    def _row(self, name: str, matrix: torch.Tensor) -> Row:
        x = matrix.double()
        if not x.isfinite().all():
            return self.Row(parameter=name, frobenius=None, spectral=None, max_abs=None)
        frobenius = torch.linalg.vector_norm(x).item()
        return self.Row(parameter=name, frobenius=frobenius, spectral=maths.spectral_norm(x), max_abs=x.abs().max().item())
