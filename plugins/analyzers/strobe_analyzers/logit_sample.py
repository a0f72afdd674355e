"""The logits of a few inputs, kept for comparing steps with each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field

import strobe
from strobe import Analyzer, Outputs, array, dim, hookimpl, metric

from .activation_sample import drawn


class LogitSample(Analyzer):
    """The logits at the read-out position for the same `inputs` inputs and the first `classes` classes at every step, as float16.

    The inputs are a seeded draw from the probe, without replacement and ascending, the same for every checkpoint. Values are over `scale`, the
    largest absolute one, so 3 digits survive in every precision. Works on any model with one answer per input; logits that are not finite, or that
    have other axes, give a null and a reason. `function_velocity` reads it. Cost: no pass of its own; 29 KB at p=113.
    """

    answers = "any"

    inputs: int = Field(128, ge=1)
    classes: int = Field(1024, ge=1)
    seed: int = Field(0, ge=0)

    class Row(strobe.Row):
        reason: str | None = dim("why there is no sample; null when there is")
        scale: float | None = metric("largest absolute logit of the sample: what it is to be multiplied with", unit="logits")
        indices: np.ndarray | None = array("which inputs of the probe", dims=["input"], dtype="int32", unit="1")
        sample: np.ndarray | None = array("logits over scale", dims=["input", "class"], dtype="float16", unit="scale")

    @hookimpl
    def analyze_outputs(self, outputs: Outputs) -> Iterator[Row]:
        logits = outputs.logits
        if logits.ndim != 2:
            yield self._none(f"logits have axes {list(logits.shape)}, not [input, class]")
            return
        index = drawn(len(logits), self.inputs, self.seed)
        x = logits[index, : self.classes].double()
        if not x.isfinite().all():
            yield self._none("logits are not finite")
            return
        scale = x.abs().max().item() if x.numel() else 0.0
        yield self.Row(reason=None, scale=scale, indices=index.int().numpy(), sample=(x / scale if scale else x).half().numpy())

    def _none(self, reason: str) -> Row:
        return self.Row(reason=reason, scale=None, indices=None, sample=None)
