"""The kinds of neurons a trained layer consists of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pydantic import Field

import strobe
from strobe import Analyzer, Results, dim, hookimpl, metric

RESTARTS, ROUNDS = 4, 100


class NeuronProfiles(Analyzer):
    """Neurons of the last checkpoint clustered by scale and frequency profile, and the neuron that stands for each cluster.

    A neuron's profile is sqrt(fractions) of `neuron_frequency` (so distances are Hellinger's, 0 to sqrt 2) and beside it `scale_weight` times log10
    of the standard deviation of its map over the layer's median (at most 3 decades down). k-means with seeded k-means++ starts, the best of 4;
    clusters are numbered by size, largest first. The representative is the member nearest to the cluster's centre. Neurons with constant activation
    are not clustered: cluster -1, for which a row says so. Fewer neurons than clusters make as many clusters as there are different neurons. Cost:
    no forward; 0.2 s once per run. Derived from `neuron_frequency` and `coarseness`. Source: Arthur & Vassilvitskii 2007 for the starts.
    """

    consumes = ("neuron_frequency", "coarseness")
    families = ("modular_addition",)

    clusters: int = Field(8, ge=1)
    scale_weight: float = Field(0.5, ge=0)
    seed: int = Field(0, ge=0)

    class Row(strobe.Row):
        step: int = dim("step of the checkpoint: the last")
        layer: int = dim("layer")
        neuron: int = dim("neuron")
        cluster: int = dim("cluster, largest first; -1 for constant neurons")
        representative: bool = dim("whether this neuron stands for its cluster")
        frequency: int | None = dim("frequency that explains most of the neuron")
        size: int = metric("neurons in the cluster", unit="neurons")
        distance: float | None = metric("distance from the cluster's centre", unit="1")
        scale: float | None = metric("standard deviation of the neuron's map", unit="activation")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        table, coarse = results["neuron_frequency"], results["coarseness"]
        if not len(table):
            return
        last = int(table["step"].max())
        scales = coarse[(coarse["step"] == last) & (coarse["kind"] == "neuron")][["layer", "neuron", "std"]]
        here = table[table["step"] == last].merge(scales.astype({"neuron": "int64"}), on=["layer", "neuron"], how="left")
        for layer, rows in here.groupby("layer"):
            yield from self._layer(last, int(layer), rows.sort_values("neuron").reset_index(drop=True))

    def _layer(self, step: int, layer: int, rows: pd.DataFrame) -> Iterator[Row]:
        known = np.array([f is not None for f in rows["fractions"]])
        labels, distances = np.full(len(rows), -1), np.full(len(rows), np.nan)
        if known.any():
            labels[known], distances[known] = grouped(self._profiles(rows[known]), self.clusters, self.seed)
        sizes = {c: int((labels == c).sum()) for c in set(labels.tolist())}
        first = {c: min(np.flatnonzero(labels == c).tolist(), key=lambda i: (distances[i], i)) for c in sizes if c >= 0}
        for i, row in enumerate(rows.itertuples()):
            c = int(labels[i])
            yield self.Row(
                step=step,
                layer=layer,
                neuron=int(row.neuron),
                cluster=c,
                representative=first.get(c) == i,
                frequency=None if pd.isna(row.frequency) else int(row.frequency),
                size=sizes[c],
                distance=None if c < 0 else float(distances[i]),
                scale=None if pd.isna(row.std) else float(row.std),
            )

    def _profiles(self, rows: pd.DataFrame) -> np.ndarray:
        """[neuron, frequency + 1] of neurons that vary."""
        shares = np.sqrt(np.stack(rows["fractions"].to_list()).astype(float).clip(min=0))
        scale = rows["std"].to_numpy(float, na_value=np.nan)
        middle = np.nanmedian(scale) if np.isfinite(scale).any() else 1.0
        decades = np.log10(np.nan_to_num(scale / middle, nan=1.0).clip(min=1e-3))
        return np.column_stack([shares, self.scale_weight * decades])


def grouped(points: np.ndarray, clusters: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cluster of each of the points [n, d], numbered by size (ties: first member), and its distance from the cluster's centre."""
    rng = np.random.default_rng(seed)
    k = min(clusters, len(np.unique(points, axis=0)))
    runs = [_k_means(points, _starts(points, k, rng)) for _ in range(RESTARTS)]
    labels, squared = min(runs, key=lambda run: run[1].sum())
    order = sorted(set(labels.tolist()), key=lambda c: (-(labels == c).sum(), labels.tolist().index(c)))
    return np.array([order.index(c) for c in labels.tolist()]), np.sqrt(squared)


def _starts(points: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """k-means++: each start is drawn with probability proportional to its squared distance from the nearest one so far."""
    centres = [points[rng.integers(len(points))]]
    for _ in range(k - 1):
        nearest = _squared(points, np.stack(centres)).min(1)
        centres.append(points[rng.choice(len(points), p=nearest / nearest.sum())])
    return np.stack(centres)


def _k_means(points: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and squared distances from the centres once nothing moves."""
    labels = np.full(len(points), -1)
    for _ in range(ROUNDS):
        distances = _squared(points, centres)
        nearest = distances.argmin(1)
        if (nearest == labels).all():
            break
        labels = nearest
        centres = np.stack([points[labels == c].mean(0) if (labels == c).any() else centres[c] for c in range(len(centres))])
    return labels, _squared(points, centres)[np.arange(len(points)), labels]


def _squared(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances [n, k]."""
    return ((points[:, None] - centres) ** 2).sum(2)
