from __future__ import annotations

from collections.abc import Iterator

import strobe
from strobe import Activations, Analyzer, Last, dim, hookimpl, metric


class Sparsity(Analyzer):
    """Share of MLP activations at the last position that are at most `threshold`: 0 when every neuron fires on every input, 1 when none does."""

    sites = {"blocks.*.mlp.post": Last()}
    threshold: float = 0.0

    class Row(strobe.Row):
        layer: int = dim("layer")
        silent: float = metric("share of silent activations", unit="1")

    @hookimpl
    def analyze_activations(self, activations: Activations) -> Iterator[Row]:
        for site, post in activations.items():  # [batch, d_mlp]
            yield self.Row(layer=int(site.split(".")[1]), silent=(post <= self.threshold).double().mean().item())
