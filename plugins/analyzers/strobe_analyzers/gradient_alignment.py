"""Whether the parts of a model are pushed by the same inputs, and whether training pushes towards generalising."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from itertools import combinations_with_replacement

import numpy as np
import torch
from pydantic import Field

import strobe
from strobe import Analyzer, Context, Loss, Probe, StrobeError, array, dim, hookimpl, maths, metric

from .inputs import rows_of

GROUPS = {
    "embedding": ("embed.*", "pos_embed.*"),
    "attention": ("blocks.*.attn.*",),
    "mlp": ("blocks.*.mlp.*",),
    "unembedding": ("unembed.*",),
}
MOST_CLASSES = 256
"""Above it inputs are batched at random: a gradient per class would take a backward for each."""


class GradientAlignment(Analyzer):
    """How alike the gradients of two parts of the model are, as functions of the inputs; one row per pair, a part with itself included.

    Parts differ in shape, so their gradients are compared through the inputs that cause them: g_r is the gradient of the mean training loss of class
    r, K = <g_r, g_s> over one part's parameters, and `alignment` the linear CKA of the two parts' kernels: 1 both respond alike to all classes, 0
    unrelated. `null` is its mean over seeded relabellings of the classes and `null_95` their 95 % point: below that it says nothing. Where the
    classes are all residues mod p, `energies` is the share of each frequency in one part's gradient over classes (rows of a part with itself), and
    `frequency_correlation` that of two parts' shares over frequencies: 1 they work on the same ones, 0 unrelated (their cosine would be near 1 for
    any two flat spectra). `train_test_cosine`, of a part with itself: the cosine of its gradient on train and test, -1 to 1: above 0 a step that
    lowers the training loss lowers the test loss too. More than 256 classes, or a target per position: seeded random batches in place of classes. A
    part that the model lacks is left out (a model with none of them: each matrix is a part); null where a gradient is zero (frozen or not
    differentiable) or not finite. Cost: one small backward per class and one of each split: 0.9 s at p = 113; memory: classes times the weights, 100
    MB. Source: CKA as in Kornblith et al. 1905.00414; kernels of gradients as in Jacot et al. 1806.07572.
    """

    answers = "classes"
    opt_in = True
    groups: tuple[str, ...] = tuple(GROUPS)
    batches: int = Field(64, ge=3, description="random batches, where classes cannot be used")
    nulls: int = Field(100, ge=20, description="relabellings")
    seed: int = Field(0, ge=0, description="of random batches and relabellings")

    class Row(strobe.Row):
        group: str = dim("part of the model: a named one or a pattern of parameters")
        other: str = dim("the part it is compared with")
        classes: int = metric("classes, or random batches, that were compared", unit="1")
        alignment: float | None = metric("linear CKA of the two gradient kernels, 0..1", unit="1")
        null: float | None = metric("mean of the alignment over relabelled classes", unit="1")
        null_95: float | None = metric("95 % point of the alignment over relabelled classes", unit="1")
        frequency_correlation: float | None = metric("correlation of the two parts' shares over frequencies, -1..1", unit="1")
        train_test_cosine: float | None = metric("cosine of the part's gradients on train and test", unit="1")
        gradient_norm: float | None = metric("norm of the part's gradient on train; of a part with itself", unit="nats")
        energies: np.ndarray | None = array("share of each frequency in the gradient over classes, from 1", dims=["frequency"], unit="1")

    @hookimpl
    def analyze_landscape(self, loss: Loss, probe: Probe, context: Context) -> Iterator[Row]:
        members = self._members(loss)
        batches, residues = self._batches(probe, context)
        kernels = _kernels(loss, batches, members)
        whole = {split: loss.grad(rows_of(probe, split)) for split in ("train", "test") if split == "train" or split in probe.splits}
        energies = {g: _energies(kernels[g]) if residues else None for g in members}
        for group, other in combinations_with_replacement(members, 2):
            alignment, mean, high = self._alignment(kernels[group], kernels[other])
            flat = {split: torch.cat([g[n].double().flatten() for n in members[group]]) for split, g in whole.items()}
            same = group == other
            yield self.Row(
                group=group,
                other=other,
                classes=len(batches),
                alignment=alignment,
                null=mean,
                null_95=high,
                frequency_correlation=_correlation(energies[group], energies[other]),
                train_test_cosine=_cosine(flat["train"], flat.get("test")) if same else None,
                gradient_norm=_finite(float(flat["train"].norm())) if same else None,
                energies=energies[group] if same else None,
            )

    def _members(self, loss: Loss) -> dict[str, list[str]]:
        """Group -> its parameters. A named group that this model lacks is left out; a pattern that matches nothing is an error."""
        patterns = {group: GROUPS.get(group, (group,)) for group in self.groups}
        members = {g: [n for n in loss.weights if any(fnmatch.fnmatch(n, p) for p in patterns[g])] for g in self.groups}
        if empty := [group for group, names in members.items() if not names and group not in GROUPS]:
            raise StrobeError(f"gradient_alignment: group {empty[0]!r} matches no parameter; a group is one of {', '.join(GROUPS)} or a pattern")
        known = {group: names for group, names in members.items() if names}
        return known or {n: [n] for n, w in loss.weights.items() if w.ndim > 1}

    def _batches(self, probe: Probe, context: Context) -> tuple[list[torch.Tensor], bool]:
        """Training inputs per class, or in random batches, and whether the classes are all residues of the family's p."""
        rows = rows_of(probe, "train")
        if probe.targets.ndim == 1 and 2 < len(classes := probe.targets[rows].unique()) <= MOST_CLASSES:
            p = getattr(context.family, "p", None)
            return [rows[probe.targets[rows] == c] for c in classes], torch.equal(classes.cpu(), torch.arange(p or 0))
        order = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(self.seed))]
        if len(rows) < 3:
            raise StrobeError(f"gradient_alignment: {len(rows)} training inputs are too few to compare gradients over; it takes 3")
        return list(torch.tensor_split(order, min(self.batches, len(rows)))), False

    def _alignment(self, x: torch.Tensor, y: torch.Tensor) -> tuple[float | None, float | None, float | None]:
        """CKA of two centred kernels, its mean and its 95 % point over relabelled classes."""
        scale = float(x.norm() * y.norm())
        if not scale > 0 or not np.isfinite(scale):
            return None, None, None
        generator = torch.Generator().manual_seed(self.seed)
        orders = [torch.randperm(len(y), generator=generator) for _ in range(self.nulls)]
        random = np.array([float((x * y[order][:, order]).sum()) / scale for order in orders])
        return float((x * y).sum()) / scale, float(random.mean()), float(np.quantile(random, 0.95))


