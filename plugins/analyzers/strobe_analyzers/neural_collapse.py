"""Whether the classes collapse to the corners of a simplex."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from pydantic import Field

import strobe
from strobe import Activations, Analyzer, Last, Outputs, Weights, dim, hookimpl, metric

from .representation_geometry import unmeasurable


class NeuralCollapse(Analyzer):
    """How far the classes have collapsed to a simplex: NC1 to NC4 and CDNV.

    Of the last layer's features (resid_post of the last block, last position) by target class, per split of the probe (collapse is told on train,
    its absence on test); of all inputs where the probe has no splits.

    With class means mu_c, their mean mu_G, M = (mu_c - mu_G), S_W the covariance within classes, S_B = M^T M / C, and w_c the columns of W_U: nc1 =
    tr(S_W S_B^+) / C, pseudo-inverse without eigenvalues below `rcond` of the largest. nc2_norms = std_c ||mu_c - mu_G|| / mean; nc2_angles = mean
    over pairs |cos(mu_c - mu_G, mu_c' - mu_G) + 1/(C - 1)|; the same of w_c. nc3 = || W/||W|| - M/||M|| ||_F^2, 0 to 4. nc4 = share of inputs whose
    largest logit is not the nearest class mean. cdnv = mean over pairs (var_c + var_c') / (2 ||mu_c - mu_c'||^2). All are 0 at full collapse (a
    simplex of equal, equally distant classes) and grow without it; nc1 and cdnv are 0 also when each class has one input, and null with fewer than
    two classes or no spread between them (with a reason). A simplex of C classes needs d >= C - 1. Works on any model; where W_U does not match
    features and classes its measures are null. A final norm is not applied. Cost at p=113, train and test: 35 ms. Source: Papyan, Han & Donoho
    2008.08186; CDNV Galanti et al. 2112.15121.
    """

    sites = {"blocks.*.resid_post": Last()}

    rcond: float = Field(1e-6, gt=0, lt=1)

    class Row(strobe.Row):
        split: str = dim("split of the probe: train, test; all where it has none")
        reason: str | None = dim("why there is nothing to measure; null when there is")
        classes: int = metric("classes that occur in the split", unit="classes")
        nc1: float | None = metric("variability within classes against that between: 0 when classes are points", unit="1")
        nc2_norms: float | None = metric("relative spread of the class means' distances from their centre: 0 when alike", unit="1")
        nc2_angles: float | None = metric("mean deviation of the class means' cosines from a simplex: 0 when they are one", unit="1")
        nc2_norms_unembedding: float | None = metric("relative spread of the norms of the unembedding's columns", unit="1")
        nc2_angles_unembedding: float | None = metric("mean deviation of their cosines from a simplex", unit="1")
        nc3: float | None = metric("squared distance of unembedding and class means, each scaled to norm 1: 0 when dual, 2 when unrelated", unit="1")
        nc4: float | None = metric("share of inputs not answered with the nearest class mean", unit="1")
        cdnv: float | None = metric("class-distance normalised variance, mean over pairs of classes", unit="1")

    @hookimpl
    def analyze_outputs(self, outputs: Outputs, activations: Activations, weights: Weights) -> Iterator[Row]:
        last = max((site for site in activations if site.endswith("resid_post")), key=lambda site: int(site.split(".")[1]))
        h, why = activations[last], unmeasurable(activations[last])
        x = h if h.dtype == torch.float64 else h.float()
        answers = outputs.logits.argmax(-1)
        columns = _columns(weights, h.shape[1])
        for split in outputs.splits or ["all"]:
            mask = outputs.split(split)
            if mask.any():
                yield self._row(split, why, x[mask], outputs.targets[mask], answers[mask], columns)

    def _row(self, split: str, why: str | None, x: torch.Tensor, targets: torch.Tensor, answers: torch.Tensor, columns: torch.Tensor | None) -> Row:
        present, index = targets.unique(return_inverse=True)
        if why is None and len(present) < 2:
            why = "fewer than two classes"
        features = None if why else class_features(x, index, len(present))
        if features is not None and not bool(features.means.abs().sum() > 0):
            why, features = "all classes have the same mean", None
        if features is None:
            return self.Row(split=split, reason=why, classes=len(present), **dict.fromkeys(MEASURES))
        found = {"nc1": nc1(features, self.rcond), "cdnv": cdnv(features), "nc4": _nc4(x, features, present, answers)}
        found |= dict(zip(("nc2_norms", "nc2_angles"), nc2(features.means), strict=True))
        found |= _against(columns, features.means, present)
        finite = {name: value if value is not None and torch.tensor(value).isfinite() else None for name, value in found.items()}
        return self.Row(split=split, reason=None, classes=len(present), **finite)


MEASURES = [name for name in NeuralCollapse.Row.model_fields if name not in ("split", "reason", "classes")]


class Features(NamedTuple):
    """Of C classes: means less their mean [C, d], that mean [d], covariance within [d, d], mean squared distance from the class mean [C]: float64."""

    means: torch.Tensor
    centre: torch.Tensor
    within: torch.Tensor
    variances: torch.Tensor


def class_features(x: torch.Tensor, index: torch.Tensor, n: int) -> Features:
    """Sufficient statistics of features [batch, d] whose classes are numbered 0..n-1 by `index`; means in two passes, as differences are small."""
    counts = torch.bincount(index, minlength=n).double()
    offset = x.mean(0)
    x = x - offset
    means = x.new_zeros(n, x.shape[1]).index_add_(0, index, x) / counts[:, None].to(x)
    residual = x - means[index]
    within = (residual.T @ residual).double() / len(x)
    variances = torch.zeros(n, dtype=torch.float64).index_add_(0, index, (residual * residual).sum(1).double()) / counts
    centre = means.double().mean(0)
    return Features(means.double() - centre, offset.double() + centre, within, variances)


def nc1(features: Features, rcond: float) -> float:
    """tr(S_W S_B^+) / C."""
    n = len(features.means)
    values, vectors = torch.linalg.eigh(features.means.T @ features.means / n)
    kept = values > rcond * values[-1]
    spread = ((vectors.T @ features.within) * vectors.T).sum(1)  # variance within classes along each direction between them
    return (spread[kept] / values[kept]).sum().item() / n


def nc2(vectors: torch.Tensor) -> tuple[float, float]:
    """Relative spread of the norms, and mean |cos + 1/(C - 1)| over pairs, of vectors [C, d]."""
    n = len(vectors)
    norms = torch.linalg.vector_norm(vectors, dim=1)
    unit = vectors / norms[:, None]
    i, j = torch.triu_indices(n, n, 1)
    angles = ((unit @ unit.T)[i, j] + 1 / (n - 1)).abs().mean()
    return (norms.std(correction=0) / norms.mean()).item(), angles.item()


def cdnv(features: Features) -> float:
    """Mean over pairs of (var_c + var_c') / (2 ||mu_c - mu_c'||^2)."""
    gram = features.means @ features.means.T
    norms, variances = gram.diagonal(), features.variances
    i, j = torch.triu_indices(len(gram), len(gram), 1)
    return ((variances[i] + variances[j]) / (2 * (norms[i] + norms[j] - 2 * gram[i, j]))).mean().item()


def _nc4(x: torch.Tensor, features: Features, present: torch.Tensor, answers: torch.Tensor) -> float:
    means, centre = features.means.to(x), features.centre.to(x)
    nearest = ((means**2).sum(1) + 2 * (means @ centre) - 2 * (x @ means.T)).argmin(1)  # ||x - mu_c||^2 less what does not depend on c
    return (present[nearest] != answers).double().mean().item()


def _columns(weights: Weights, width: int) -> torch.Tensor | None:
    """The unembedding's columns, one row per class, float64 [vocab, d]; None where there is none of this width."""
    if "unembed.W_U" not in weights or weights["unembed.W_U"].shape[0] != width:
        return None
    columns = weights["unembed.W_U"].T.double()
    return columns if bool(columns.isfinite().all()) else None


def _against(columns: torch.Tensor | None, means: torch.Tensor, present: torch.Tensor) -> dict[str, float | None]:
    """What the unembedding has to do with the class means."""
    names = ("nc2_norms_unembedding", "nc2_angles_unembedding", "nc3")
    if columns is None or int(present[-1]) >= len(columns) or int(present[0]) < 0:
        return dict.fromkeys(names)
    rows = columns[present]
    difference = rows / torch.linalg.matrix_norm(rows) - means / torch.linalg.matrix_norm(means)
    return dict(zip(names, (*nc2(rows), (difference**2).sum().item()), strict=True))
