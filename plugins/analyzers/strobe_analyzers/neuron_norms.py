"""How large the weights of each neuron are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

import strobe
from strobe import Analyzer, Weights, array, dim, hookimpl, metric


class NeuronNorms(Analyzer):
    """Per neuron and layer: 2-norm of the weights that it reads with, times that of those it writes with.

    `norms` = |W_in[:, i]| |W_out[i, :]|, biases left out: what the neuron can add to the stream, up to its nonlinearity. A ReLU neuron whose input
    weights are halved and output weights doubled computes the same and has the same product, which neither norm alone has. 0 for one that weight
    decay has taken away. Where neurons write straight to the classes, W_out is W_U. A gated layer has no row; weights that are not finite give a
    null. Cost: no forward; two sums of squares, below 1 ms at 512 neurons.
    """

    class Row(strobe.Row):
        layer: int = dim("layer")
        total: float | None = metric("sum of the products over the neurons; null when a weight is not finite", unit="1")
        norms: np.ndarray | None = array("norm of a neuron's input weights times that of its output weights", dims=["neuron"], unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        layers = weights.named("blocks.*.mlp.W_in")
        for name in layers:
            out = _written(weights, name, last=name == layers[-1])
            if out and weights[name].shape[-1] == weights[out].shape[0]:
                norms = torch.linalg.vector_norm(weights[name].double(), dim=0) * torch.linalg.vector_norm(weights[out].double(), dim=1)
                yield self._row(int(name.split(".")[1]), norms)

    def _row(self, layer: int, norms: torch.Tensor) -> Row:
        if not norms.isfinite().all():
            return self.Row(layer=layer, total=None, norms=None)
        return self.Row(layer=layer, total=norms.sum().item(), norms=norms.float().numpy())


def _written(weights: Weights, name: str, *, last: bool) -> str:
    """The matrix that the neurons of a W_in write with: W_out, or in the last layer the unembedding where they write straight to the classes."""
    out, gate = (name.replace("W_in", other) for other in ("W_out", "W_gate"))
    direct = "unembed.W_U" if last and "unembed.W_U" in weights else ""
    return "" if gate in weights else out if out in weights else direct
