"""How the classes (a + b) mod p lie in activation space."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch

import strobe
from strobe import Activations, Analyzer, Last, Probe, array, dim, hookimpl, maths, metric

DISTINCT = 1.1
"""Variance of PC2 over PC3 below which the plane of PC1 and PC2 is arbitrary."""
DRAWS = 4000


class RepresentationGeometry(Analyzer):
    """Where the p classes r = (a + b) mod p lie at each residual and MLP site, at '=': circles, spread, separation.

    With mu_r the mean of class r (p inputs) and C_r its covariance, F the Fourier basis over r: `frequency_shares` ||F_k mu||^2 over the sum for k
    >= 1 (first thing to read: 1 = one circle), `axis_ratios` s2/s1 of the 2 x d block F_k mu (1 = circle, 0 = line; 0 for k = p/2, which has no
    sine). `radius` sqrt(mean over r of mean ||x - mu_r||^2); `class_dimension` mean of (tr C_r)^2 / ||C_r||_F^2, 1 to min(p - 1, d); `centre_spread`
    S = sqrt(mean ||mu_r - mean mu||^2); `snr` S^2 / radius^2; Fisher ratio ||mu_r - mu_s||^2 / (radius_r^2 + radius_s^2) of two classes, mean and
    smallest; `pc1_share`.. of the centroids' variance. `circularity` of the centroids on PC1 and PC2: quality of the Kasa circle fit times (f1 +
    f2)(f2 / f1), 0..1, beside what random points with the same shares would score; several circles at once score 0.2 to 0.4. `alignment` max over k
    = +-1 .. +-(p-1)/2 of |mean_r exp(i (angle_r - 2 pi k r / p))|^2, 0..1, null where PC2 holds less than 1.1 times PC3, beside mean and 95th
    percentile for random angles (0.047 and 0.066 at p=113). A site whose activation is the same for every input (resid_pre at '=') has a row of
    nulls that says so. Cost at p=113: 14 ms per site of 128 dimensions, 45 ms for 512 neurons. Source: Fisher 1936; Kasa 1976 for the circle.
    """

    sites = {f"blocks.*.{site}": Last() for site in ("resid_pre", "resid_mid", "mlp.post", "mlp.out", "resid_post")}
    families = ("modular_addition",)
    where = {"operation": ("a+b",)}

    class Row(strobe.Row):
        layer: int = dim("layer")
        site: str = dim("where in the block: resid_pre, resid_mid, mlp.post, mlp.out, resid_post")
        reason: str | None = dim("why there is nothing to measure; null when there is")
        radius: float | None = metric("root mean square distance of an input from its class centroid", unit="activation")
        class_dimension: float | None = metric("participation ratio of the covariance within a class, mean over classes", unit="1")
        centre_spread: float | None = metric("root mean square distance of the class centroids from their mean", unit="activation")
        snr: float | None = metric("centre_spread^2 / radius^2: above 1 classes are further apart than they are wide", unit="1")
        fisher_mean: float | None = metric("Fisher ratio of two classes, mean over pairs", unit="1")
        fisher_min: float | None = metric("Fisher ratio of the two classes that are hardest to tell apart", unit="1")
        pc1_share: float | None = metric("share of the centroids' variance on their first principal component", unit="1")
        pc2_share: float | None = metric("on the second", unit="1")
        pc3_share: float | None = metric("on the third", unit="1")
        circularity: float | None = metric("how well the centroids' top plane is one circle: 0 to 1", unit="1")
        circularity_null: float | None = metric("what random points in a plane with the same shares score", unit="1")
        alignment: float | None = metric("how evenly the classes go round in the top plane; null where the plane is arbitrary", unit="1")
        alignment_frequency: int | None = metric("in steps of which frequency they go round", unit="1")
        alignment_null: float | None = metric("alignment of random angles, mean", unit="1")
        alignment_null_95: float | None = metric("alignment that random angles exceed once in twenty times", unit="1")
        frequency_shares: np.ndarray | None = array("share of the centroids' variance per frequency, from 1 on", dims=["frequency"], unit="1")
        axis_ratios: np.ndarray | None = array("axis ratio of the centroids' part at each frequency, from 1 on", dims=["frequency"], unit="1")

    @hookimpl
    def analyze_activations(self, activations: Activations, probe: Probe) -> Iterator[Row]:
        p = maths.grid_modulus(probe.inputs)
        for site, h in activations.items():  # [p*p, d]
            _, layer, name = site.split(".", 2)
            reason = unmeasurable(h)
            measured = dict.fromkeys(MEASURED) if reason else {**dict.fromkeys(MEASURED), **measure(h, p)}
            yield self.Row(layer=int(layer), site=name, reason=reason, **measured)


MEASURED = [name for name in RepresentationGeometry.Row.model_fields if name not in ("layer", "site", "reason")]


def unmeasurable(h: torch.Tensor) -> str | None:
    """Why the activations [batch, d] of a site say nothing about its inputs, None when they do."""
    if not all(bound.isfinite() for bound in torch.aminmax(h)):  # a tenth of the cost of looking at each
        return "activations are not finite"
    some = h[:: max(1, len(h) // 16)]  # 16 inputs that differ settle it
    return "the same vector for every input" if bool(maths.is_constant(some).all() and maths.is_constant(h).all()) else None


def measure(h: torch.Tensor, p: int) -> dict[str, Any]:
    """Every metric of a site from its activations [p*p, d] on the grid."""
    centroids, squared_radius, dimension = classes(h, p)
    spread, within = (centroids**2).sum(1).mean(), squared_radius.mean()
    fisher = _fisher(centroids, squared_radius)
    numbers = {"radius": within.sqrt(), "class_dimension": dimension, "centre_spread": spread.sqrt(), "snr": spread / within}
    numbers |= {"fisher_mean": fisher.mean(), "fisher_min": fisher.min()}
    found = {name: _finite(value) for name, value in numbers.items()}
    if not bool(spread > maths.CONSTANT * within):  # the classes share one centre: nothing lies anywhere
        return found
    shares, ratios = frequency_planes(centroids)
    return {**found, **_plane(centroids, p), "frequency_shares": shares.numpy(), "axis_ratios": ratios.numpy()}


def _finite(value: torch.Tensor) -> float | None:
    return value.item() if bool(value.isfinite()) else None


# --- classes -----------------------------------------------------------------------------------------------------------------------------------


class Classes(NamedTuple):
    """Class means less their mean [p, d], mean squared distance from them [p], and the mean participation ratio: float64."""

    centroids: torch.Tensor
    squared_radius: torch.Tensor
    dimension: torch.Tensor


def classes(h: torch.Tensor, p: int) -> Classes:
    """Means and widths of the classes (a + b) mod p from activations [p*p, d]."""
    x, means = centred_classes(h, p)
    gram = x @ x.mT if p <= x.shape[2] else x.mT @ x  # [p, n, n]: no eigenvalues are needed for tr C and ||C||_F
    trace, norm = gram.diagonal(dim1=1, dim2=2).double().sum(1), torch.linalg.vector_norm(gram, dim=(1, 2)).double()
    return Classes(means - means.mean(0), trace / p, ((trace / norm) ** 2).nanmean())


def centred_classes(h: torch.Tensor, p: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Activations by class, each less its class mean, [class, input, d] in their own precision; and the class means, float64 [class, d].

    The mean is taken twice, the second time of what is left: then what all inputs share costs no digits of the differences between classes.
    """
    x = (h if h.dtype == torch.float64 else h.float())[_order(p)].reshape(p, p, -1)
    means = x.mean(1)
    x.sub_(means[:, None])
    return x, means.double() + x.mean(1).double()


