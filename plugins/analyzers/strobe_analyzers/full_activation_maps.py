"""A sharp picture of chosen neurons."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field

import strobe
from strobe import Activations, Analyzer, Last, Probe, StrobeError, array, dim, hookimpl, maths, metric

from .activation_maps import halved


class FullActivationMaps(Analyzer):
    """The activation of chosen neurons over (a, b), every cell, p x p: what the 28 x 28 tiles of `activation_maps` cannot resolve (k above 14).

    Runs only when asked for: `strobe analyze RUN -a full_activation_maps --set 'full_activation_maps.neurons=[3,17]'`; in every layer that has the
    neuron. float16: 3 digits. Cost at p=113: 26 KB and 0.1 ms per neuron and checkpoint, beside the forward.
    """

    sites = {"blocks.*.mlp.post": Last()}
    families = ("modular_addition", "modular_mlp")
    opt_in = True

    neurons: list[int] = Field(default_factory=list)

    class Row(strobe.Row):
        layer: int = dim("layer")
        neuron: int = dim("neuron")
        map: np.ndarray = array("activation over a (rows) and b (columns), over scale", dims=["a", "b"], dtype="float16", unit="activation")
        scale: float = metric("what the map is to be multiplied with: 1 unless its largest value is beyond float16", unit="1")

    @hookimpl
    def analyze_activations(self, activations: Activations, probe: Probe) -> Iterator[Row]:
        if not self.neurons:
            raise StrobeError("full_activation_maps: name the neurons, such as --set 'full_activation_maps.neurons=[3,17]'")
        maths.grid_modulus(probe.inputs)
        for site, h in activations.items():  # [p*p, d_mlp]
            if odd := [n for n in self.neurons if not 0 <= n < h.shape[1]]:
                raise StrobeError(f"full_activation_maps: no neuron {odd[0]} at {site}: there are 0..{h.shape[1] - 1}")
            chosen = sorted(set(self.neurons))
            for neuron, map_, scale in zip(chosen, *halved(maths.grid_maps(h[:, chosen])), strict=True):
                yield self.Row(layer=int(site.split(".")[1]), neuron=neuron, map=map_, scale=scale)
