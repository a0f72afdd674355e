from __future__ import annotations

from typing import Any

import torch

import strobe
from strobe import Analyzer, Context, Weights, dim, hookimpl, maths, metric

from .token_views import token_views


class AxisRatio(Analyzer):
    """Whether a frequency lies in the weights as a circle or as a line: s2 / s1 of its cosine and sine rows.

    For a view M [p, d] (see `dominant_frequencies`) and frequency k, the residues trace the ellipse spanned by the 2 x d block (F_cos M; F_sin M);
    its singular values s1 >= s2 are half the long and short axis. 1: a circle, so both cos(2 pi k x/p) and sin are told apart equally well; 0: a
    line, so one phase is invisible. Invariant to rotating the space, to scale, and to shifting the residues. Noise has a ratio too (0.9 for d=128):
    read it beside the frequency's share in `dominant_frequencies`. Null for a block of zeros and, with even p, for k = p/2, which has no sine.
    The cosine share |cos| / (|cos| + |sin|) is secondary: 1/2 is no circle, because it misses a line at 45 degrees.
    Cost: no forward, small matrix products and closed forms of 2 x 2: 7 ms at p=113.
    """

    families = ("modular_addition", "modular_mlp")

    class Row(strobe.Row):
        view: str = dim("weight matrix, expressed over residues")
        head: int | None = dim("attention head, for per-head views")
        frequency: int = dim("Fourier frequency k, in periods per p residues")
        axis_ratio: float | None = metric("short over long axis of the ellipse, 0 (line) to 1 (circle)", unit="1")
        cos_share: float | None = metric("norm of the cosine row over the sum of both norms, 0..1", unit="1")

    @hookimpl
    def analyze_weights(self, weights: Weights, context: Context) -> Any:
        p = context.family.p
        views = list(token_views(weights, p))
        rows = {(row.component, row.frequency): i for i, row in enumerate(maths.fourier_rows(p))}
        frequencies = range(1, (p - 1) // 2 + 1)
        waves = maths.fourier_basis(p)[[rows[component, k] for component in ("cos", "sin") for k in frequencies]]  # [2 * k, p]
        measured = [_ellipse(waves @ view.table) for view in views]  # [2, k] each
        ratio, share = torch.stack(measured, 1)  # [view, k]
        return self.Row.columns(
            view=[view.name for view in views for _ in frequencies],
            head=[view.head for view in views for _ in frequencies],
            frequency=[k for _ in views for k in frequencies],
            axis_ratio=_known(ratio),
            cos_share=_known(share),
        )


def _ellipse(pairs: torch.Tensor) -> torch.Tensor:
    """Axis ratio and cosine share [2, k] of k cosine rows followed by their k sine rows [2k, d]; NaN where both are zero.

    By QR of the two rows (long one first): R = (r11, r12; 0, r22), s1 s2 = r11 r22. The Gram matrix would lose ratios below 1e-8.
    """
    cos, sin = pairs.chunk(2)
    norms = torch.linalg.vector_norm(pairs, dim=1).reshape(2, -1)
    swap = (norms[1] > norms[0])[:, None]
    long, short = torch.where(swap, sin, cos), torch.where(swap, cos, sin)
    r11 = norms.amax(0)
    unit = long / r11[:, None]
    r12 = (unit * short).sum(1)
    r22 = torch.linalg.vector_norm(short - r12[:, None] * unit, dim=1)
    s1 = (torch.hypot(r11 + r22, r12) + torch.hypot(r11 - r22, r12)) / 2
    return torch.stack([r11 * r22 / s1**2, norms[0] / norms.sum(0)])


def _known(values: torch.Tensor) -> list[float | None]:
    return [v if v == v else None for v in values.flatten().tolist()]
