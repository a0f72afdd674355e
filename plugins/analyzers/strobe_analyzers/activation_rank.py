"""How many directions the activations of a layer use."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from pydantic import Field

import strobe
from strobe import Activations, Analyzer, Last, array, dim, hookimpl, maths, metric

from .representation_geometry import unmeasurable

BLOCK = 128


class ActivationRank(Analyzer):
    """Effective rank of the activations over all inputs of the probe, at the last position: falls when a network loses plasticity, or cleans up.

    From the singular values s of the centred activations [batch, d]: `effective_rank` exp of the entropy of s / sum s, `participation_ratio_lambda`
    (sum s^2)^2 / sum s^4, both from 1 (one direction carries all) to min(batch - 1, d) (all alike); `dims_90`, `dims_99` fewest directions that hold
    that share of the variance. The two ratios differ much: the entropy of s counts small directions. s comes from the Gram matrix in the precision
    of the activations; in float32 what lies below 3e-4 of s_1 is rounding, which moves the effective rank by up to 0.2 % and the participation ratio
    by 1e-6. More than `max_inputs` inputs are thinned evenly. Works on any model. Sites that do not vary, or are not finite, have a row of nulls and
    a reason. Cost at p=113: 60 ms for 512 neurons, 7 ms for the stream. Source: Roy & Vetterli 2007; as a measure of plasticity Kumar et al.
    2010.14498.
    """

    sites = {"blocks.*.mlp.post": Last(), "blocks.*.resid_post": Last()}

    max_inputs: int = Field(65536, ge=2)

    class Row(strobe.Row):
        layer: int = dim("layer")
        site: str = dim("where in the block: mlp.post, resid_post")
        reason: str | None = dim("why there is no rank; null when there is")
        effective_rank: float | None = metric("exp of the entropy of s / sum s", unit="1")
        participation_ratio_lambda: float | None = metric("(sum s^2)^2 / sum s^4", unit="1")
        dims_90: int | None = metric("fewest directions that hold 90 % of the variance", unit="1")
        dims_99: int | None = metric("fewest directions that hold 99 % of the variance", unit="1")
        singular_values: np.ndarray | None = array("singular values of the centred activations over sqrt(inputs)", dims=["rank"], unit="activation")

    @hookimpl
    def analyze_activations(self, activations: Activations) -> Iterator[Row]:
        for name, h in activations.items():  # [batch, d]
            _, layer, site = name.split(".", 2)
            reason = unmeasurable(h) if len(h) else "the probe has no inputs"
            numbers = dict.fromkeys(NUMBERS) if reason else measure(h[:: -(-len(h) // self.max_inputs)])
            yield self.Row(layer=int(layer), site=site, reason=reason, **numbers)


NUMBERS = ("effective_rank", "participation_ratio_lambda", "dims_90", "dims_99", "singular_values")


def measure(h: torch.Tensor) -> dict[str, object]:
    """The metrics of a row from activations [batch, d] that vary."""
    s = spectrum(h)
    numbers = (maths.effective_rank(s), maths.participation_ratio(s**2), maths.dims_holding(s, 0.9), maths.dims_holding(s, 0.99))
    return dict(zip(NUMBERS, (*numbers, s.numpy().astype(np.float32)), strict=True))


def spectrum(h: torch.Tensor) -> torch.Tensor:
    """Singular values of centred activations [batch, d] over sqrt(batch), descending, float64 [min(batch, d)]."""
    x = h if h.dtype == torch.float64 else h.float()
    x = x - x.mean(0)
    gram = _gram(x if len(x) >= x.shape[1] else x.T).double() / len(x)
    return torch.linalg.eigvalsh(gram).clamp(min=0).sqrt().flip(0)


def _gram(x: torch.Tensor) -> torch.Tensor:
    """x^T x [d, d], each pair of column blocks once: 5/8 of the work for 512 columns."""
    d = x.shape[1]
    gram = x.new_empty(d, d)
    for start in range(0, d, BLOCK):
        columns = slice(start, start + BLOCK)
        gram[columns, start:] = x[:, columns].T @ x[:, start:]
        gram[start + BLOCK :, columns] = gram[columns, start + BLOCK :].T
    return gram
