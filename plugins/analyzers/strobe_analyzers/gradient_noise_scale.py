"""How much the gradient differs between inputs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from pydantic import Field

import strobe
from strobe import Analyzer, Loss, Probe, StrobeError, dim, hookimpl, metric

from .directions import norm
from .inputs import rows_of

BATCHES = 60
"""How many there are when their size is not given: the standard error of the trace is then about a sixth of its spread over batches."""


class GradientNoiseScale(Analyzer):
    """The batch size below which the gradient is mostly noise: tr(Sigma) / |G|^2, Sigma the covariance of one input's gradient, G their mean.

    The training inputs are split into seeded disjoint batches of `batch_size`; with their gradients g_j, `trace` = b mean ||g_j - G||^2 (k/(k-1)) is
    unbiased, with a standard error over batches. `full_square` = |G|^2 over all training inputs, what a full-batch run descends. `square` = |G|^2 -
    trace / n is the unbiased estimate of the squared gradient of the distribution the inputs were drawn from, as in the source; it can fall below 0
    where training has fitted these inputs, whose gradients then cancel; then `noise_scale` = trace / square is null and `drowned` true.
    `full_noise_scale` = trace / full_square exists always; above n it says the same. In a full-batch run no step is noisy: the trace is then only how
    much the training inputs disagree. Weight decay is left out. From 0 (all inputs agree) up. Null where a gradient is not finite. Cost: one gradient
    on all inputs, in 60 parts: 0.35 s at p = 113. Source: McCandlish et al. 1812.06162, appendix A, with disjoint batches for the two batch sizes.
    """

    opt_in = True
    batch_size: int | None = Field(None, ge=1, description="inputs per batch, the last one left out if smaller; null: a 60th of them")
    seed: int = Field(0, ge=0, description="of the order of the inputs")
    split: str = Field("train", description="inputs the gradient is taken on")

    class Row(strobe.Row):
        split: str = dim("inputs the gradient is taken on")
        inputs: int = metric("inputs in the batches", unit="1")
        batch_size: int = metric("inputs per batch", unit="1")
        trace: float | None = metric("tr(Sigma): variance of one input's gradient, summed over parameters", unit="nats^2")
        trace_se: float | None = metric("standard error of the trace, over batches", unit="nats^2")
        full_square: float | None = metric("squared norm of the gradient on these inputs", unit="nats^2")
        square: float | None = metric("full_square less trace / inputs: unbiased for the distribution of inputs", unit="nats^2")
        noise_scale: float | None = metric("trace / square; null when square is not above 0", unit="inputs")
        full_noise_scale: float | None = metric("trace / full_square", unit="inputs")
        drowned: bool | None = dim("whether square is not above 0: the gradients of these inputs cancel")

    @hookimpl
    def analyze_landscape(self, loss: Loss, probe: Probe) -> Iterator[Row]:
        batches = self._batches(probe)
        mean: dict[str, torch.Tensor] = {}
        squares = []
        for rows in batches:
            g = {n: x.double() for n, x in loss.grad(rows).items()}
            squares.append(norm(g) ** 2)
            mean = {n: mean[n] + x / len(batches) if mean else x / len(batches) for n, x in g.items()}
        yield self._row(np.array(squares), norm(mean) ** 2, len(batches[0]))

    def _batches(self, probe: Probe) -> list[torch.Tensor]:
        rows = rows_of(probe, self.split)
        size = self.batch_size or max(1, len(rows) // BATCHES)
        n = len(rows) // size
        if n < 2:
            most = f"lower batch_size to {len(rows) // 2} or less" if len(rows) > 1 else "name a larger split"
            raise StrobeError(f"gradient_noise_scale: the {len(rows)} inputs of {self.split!r} make fewer than 2 batches of {size}; {most}")
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(self.seed))
        return list(torch.split(rows[order][: n * size], size))

    def _row(self, squares: np.ndarray, full: float, b: int) -> Row:
        k = len(squares)
        each = b * (squares - full) * k / (k - 1)  # their mean is b times the sample variance of the batches' gradients
        trace, known = float(each.mean()), bool(np.isfinite(squares).all())
        square = full - trace / (k * b)
        numbers = {"trace": trace, "trace_se": float(each.std(ddof=1)) / k**0.5, "full_square": full, "square": square}
        scales = {"noise_scale": _ratio(trace, square), "full_noise_scale": _ratio(trace, full)}
        found = {name: value if known else None for name, value in (numbers | scales).items()}
        return self.Row(split=self.split, inputs=k * b, batch_size=b, drowned=not square > 0 if known else None, **found)


def _ratio(trace: float, square: float) -> float | None:
    return trace / square if square > 0 else None
