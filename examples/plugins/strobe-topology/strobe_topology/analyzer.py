"""The analyzer `persistent_homology`."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from ripser import ripser

import strobe
from strobe import Activations, Analyzer, Last, Probe, dim, hookimpl, metric


class PersistentHomology(Analyzer):
    """How long the holes of the class centroids last: bars of the Vietoris-Rips filtration of the mean activation of each class.

    A bar of dimension 0 is a cluster, of dimension 1 a loop: classes on a circle have one long bar of dimension 1, and a torus has two. Distances are
    Euclidean; a bar is born and dies at a distance, and `persistence` is its length over the largest distance, 0 to 1. The one cluster that never
    dies has no death; its persistence is 1. Only the `most` longest bars of each dimension are kept.
    Sites with fewer than three classes, with one vector for all of them, or with values that are not finite have one row that says so.
    Cost: one matrix of classes x classes distances and a few milliseconds for 113 of them; cubic in the classes for dimension 1.
    Source: Bauer 2021 (1908.02518), whose ripser computes it.
    """

    sites = {"blocks.*.mlp.post": Last(), "blocks.*.resid_post": Last()}
    max_dimension: int = 1
    """The highest dimension of a hole: 1 finds loops, 2 also cavities (slow)."""
    most: int = 20
    """Bars kept of each dimension, the longest first."""

    class Row(strobe.Row):
        layer: int = dim("layer")
        site: str = dim("where in the block: mlp.post, resid_post")
        dimension: int | None = dim("dimension of the hole: 0 clusters, 1 loops; null when there is none")
        bar: int | None = dim("place of the bar among those of its dimension, the longest is 0")
        reason: str | None = dim("why there are no bars; null when there are")
        birth: float | None = metric("distance at which it appears", unit="activation")
        death: float | None = metric("distance at which it is filled; null when it never is", unit="activation")
        lifetime: float | None = metric("death less birth; null when it never dies", unit="activation")
        persistence: float | None = metric("lifetime over the largest distance between classes, 0 to 1; 1 for what never dies", unit="1")

    @hookimpl
    def analyze_activations(self, activations: Activations, probe: Probe) -> Iterator[Row]:
        for name, h in activations.items():  # [batch, d]
            _, layer, site = name.split(".", 2)
            points = centroids(h.double(), probe.targets)
            if reason := unmeasurable(points):
                empty = dict.fromkeys(("dimension", "bar", "birth", "death", "lifetime", "persistence"))
                yield self.Row(layer=int(layer), site=site, reason=reason, **empty)  # type: ignore[arg-type]
            else:
                yield from self._bars(int(layer), site, points)

    def _bars(self, layer: int, site: str, points: torch.Tensor) -> Iterator[Row]:
        distances = torch.cdist(points, points)  # [class, class]
        largest = distances.max().item()
        found = ripser(distances.numpy(), maxdim=self.max_dimension, distance_matrix=True)["dgms"]
        for dimension, bars in enumerate(found):
            lasting = sorted(bars.tolist(), key=lambda bar: bar[0] - bar[1])[: self.most]
            for i, (birth, death) in enumerate(lasting):
                ends = death != float("inf")
                yield self.Row(
                    layer=layer,
                    site=site,
                    dimension=dimension,
                    bar=i,
                    reason=None,
                    birth=birth,
                    death=death if ends else None,
                    lifetime=death - birth if ends else None,
                    persistence=(death - birth) / largest if ends else 1.0,
                )


def centroids(h: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean of the rows of `h` [batch, d] for each class that occurs in `targets` [batch]: [class, d]."""
    classes, of = targets.unique(return_inverse=True)
    sums = torch.zeros(len(classes), h.shape[1], dtype=h.dtype).index_add_(0, of, h)
    return sums / of.bincount(minlength=len(classes)).clamp(min=1)[:, None]


def unmeasurable(points: torch.Tensor) -> str:
    """Why points [class, d] have no shape to speak of, '' when they do."""
    if len(points) < 3:
        return f"{len(points)} classes, and a loop needs three"
    if not points.isfinite().all():
        return "activations are not finite"
    scale = points.abs().max().item()
    return "" if (points - points[0]).abs().max().item() > 1e-9 * scale else "the same vector for every class"
