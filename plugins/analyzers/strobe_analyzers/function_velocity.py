"""How fast the function changes, whatever the weights do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from pydantic import Field

import strobe
from strobe import Analyzer, Results, dim, hookimpl, metric

from .samples import Sampled, sites
from .similarity import linear_cka, unbiased_cka


class FunctionVelocity(Analyzer):
    """How much the function changes between checkpoints: 1 - linear CKA of the residual stream, and the mean absolute change of the logits.

    On the same sampled inputs (activation_sample, logit_sample). Per interval and divided by its steps, so that it can be laid beside
    parameter_velocity: weights that move while the function stands still only drift. `lost` = 1 - CKA: 0 nothing changed but rotation and scale, 1
    nothing is left. `logit_change` compares logits less their mean over classes, which the softmax does not see; `relative_change` divides it by
    their mean magnitude at the later step. Null at a checkpoint without a sample, with the reason. Differences below 1e-6 are rounding of float16.
    Cost: reads stored samples, no forward; 2 ms per step.
    """

    consumes = ("activation_sample", "logit_sample")

    unbiased: bool = True
    """Whether CKA is the unbiased estimate, which does not grow with the width."""
    floor: float = Field(1e-6, ge=0)
    """Changes below it are rounding, and 0."""

    class Row(strobe.Row):
        layer: int | None = dim("layer; null for the logits")
        site: str = dim("where in the block, or logits")
        step: int = dim("training step of the later checkpoint")
        previous_step: int = dim("training step of the earlier checkpoint")
        gap: int = metric("steps between the two", unit="step")
        lost: float | None = metric("1 - linear CKA of the two; null for the logits", unit="1")
        velocity: float | None = metric("lost per step; null for the logits, and where lost is under the rounding of the samples", unit="1/step")
        logit_change: float | None = metric("mean absolute change of a logit; null for other sites", unit="logits")
        logit_velocity: float | None = metric("logit_change per step", unit="logits/step")
        relative_change: float | None = metric("logit_change over the mean magnitude of a logit", unit="1")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        for found in sites(results["activation_sample"]):
            for i in range(1, len(found.steps)):
                yield self._representation(found, i)
        for found in sites(_as_site(results["logit_sample"])):
            for i in range(1, len(found.steps)):
                yield self._logits(found, i)

    def _representation(self, found: Sampled, i: int) -> Row:
        before, now = found.steps[i - 1 : i + 1]
        x, y = found.samples[i - 1], found.samples[i]
        value = 1 - (unbiased_cka(x, y) if self.unbiased else linear_cka(x, y))
        lost = value if np.isfinite(value) else None
        moving = lost is not None and lost > self.floor
        return self.Row(
            layer=found.layer,
            site=found.site,
            step=now,
            previous_step=before,
            gap=now - before,
            lost=lost,
            velocity=lost / (now - before) if moving and lost is not None and now > before else None,
            logit_change=None,
            logit_velocity=None,
            relative_change=None,
        )

    def _logits(self, found: Sampled, i: int) -> Row:
        before, now = found.steps[i - 1 : i + 1]
        x, y = (_seen(found.samples[k]) for k in (i - 1, i))
        change, size = float((y - x).abs().mean()), float(y.abs().mean())
        return self.Row(
            layer=None,
            site="logits",
            step=now,
            previous_step=before,
            gap=now - before,
            lost=None,
            velocity=None,
            logit_change=change,
            logit_velocity=change / (now - before) if now > before else None,
            relative_change=change / size if size > 0 else None,
        )


def _seen(logits: torch.Tensor) -> torch.Tensor:
    """What the softmax sees of logits [input, class]: less their mean over the classes."""
    return logits - logits.mean(1, keepdim=True)


def _as_site(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(layer=0, site="logits")