def _kernels(loss: Loss, batches: list[torch.Tensor], members: dict[str, list[str]]) -> dict[str, torch.Tensor]:
    """Group -> kernel of the batches' gradients, centred over batches, float64 [batch, batch]."""
    gradients = [{n: g.flatten() for n, g in loss.grad(rows).items()} for rows in batches]
    per_parameter = {n: _centred_gram(torch.stack([g[n] for g in gradients])) for n in {n for names in members.values() for n in names}}
    return {group: torch.stack([per_parameter[n] for n in names]).sum(0) for group, names in members.items()}


def _centred_gram(gradients: torch.Tensor) -> torch.Tensor:
    g = (gradients - gradients.mean(0)).double()
    gram: torch.Tensor = g @ g.T
    return gram


def _energies(kernel: torch.Tensor) -> np.ndarray | None:
    """Share of each frequency k = 1.. in gradients over residue classes: diagonal of F K F^T, cosine and sine together. None when all are zero."""
    p = len(kernel)
    basis = maths.fourier_basis(p)
    power = (basis @ kernel * basis).sum(1)
    per_k = power.new_zeros(p // 2 + 1).index_add(0, torch.tensor([row.frequency for row in maths.fourier_rows(p)]), power)[1:]
    total = float(per_k.sum())
    return (per_k / total).numpy() if total > 0 and np.isfinite(total) else None


def _correlation(x: np.ndarray | None, y: np.ndarray | None) -> float | None:
    return None if x is None or y is None else _cosine(x - x.mean(), y - y.mean())


def _cosine(x: torch.Tensor | np.ndarray | None, y: torch.Tensor | np.ndarray | None) -> float | None:
    if x is None or y is None:
        return None
    a, b = (torch.as_tensor(v).double() for v in (x, y))
    scale = float(a.norm() * b.norm())
    return max(-1.0, min(1.0, float(a @ b) / scale)) if scale > 0 and np.isfinite(scale) else None


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
