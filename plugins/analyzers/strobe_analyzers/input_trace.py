"""What the model answers to every single input."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

import strobe
from strobe import Analyzer, Outputs, StrobeError, array, dim, hookimpl, maths, metric


class InputTrace(Analyzer):
    """Per input: prediction, confidence, margin and rank of the target; one row per step, its arrays in the order of the probe's inputs.

    For the grid of modular addition input a*p + b is the pair (a, b), so an array reshapes to a p x p map. An answer is right where rank is 0 and
    margin above 0. Confidence is the probability of the prediction, 1/classes to 1. `split` is the position in `splits` of the run's stored split
    (255: none). An input that has no answer, as a/b for b = 0, has rank 65,535 and margin -65,504. Null arrays when a logit is not finite. Applies to
    any model with one answer per input. Margins and confidences as float16 (3 digits). Cost at p=113: 12 ms; 100 KB before compression, 35 KB after.
    """

    class Row(strobe.Row):
        splits: str = dim("names of the splits, in the order that `split` counts them")
        correct: int | None = metric("inputs answered correctly", unit="1")
        inputs: int = metric("inputs in all", unit="1")
        prediction: np.ndarray | None = array("class with the largest logit, per input", dims=["input"], dtype="uint16", unit="1")
        rank: np.ndarray | None = array("classes with a larger logit than the target, per input; 0: none", dims=["input"], dtype="uint16", unit="1")
        confidence: np.ndarray | None = array("probability of the prediction, per input", dims=["input"], dtype="float16", unit="1")
        margin: np.ndarray | None = array("target's logit less the largest other, per input", dims=["input"], dtype="float16", unit="logits")
        split: np.ndarray = array("position in `splits` of the input's split; 255: in none", dims=["input"], dtype="uint8", unit="1")

    @hookimpl
    def analyze_outputs(self, outputs: Outputs) -> Iterator[Row]:
        logits, targets = outputs.logits, outputs.targets
        if logits.ndim != 2 or logits.shape[1] > 1 << 16:
            raise StrobeError(f"input_trace: needs one answer among at most 65,536 classes per input; got logits {list(logits.shape)}")
        finite = bool(logits.isfinite().all())
        answered = outputs.split("all")
        rank = maths.target_ranks(logits, targets).masked_fill(~answered, 65535)
        margin = maths.margins(logits, targets).clamp(-65504, 65504).masked_fill(~answered, -65504)
        prediction = logits.argmax(-1)
        names = [name for name in outputs.splits if name != "all"]
        yield self.Row(
            splits=",".join(names),
            correct=int((prediction == targets)[answered].sum()) if finite else None,
            inputs=len(targets),
            prediction=prediction.numpy().astype(np.uint16) if finite else None,
            rank=rank.numpy().astype(np.uint16) if finite else None,
            confidence=_confidence(logits).half().numpy() if finite else None,
            margin=margin.half().numpy() if finite else None,
            split=_codes([outputs.split(name) for name in names], len(targets)),
        )


def _confidence(logits: torch.Tensor) -> torch.Tensor:
    """Probability of the largest logit, [batch]."""
    return 1 / (logits - logits.amax(1, keepdim=True)).exp_().sum(1)


def _codes(masks: list[torch.Tensor], n: int) -> np.ndarray:
    codes = np.full(n, 255, np.uint8)
    for i, mask in reversed(list(enumerate(masks))):
        codes[mask.numpy()] = i
    return codes
