from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

import strobe
from strobe import Analyzer, Context, StrobeError, Weights, dim, hookimpl, maths, metric


class View(NamedTuple):
    """A weight matrix expressed over the p residues: rows are tokens or classes."""

    name: str
    head: int | None
    table: torch.Tensor  # [p, d]


class DominantFrequencies(Analyzer):
    """Which Fourier frequencies each weight matrix uses, along its token or class axis.

    Views, each a table over the p residues ("=" dropped): `W_E` and `W_U` as stored, `W_E.W_in` what each neuron reads, `W_L` = (W_out W_U)^T
    what each neuron writes to the logits, and per head `W_E.W_V.W_O`. With several layers a view bears its own: `blocks.1.W_L`.
    Amplitudes are row norms of F table, with F the orthonormal basis const, cos 1, sin 1, ...; their squares add up to ||table||_F^2.
    Source: Nanda et al. 2301.05217. Cost: no forward, a few small matrix products.
    """

    families = ("modular_addition",)

    class Row(strobe.Row):
        view: str = dim("weight matrix, expressed over residues")
        head: int | None = dim("attention head, for per-head views")
        component: str = dim("const, cos or sin")
        frequency: int = dim("Fourier frequency k, in periods per p residues; 0 for const")
        amplitude: float | None = metric("norm of this Fourier row of the view", unit="1")
        share: float | None = metric("amplitude^2 over that of all rows but const, 0..1; cos + sin is the frequency's share; null at const", unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights, context: Context) -> Any:
        p = context.family.p
        views = list(_views(weights, p))
        rows = maths.fourier_rows(p)
        amplitudes = torch.stack([maths.row_amplitudes(view.table) for view in views])  # [view, p]
        return self.Row.columns(
            view=[view.name for view in views for _ in rows],
            head=[view.head for view in views for _ in rows],
            component=[row.component for _ in views for row in rows],
            frequency=[row.frequency for _ in views for row in rows],
            amplitude=amplitudes.flatten().tolist(),
            share=[share for row in amplitudes for share in _shares(row)],
        )


def _shares(amplitudes: torch.Tensor) -> list[float | None]:
    power = amplitudes[1:] ** 2
    total = power.sum()
    shares = (power / total).tolist() if total > 0 else [None] * len(power)
    return [None, *shares]


def _views(weights: Weights, p: int) -> Iterator[View]:
    embed = _residues("embed.W_E", weights["embed.W_E"], p)  # [p, d_model]
    unembed = _residues("unembed.W_U", weights["unembed.W_U"].T, p)  # [p, d_model]
    yield View("W_E", None, embed)
    yield View("W_U", None, unembed)
    layers = [name.removesuffix(".mlp.W_in") for name in weights.named("blocks.*.mlp.W_in")]
    blocks = [name.removesuffix(".attn.W_V") for name in weights.named("blocks.*.attn.W_V")]
    for block in layers:
        prefix = f"{block}." if len(layers) > 1 else ""
        yield View(f"{prefix}W_E.W_in", None, embed @ weights[f"{block}.mlp.W_in"].double())
        yield View(f"{prefix}W_L", None, unembed @ weights[f"{block}.mlp.W_out"].double().T)
    for block in blocks:
        prefix = f"{block}." if len(blocks) > 1 else ""
        values, outward = weights[f"{block}.attn.W_V"].double(), weights[f"{block}.attn.W_O"].double()
        yield from (View(f"{prefix}W_E.W_V.W_O", h, embed @ values[h] @ outward[h]) for h in range(len(values)))


def _residues(name: str, table: torch.Tensor, p: int) -> torch.Tensor:
    """The rows of the p residues, in float64: further ones are special tokens such as "="."""
    if len(table) < p:
        raise StrobeError(f"{name} covers {len(table)} tokens, but the family says p={p}: give the p that the run was trained with")
    return table[:p].double()
