from __future__ import annotations

from typing import Any

import torch

import strobe
from strobe import Analyzer, Context, Weights, dim, hookimpl, maths, metric

from .token_views import token_views


class DominantFrequencies(Analyzer):
    """Which Fourier frequencies each weight matrix uses, along its token or class axis.

    Views, each a table over the p residues ("=" dropped): `W_E` and `W_U` as stored, `W_E.W_in` what each neuron reads, `W_L` = (W_out W_U)^T
    what each neuron writes to the logits; per head `W_E.W_Q`, `W_E.W_K`, `W_E.W_V` what it reads, `W_O.W_U` what it writes to the logits, and
    `W_E.W_V.W_O` what it moves. So every matrix has a view but `W_pos`, which is indexed by position; biases have none.
    With several layers a view bears its own: `blocks.1.W_L`.
    Amplitudes are row norms of F table, with F the orthonormal basis const, cos 1, sin 1, ...; their squares add up to ||table||_F^2.
    Source: Nanda et al. 2301.05217. Cost: no forward, small matrix products: 6 ms at p=113.
    """

    families = ("modular_addition", "modular_mlp")

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
        views = list(token_views(weights, p))
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
