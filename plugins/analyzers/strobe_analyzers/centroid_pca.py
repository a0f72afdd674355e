"""The class centroids on their principal components, per step and in one frame for all steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field

import strobe
from strobe import Analyzer, Results, array, dim, hookimpl

from .centroid_planes import centroids_of
from .representation_geometry import principal


class CentroidPca(Analyzer):
    """The class centroids mu [p, d] on their leading principal components, at every step and site of `centroids`.

    Frame `own`: the components of that step's centroids alone, so axes turn from step to step. Frame `shared`: the components of all steps' centroids
    together (leading eigenvectors of sum_t mu_t^T mu_t, in units of the activation, so late steps weigh most; `weighting="unit"` scales every step to
    spread 1 first), so points of different steps may be joined; the frame is that of the steps there are, and moves when some are added.
    `shares` of that step's centroid variance per component: in the own frame descending, and near (1/2, 1/2, 0, ..) for one circle.
    Signs: own, the largest coordinate of each component is positive; shared, its largest loading. Values carry float16's 3 digits of `centroids`.
    Cost: no forward, 1 ms per step and site, memory of one step and a d x d matrix.
    """

    consumes = "centroids"
    families = ("modular_addition",)

    components: int = Field(3, ge=1, le=10)
    weighting: Literal["raw", "unit"] = "raw"

    class Row(strobe.Row):
        step: int = dim("step of the checkpoint")
        layer: int = dim("layer")
        site: str = dim("where in the block")
        frame: str = dim("own: components of this step; shared: of all steps together")
        shares: np.ndarray = array("share of this step's centroid variance, first ten components", dims=["component"], dtype="float64", unit="1")
        coordinates: np.ndarray = array("place of each class on the leading components", dims=["class", "component"], unit="activation")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        for (layer, site), rows in results["centroids"].groupby(["layer", "site"], sort=True):
            frame = self._shared(rows)
            for row in rows.sort_values("step").itertuples():
                mu = centroids_of(row)
                if mu is not None and bool((mu != 0).any()):
                    where = {"step": int(row.step), "layer": int(layer), "site": str(site)}
                    yield self._own(where, mu)
                    yield self._in(frame, where, mu)

    def _own(self, where: dict[str, object], mu: torch.Tensor) -> Row:
        shares, coordinates = principal(mu, 10)
        return self.Row(**where, frame="own", shares=shares.numpy(), coordinates=coordinates[:, : self.components].float().numpy())

    def _in(self, frame: torch.Tensor, where: dict[str, object], mu: torch.Tensor) -> Row:
        coordinates = mu @ frame  # [p, 10]
        shares = (coordinates**2).sum(0) / (mu**2).sum()
        return self.Row(**where, frame="shared", shares=shares.numpy(), coordinates=coordinates[:, : self.components].float().numpy())

    def _shared(self, rows: pd.DataFrame) -> torch.Tensor:
        """Leading directions of all steps together, [d, 10]; zero columns beyond the width of the stream."""
        scatter = torch.zeros(1, 1, dtype=torch.float64)
        for row in rows.itertuples():
            mu = centroids_of(row)
            if mu is not None and (norm := (mu**2).sum()) > 0:
                scatter = scatter + mu.T @ mu / (norm if self.weighting == "unit" else 1.0)
        vectors = torch.linalg.eigh(scatter).eigenvectors.flip(1)[:, :10]
        largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
        return torch.nn.functional.pad(vectors * torch.where(largest < 0, -1.0, 1.0), (0, 10 - vectors.shape[1]))
