from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

import strobe
from strobe import Analyzer, Checkpoints, StrobeError, dim, hookimpl, metric

GROUPS = {
    "all": ("*",),
    "embedding": ("embed.W_E", "pos_embed.W_pos", "unembed.W_U"),
    "unembedding": ("unembed.W_U",),
    "attention": ("blocks.*.attn.W_[QKVO]",),
    "mlp": ("blocks.*.mlp.*",),
}
BLOCK = 1 << 15
"""Parameters taken to float64 at once: 43 checkpoints of them are 11 MB."""


class ParameterTrajectory(Analyzer):
    """Where training moved through weight space: principal components of each parameter group over all checkpoints.

    theta_i is the group flattened at checkpoint i, centred over the checkpoints. The PCA is exact, through the checkpoint x checkpoint Gram matrix in
    float64; the largest |loading| of each component is positive. One basis over exactly the steps in the table: other checkpoints, other coordinates.
    A group is a name (all, embedding, unembedding, attention, mlp) or a pattern (`blocks.0.mlp.W_in`). A checkpoint with NaN or infinity is left
    out of the basis of its group and has null coordinates. Components of a random walk look like cosines: read loops with care.
    Cost: two passes over the checkpoints for all groups together; memory: the largest parameter once per checkpoint.
    """

    groups: tuple[str, ...] = tuple(GROUPS)
    components: int = 10

    class Row(strobe.Row):
        group: str = dim("parameter group")
        step: int = dim("training step of the checkpoint")
        component: int = dim("principal component, 1 = most variance")
        coordinate: float | None = metric("position along the component, in weight units; null when the weights are not finite", unit="1")
        variance_share: float | None = metric("share of the group's variance over checkpoints that the component holds, 0..1", unit="1")

    @hookimpl
    def analyze_trajectory(self, checkpoints: Checkpoints) -> Any:
        members = self._members(checkpoints)
        grams = {name: _gram(_stacked(checkpoints, name)) for name in sorted({n for names in members.values() for n in names})}
        bases = {group: _basis([grams[name] for name in names], self.components) for group, names in members.items()}
        return self._columns(checkpoints.steps, _signed(checkpoints, members, bases))

    def _members(self, checkpoints: Checkpoints) -> dict[str, list[str]]:
        """Group -> its parameters. A named group that this model lacks is left out; a pattern that matches nothing is an error."""
        weights = checkpoints.open(checkpoints.steps[0])
        members = {group: sorted({n for pattern in GROUPS.get(group, (group,)) for n in weights.named(pattern)}) for group in self.groups}
        if empty := [group for group, names in members.items() if not names and group not in GROUPS]:
            raise StrobeError(f"parameter_trajectory: group {empty[0]!r} matches no parameter; a group is one of {', '.join(GROUPS)} or a pattern")
        return {group: names for group, names in members.items() if names}

    def _columns(self, steps: tuple[int, ...], bases: dict[str, Basis]) -> Any:
        cells = [
            (group, step, c + 1, basis.coordinates[i, c].item() if basis.finite[i] else None, basis.shares[c])
            for group, basis in bases.items()
            for i, step in enumerate(steps)
            for c in range(len(basis.shares))
        ]
        return self.Row.columns(**{name: [cell[i] for cell in cells] for i, name in enumerate(self.Row.model_fields)})


class Gram(NamedTuple):
    """Inner products between checkpoints of one parameter, less its mean; `finite` says at which checkpoints it is, the others are zero."""

    products: torch.Tensor  # [checkpoint, checkpoint]
    finite: torch.Tensor  # [checkpoint]


class Basis(NamedTuple):
    """Principal components of one group."""

    axes: torch.Tensor  # [checkpoint, component], unit columns
    coordinates: torch.Tensor  # [checkpoint, component]
    shares: list[float | None]  # [component]
    finite: torch.Tensor  # [checkpoint]


def _stacked(checkpoints: Checkpoints, name: str) -> torch.Tensor:
    """One parameter at every checkpoint, [checkpoint, size]."""
    return torch.stack([weights[name].flatten() for _, weights in checkpoints])


def _blocks(rows: torch.Tensor, finite: torch.Tensor) -> Iterator[torch.Tensor]:
    """The rows in float64, some columns at a time, less their mean over the finite rows; the other rows are zero."""
    keep = finite[:, None]
    for block in rows.split(BLOCK, dim=1):
        x = torch.where(keep, block.double(), 0.0)
        yield torch.where(keep, x - x.sum(0) / finite.sum().clamp(min=1), 0.0)


def _gram(rows: torch.Tensor) -> Gram:
    finite = rows.isfinite().all(dim=1)
    products = torch.zeros(len(rows), len(rows), dtype=torch.float64)
    for block in _blocks(rows, finite):
        products = products + block @ block.T
    return Gram(products, finite)


def _basis(grams: list[Gram], components: int) -> Basis:
    finite = torch.stack([gram.finite for gram in grams]).all(dim=0)
    n = int(finite.sum())
    centring = torch.diag(finite.double()) - torch.outer(finite.double(), finite.double()) / max(n, 1)
    products = centring @ torch.stack([gram.products for gram in grams]).sum(0) @ centring
    variances, axes = torch.linalg.eigh(products)
    variances, axes = variances.flip(0).clamp(min=0), axes.flip(1)
    kept = max(0, min(components, n - 1))  # n points span n - 1 dimensions
    total = variances.sum()
    shares = (variances[:kept] / total).tolist() if total > 0 else [None] * kept
    axes = axes[:, :kept]
    return Basis(axes, axes * variances[:kept].sqrt(), shares, finite)


def _signed(checkpoints: Checkpoints, members: dict[str, list[str]], bases: dict[str, Basis]) -> dict[str, Basis]:
    """The bases with each component turned so that its largest |loading| is positive: an eigenvector alone has no sign."""
    extremes = {group: basis.axes.new_zeros(basis.axes.shape[1]) for group, basis in bases.items()}
    for name in sorted({name for names in members.values() for name in names}):
        rows = _stacked(checkpoints, name)
        for block in _blocks(rows, rows.isfinite().all(dim=1)):
            for group in (group for group, names in members.items() if name in names):
                extremes[group] = _larger(extremes[group], block.T @ bases[group].axes)
    signs = {group: torch.where(extreme < 0, -1.0, 1.0).double() for group, extreme in extremes.items()}
    return {group: basis._replace(coordinates=basis.coordinates * signs[group]) for group, basis in bases.items()}


def _larger(extreme: torch.Tensor, loadings: torch.Tensor) -> torch.Tensor:
    """Per component, the loading of largest magnitude so far: [component] from [parameters, component]."""
    found = loadings.gather(0, loadings.abs().argmax(dim=0, keepdim=True))[0]
    return torch.where(found.abs() > extreme.abs(), found, extreme)
