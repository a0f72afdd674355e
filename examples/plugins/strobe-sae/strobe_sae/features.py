"""The analyzer `sae_features`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

import strobe
from strobe import Activations, Analyzer, Context, Last, array, dim, hookimpl, metric

from .autoencoder import fit


class SaeFeatures(Analyzer):
    """What a small sparse autoencoder finds in the MLP activations of a checkpoint: each feature's direction, and how often it is active.

    Trained anew at every checkpoint, on at most `inputs` of the probe's inputs; initial values and the choice of inputs are drawn from the cell's own
    generator, so the same checkpoint always gives the same features. `sae_tracks` follows them from step to step.
    A layer whose activations are constant, or not finite, has one row that says so.
    Cost: at p=113 with the defaults about 1 s of CPU per layer and 60 KB, besides the shared forward.
    """

    sites = {"blocks.*.mlp.post": Last()}
    features: int = 32
    """Features of the dictionary."""
    penalty: float = 0.1
    """Weight of the sparsity penalty, for inputs of mean squared length 1: more makes fewer features active."""
    updates: int = 150
    """Steps of Adam."""
    lr: float = 0.01
    """Learning rate of Adam."""
    inputs: int = 1024
    """Inputs it is trained on at most, drawn at random."""

    class Row(strobe.Row):
        layer: int = dim("layer")
        feature: int | None = dim("feature, the most active first; null when there are none")
        reason: str | None = dim("why there are no features; null when there are")
        active: float | None = metric("share of inputs on which the feature is active: its sparsity, 0 (dead) to 1", unit="1")
        strength: float | None = metric("mean of the feature where it is active", unit="activation")
        error: float | None = metric("share of the layer's variance that all features together do not explain", unit="1")
        direction: np.ndarray | None = array("row of the dictionary, of length 1", dims=["neuron"], dtype="float16", unit="1")

    @hookimpl
    def analyze_activations(self, activations: Activations, context: Context) -> Iterator[Row]:
        for name, post in activations.items():  # [batch, d_mlp]
            layer = int(name.split(".")[1])
            if reason := unmeasurable(post):
                empty = dict.fromkeys(("feature", "active", "strength", "error", "direction"))
                yield self.Row(layer=layer, reason=reason, **empty)  # type: ignore[arg-type]
                continue
            chosen = np.sort(context.rng.permutation(len(post))[: self.inputs])
            found = fit(post[torch.from_numpy(chosen)], self.features, self.penalty, self.updates, self.lr, context.rng)
            active = (found.features > 0).double()  # [input, feature]
            share = active.mean(0)
            strength = found.features.double().sum(0) / active.sum(0).clamp(min=1)
            for place, feature in enumerate(share.argsort(descending=True, stable=True).tolist()):
                yield self.Row(
                    layer=layer,
                    feature=place,
                    reason=None,
                    active=share[feature].item(),
                    strength=strength[feature].item(),
                    error=found.error,
                    direction=found.dictionary[feature].half().numpy(),
                )


def unmeasurable(post: torch.Tensor) -> str:
    """Why activations [batch, d_mlp] have no features, '' when they may have."""
    if not post.isfinite().all():
        return "activations are not finite"
    if len(post) < 2 or not (post - post[0]).any():
        return "the same activations for every input"
    return ""
