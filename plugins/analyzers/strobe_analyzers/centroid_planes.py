"""Circle or line: the classes seen in the plane of one frequency."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd
import torch

import strobe
from strobe import Analyzer, Results, array, dim, hookimpl, maths, metric


class CentroidPlanes(Analyzer):
    """The class centroids projected on the plane of each key frequency, at every step and site of `centroids`.

    For centroids mu [p, d] and a frequency k the plane is spanned by the two rows of F_k mu (cos and sin over the classes), fitted anew at each step.
    Coordinates are turned so that a perfect circle puts class r at the angle 2 pi k r / p: with F_k mu = U S V^T they are mu V U^T. So nothing jumps
    between steps, a line stays a line, and what lies off the ellipse of frequency k is leakage of others into its plane.
    `share` of the centroids' variance at k (below 0.5 % the picture is noise), `axis_ratio` 1 for a circle and 0 for a line.
    Cost: no forward, 1 ms per step and site. Derived from `centroids` and `key_frequencies`.
    """

    consumes = ("centroids", "key_frequencies")
    families = ("modular_addition",)

    keys: Literal["union", "last"] = "union"
    """Frequencies that get a plane: every one that was ever a key, or the keys of the last step."""

    class Row(strobe.Row):
        step: int = dim("step of the checkpoint")
        layer: int = dim("layer")
        site: str = dim("where in the block")
        frequency: int = dim("frequency whose plane it is")
        share: float | None = metric("share of the centroids' variance at this frequency", unit="1")
        axis_ratio: float | None = metric("s2/s1 of the centroids' part at this frequency: 1 circle, 0 line", unit="1")
        coordinates: np.ndarray = array("place of each class in the plane", dims=["class", "axis"], unit="activation")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        keys = _members(results["key_frequencies"], self.keys)
        for row in results["centroids"].itertuples():
            mu = centroids_of(row)
            if mu is None:
                continue
            total = float((mu**2).sum())
            for k in keys:
                coordinates, part, ratio = plane(mu, k)
                share = part / total if total else None
                where = {"step": int(row.step), "layer": int(row.layer), "site": row.site, "frequency": k}
                yield self.Row(**where, share=share, axis_ratio=ratio, coordinates=coordinates.float().numpy())


def _members(table: pd.DataFrame, name: str) -> list[int]:
    sets = [s for s in table.loc[table["set"] == name, "frequencies"] if s is not None]
    return sorted({int(k) for s in sets for k in s})


def centroids_of(row: object) -> torch.Tensor | None:
    """Centroids of a stored row, in units of the activation: float64 [class, feature]; None for a site without."""
    stored, scale = getattr(row, "centroids", None), getattr(row, "scale", None)
    if stored is None or pd.isna(scale):
        return None
    return torch.from_numpy(np.asarray(stored, np.float64)) * float(scale)


def plane(centroids: torch.Tensor, k: int) -> tuple[torch.Tensor, float, float | None]:
    """Coordinates [p, 2] in the plane of frequency k, power at k, and axis ratio, of centred centroids [p, d]."""
    p, d = centroids.shape
    waves = maths.fourier_basis(p)[maths.rows_of(p, [k])] @ centroids  # [2, d]; [1, d] for k = p/2
    if len(waves) == 1 or d == 1:
        waves = torch.nn.functional.pad(waves, (0, max(0, 2 - d), 0, 2 - len(waves)))
    u, s, vt = torch.linalg.svd(waves, full_matrices=False)
    coordinates = torch.nn.functional.pad(centroids, (0, max(0, 2 - d))) @ vt.T @ u.T
    return coordinates, float((s**2).sum()), float(s[1] / s[0]) if s[0] > 0 else None
