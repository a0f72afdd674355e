"""Which neurons have stopped working."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field

import strobe
from strobe import Activations, Analyzer, Last, Probe, Weights, array, dim, hookimpl, metric

EPSILON = 1e-9
"""As in the published code: a layer in which everything is 0 scores 0."""


class DormantNeurons(Analyzer):
    """Neurons that hardly fire or never do, per layer and split, by two measures that differ: low score, and zero everywhere.

    Score s_i = mean |h_i| / (mean over neurons of mean |h| + 1e-9), over the inputs of the split at the last position: 1 is an average neuron, 0 a
    silent one; `dormant` counts s_i <= `tau`. `dead` counts neurons whose activation is 0 for every input (for ReLU: maximum 0). A pruned cohort can
    be dormant without one dead neuron, and an untrained layer has both.
    `utility` mean |h_i| * sum_k |W_out[i, k]|: what the neuron contributes to the stream; the published running average over steps (eta = 0.99)
    needs consecutive steps, which checkpoints are not. Null without a `W_out`.
    Works on any model with MLP neurons. A split without inputs has no row; activations that are not finite give nulls.
    Cost at p=113, 512 neurons, three splits: 9 ms. Source: score Sokar et al. 2302.12902 (ReDo); utility Dohare et al. 2306.13812.
    """

    sites = {"blocks.*.mlp.post": Last()}

    tau: float = Field(0.025, ge=0)

    class Row(strobe.Row):
        layer: int = dim("layer")
        split: str = dim("split of the probe: train, test, or all")
        neurons: int = metric("neurons in the layer", unit="neurons")
        dormant: int | None = metric("neurons whose score is tau or less", unit="neurons")
        dead: int | None = metric("neurons that are 0 for every input of the split", unit="neurons")
        scores: np.ndarray | None = array("mean absolute activation over the layer's mean, per neuron", dims=["neuron"], unit="1")
        utility: np.ndarray | None = array("mean absolute activation times the sum of absolute output weights", dims=["neuron"], unit="activation")

    @hookimpl
    def analyze_activations(self, activations: Activations, weights: Weights, probe: Probe) -> Iterator[Row]:
        for site, h in activations.items():  # [batch, d_mlp]
            if not len(h):
                continue
            layer = int(site.split(".")[1])
            fan_out = _fan_out(weights, f"blocks.{layer}.mlp.W_out", h.shape[1])
            for split, level in levels(h, probe).items():
                yield self._row(layer, split, level, fan_out)

    def _row(self, layer: int, split: str, level: Level, fan_out: torch.Tensor | None) -> Row:
        mean, dead = level
        if not bool(mean.isfinite().all()):  # a NaN in one input makes every split NaN: 0 * NaN is NaN
            return self.Row(layer=layer, split=split, neurons=len(mean), dormant=None, dead=None, scores=None, utility=None)
        scores = mean / (mean.mean() + EPSILON)
        return self.Row(
            layer=layer,
            split=split,
            neurons=len(mean),
            dormant=int((scores <= self.tau).sum()),
            dead=int(dead.sum()),
            scores=scores.numpy().astype(np.float32),
            utility=None if fan_out is None else (mean * fan_out).numpy().astype(np.float32),
        )


class Level(NamedTuple):
    """Per neuron: mean absolute activation (float64), and whether it is 0 for every input."""

    mean: torch.Tensor
    dead: torch.Tensor


def levels(h: torch.Tensor, probe: Probe) -> dict[str, Level]:
    """Split -> level of each neuron, from activations [batch, d_mlp]; `all` comes last."""
    size = h.abs() if bool(h.amin() < 0) else h  # after a ReLU there is nothing to take the absolute value of
    size = size if size.dtype == torch.float64 else size.float()  # sums of 10^4 half-precision values are none
    masks = {name: mask for name, mask in probe.splits.items() if name != "all" and bool(mask.any())}
    masks["all"] = torch.ones(len(h), dtype=torch.bool)
    members = torch.stack(list(masks.values())).to(size)  # [split, batch]: one product sums every split, without copies of the activations
    sums = (members @ size).double()
    return {name: Level(total / int(mask.sum()), total == 0) for (name, mask), total in zip(masks.items(), sums, strict=True)}


def _fan_out(weights: Weights, name: str, neurons: int) -> torch.Tensor | None:
    """Sum of absolute output weights per neuron, float64 [d_mlp]; None where the model has no such matrix."""
    if name not in weights or weights[name].shape[0] != neurons:
        return None
    return weights[name].double().abs().sum(1)