@cache
def _order(p: int) -> torch.Tensor:
    """Grid indices a * p + b by class r = (a + b) mod p: int64 [p*p]."""
    r, a = torch.arange(p)[:, None], torch.arange(p)
    return (a * p + (r - a) % p).flatten()


def _fisher(centroids: torch.Tensor, squared_radius: torch.Tensor) -> torch.Tensor:
    """Fisher ratio of every pair of classes, float64 [pairs]."""
    gram = centroids @ centroids.T
    norms = gram.diagonal()
    distances = (norms[:, None] + norms - 2 * gram).clamp(min=0)
    i, j = torch.triu_indices(len(gram), len(gram), 1)
    return distances[i, j] / (squared_radius[i] + squared_radius[j])


# --- frequencies -------------------------------------------------------------------------------------------------------------------------------


def frequency_planes(centroids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Share of variance and axis ratio per frequency 1..p//2 of centred centroids [p, d]: float64 [p//2] each."""
    p = len(centroids)
    waves = maths.fourier_basis(p) @ centroids
    ends = [(w[0], w[1] if len(w) == 2 else torch.zeros_like(w[0])) for w in (waves[maths.rows_of(p, [k])] for k in range(1, p // 2 + 1))]
    cos, sin = (torch.stack(part) for part in zip(*ends, strict=True))  # [frequency, d]
    cc, ss, cs = (cos**2).sum(1), (sin**2).sum(1), (cos * sin).sum(1)
    power = cc + ss
    largest = (power + ((cc - ss) ** 2 + 4 * cs**2).sqrt()) / 2  # larger eigenvalue of the 2 x 2 Gram matrix; the other is its determinant over it
    ratios = ((cc * ss - cs**2).clamp(min=0)).sqrt() / largest
    return power / power.sum(), ratios.nan_to_num(0.0)


# --- the top plane -----------------------------------------------------------------------------------------------------------------------------


def _plane(centroids: torch.Tensor, p: int) -> dict[str, Any]:
    shares, coordinates = principal(centroids, 3)
    f1, f2, f3 = shares.tolist()
    x, y = coordinates[:, 0].numpy(), coordinates[:, 1].numpy()
    flatness = (f1 + f2) * f2 / f1
    found = {"pc1_share": f1, "pc2_share": f2, "pc3_share": f3}
    found |= {"circularity": float(np.clip(circle_fit(x, y) * flatness, 0, 1)), "circularity_null": circle_null(p) * flatness}
    mean, high = alignment_null(p)
    found |= {"alignment_null": mean, "alignment_null_95": high}
    if f2 > 0 and f2 >= DISTINCT * f3:
        value, k = alignment(x, y)
        found |= {"alignment": value, "alignment_frequency": k}
    return found


def principal(centroids: torch.Tensor, components: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Shares of variance [components] and coordinates [p, components] of centred centroids [p, d], zero beyond their rank.

    Through the smaller Gram matrix in float64; the largest coordinate of each component in absolute value is positive.
    """
    p, d = centroids.shape
    values, vectors = torch.linalg.eigh(centroids @ centroids.T if p <= d else centroids.T @ centroids)
    values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
    coordinates = (vectors * values.sqrt() if p <= d else centroids @ vectors)[:, :components]
    largest = coordinates.gather(0, coordinates.abs().argmax(0, keepdim=True))
    missing = (0, components - coordinates.shape[1])
    shares = torch.nn.functional.pad(values[:components] / values.sum(), missing)
    return shares, torch.nn.functional.pad(coordinates * torch.where(largest < 0, -1.0, 1.0), missing)


def circle_fit(x: np.ndarray, y: np.ndarray) -> float:
    """1 - mean (d_i - R)^2 / (var x + var y), d_i the distances from the centre of the Kasa circle, R its radius: 1 for a circle, 0.77 for noise."""
    design = np.stack([x, y, np.ones_like(x)], axis=1)
    (a, b, c), *_ = np.linalg.lstsq(design, x**2 + y**2, rcond=None)
    distances, radius = np.hypot(x - a / 2, y - b / 2), np.sqrt(max(c + (a**2 + b**2) / 4, 0.0))
    return float(1 - ((distances - radius) ** 2).mean() / (x.var() + y.var()))


@cache
def circle_null(p: int) -> float:
    """Mean of `circle_fit` of p points that are normal in two dimensions (seeded draws): sqrt(pi) - 1 for many, 0.78 for 113, 1 for three."""
    rng = np.random.default_rng(0)
    return float(np.mean([circle_fit(*rng.normal(size=(2, p))) for _ in range(DRAWS // 20)]))


def alignment(x: np.ndarray, y: np.ndarray) -> tuple[float, int]:
    """How evenly points r = 0..p-1 go round the origin, and in steps of which frequency: both directions count, for a plane may be mirrored."""
    p = len(x)
    power = np.abs(np.fft.fft(np.exp(1j * np.arctan2(y, x)))) ** 2 / p**2
    k = int(power[1:].argmax()) + 1
    return float(power[k]), maths.fold(k, p)


@cache
def alignment_null(p: int) -> tuple[float, float]:
    """Mean and 95th percentile of `alignment` of p random angles (seeded draws)."""
    draws = max(100, min(DRAWS, 1_000_000 // p))
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, (draws, p))
    best = (np.abs(np.fft.fft(np.exp(1j * angles), axis=1))[:, 1:] ** 2).max(1) / p**2
    return float(best.mean()), float(np.quantile(best, 0.95))
