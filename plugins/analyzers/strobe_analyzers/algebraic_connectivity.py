from __future__ import annotations

from collections.abc import Iterator

import torch

import strobe
from strobe import Analyzer, Weights, dim, hookimpl, maths, metric


class AlgebraicConnectivity(Analyzer):
    """How far a weight matrix is from falling apart into separate circuits: the second smallest Laplacian eigenvalue of |W| as a bipartite graph.

    Inputs and outputs are nodes, |W_ij| weighs the edge between them, and L = 1 - D^-1/2 A D^-1/2 is the normalised Laplacian. Its eigenvalues are
    1 - s and 1 + s for the singular values s of D_in^-1/2 |W| D_out^-1/2 (and 1), of which the largest is 1; so the connectivity is 1 - s_2.
    0: block-diagonal after sorting rows and columns, or a row or column of zeros; 1: |W| has rank one, as has the complete bipartite graph with
    equal weights. A Gaussian matrix of 128 x 512 has 0.90. A single edge (1 x 1) has 2. Null for a zero or non-finite matrix.
    It measures sparse wiring in the given basis, so it moves under rotations; of W_in and W_out the neuron side at least has a basis of its own.
    Cost: no forward; one symmetric eigenproblem of the smaller side per matrix: 20 ms at p=113. Source: Chung, Spectral Graph Theory, chapter 1.
    """

    parameters: str = "*"

    class Row(strobe.Row):
        parameter: str = dim("canonical parameter name")
        connectivity: float | None = metric("second smallest eigenvalue of the normalised Laplacian of |W|, 0 (in pieces) to 1 (rank one)", unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights) -> Iterator[Row]:
        for name, matrix in weights.matrices(self.parameters):
            yield self.Row(parameter=name, connectivity=connectivity(matrix))


def connectivity(matrix: torch.Tensor) -> float | None:
    """1 - s_2 of D_in^-1/2 |W| D_out^-1/2 for a matrix [n, m]; None when it is zero, empty or not finite."""
    edges = matrix.double().abs()
    inputs, outputs = edges.sum(1), edges.sum(0)
    if not matrix.numel() or not edges.isfinite().all() or not inputs.any():
        return None
    if not inputs.all() or not outputs.all():
        return 0.0  # a node without edges is a piece of its own
    if matrix.shape[0] == 1 or matrix.shape[1] == 1:
        return 1.0 if matrix.numel() > 1 else 2.0  # a star: 0, 1, ..., 1, 2
    normalised = edges / inputs.sqrt()[:, None] / outputs.sqrt()
    return max(0.0, 1.0 - float(maths.singular_values(normalised)[1]))
