"""The path of a parameter group, rebuilt from the stored inner products of its checkpoints, and random walks to hold it against."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from .trajectory_basis import Basis, Gram, basis, gap_weights

SMALL = 4096
"""Dimension up to which random directions are drawn one by one; above, their cosines are drawn: normal with variance 1 / dimension."""


class Path(NamedTuple):
    """Checkpoints of a group with finite weights: `steps` [point] and `products` [point, point], centred."""

    group: str
    steps: np.ndarray
    products: np.ndarray
    parameters: int

    @property
    def distances(self) -> np.ndarray:
        """||theta_i - theta_j||, [point, point]."""
        square = np.diag(self.products)
        return np.sqrt(np.maximum(square[:, None] + square - 2 * self.products, 0))


def paths(table: pd.DataFrame) -> Iterator[Path]:
    """One path per group of a `checkpoint_products` table."""
    for group, rows in table.groupby("group", sort=False):
        rows = rows.sort_values("step")
        known = np.array([row is not None for row in rows["products"]])
        steps = rows["step"].to_numpy(np.int64)[known]
        products = np.array([np.asarray(row, float)[known] for row in rows["products"] if row is not None]).reshape(len(steps), len(steps))
        yield Path(str(group), steps, products, int(rows["parameters"].iloc[0]))


def components(path: Path, count: int, *, gap_weighted: bool = False) -> Basis:
    """Principal components of a path, equal weights or by step gap. Signs as the eigensolver gives them."""
    finite = torch.ones(len(path.steps), dtype=torch.bool)
    weights = gap_weights(path.steps.tolist(), finite) if gap_weighted else None
    return basis(Gram(torch.from_numpy(path.products), finite), count, weights)


def random_walk(path: Path, rng: np.random.Generator) -> Path:
    """A path with the same steps and the same distances from point to point, each in a random direction of the same space."""
    n = len(path.steps) - 1
    lengths = np.diagonal(path.distances, 1)
    if path.parameters <= SMALL:
        directions = rng.standard_normal((n, path.parameters))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        cosines = directions @ directions.T
    else:
        noise = np.triu(rng.standard_normal((n, n)), 1) / path.parameters**0.5
        cosines = np.eye(n) + noise + noise.T
    moves = lengths[:, None] * cosines * lengths
    walk = np.zeros((n + 1, n + 1))
    walk[1:, 1:] = moves.cumsum(0).cumsum(1)
    centred = walk - walk.mean(0) - walk.mean(1)[:, None] + walk.mean()
    return path._replace(products=centred)
