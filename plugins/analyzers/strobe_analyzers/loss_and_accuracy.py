"""How well the model does."""

from __future__ import annotations

from collections.abc import Iterator

import torch

import strobe
from strobe import Analyzer, Outputs, dim, hookimpl, maths, metric


class LossAndAccuracy(Analyzer):
    """Mean cross-entropy, share of correct answers and smallest margin, on each split of the probe and on all of it.

    Loss in float64 from the model's logits: in float32 log_softmax the smallest loss is 1.2e-7 and most of a trained model's are exactly 0.
    Accuracy counts an answer as correct when the first largest logit is the target's. A split without inputs has no row.
    Cost: one pass over the logits (p=113: 10 ms), shared with whoever else asks for `outputs.loss`.
    """

    class Row(strobe.Row):
        split: str = dim("split of the probe: train, test, or all")
        loss: float = metric("mean cross-entropy; a uniform guess scores ln(classes)", unit="nats")
        accuracy: float = metric("share of inputs whose largest logit is the target's", unit="1")
        min_margin: float = metric("smallest margin: the target's logit less the best other one; above 0 every answer is right", unit="logits")

    @hookimpl
    def analyze_outputs(self, outputs: Outputs) -> Iterator[Row]:
        margin = maths.margins(outputs.logits, outputs.targets)
        right = (outputs.logits.argmax(-1) == outputs.targets).double()
        right = right.masked_fill(margin.isnan(), torch.nan)  # argmax takes a NaN for the largest: no answer is neither right nor wrong
        for name in dict.fromkeys([*outputs.splits, "all"]):
            mask = outputs.split(name)
            if mask.any():
                loss, accuracy, least = outputs.loss[mask].mean(), right[mask].mean(), margin[mask].min()
                yield self.Row(split=name, loss=loss.item(), accuracy=accuracy.item(), min_margin=least.item())
