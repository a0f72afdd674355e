"""A picture of every neuron."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from pydantic import Field

import strobe
from strobe import Activations, Analyzer, Last, Probe, array, dim, hookimpl, maths


class ActivationMaps(Analyzer):
    """Each neuron's activation over (a, b), resampled from p x p to 28 x 28 (bilinear with antialiasing; p x p as it is when p is smaller).

    Antialiasing averages what falls between the points, so nothing false appears; but 28 points cannot show frequencies above 14: such a neuron
    looks grey here, and its stripes need the full map. Cost at p=113, 512 neurons: 16 ms; 1,568 bytes per neuron before compression.
    """

    sites = {"blocks.*.mlp.post": Last()}
    families = ("modular_addition", "modular_mlp")

    size: int = Field(28, ge=2)

    class Row(strobe.Row):
        layer: int = dim("layer")
        neuron: int = dim("neuron")
        map: np.ndarray = array("activation over a (rows) and b (columns)", dims=["a", "b"], dtype="float16", unit="activation")

    @hookimpl
    def analyze_activations(self, activations: Activations, probe: Probe) -> Iterator[Row]:
        p = maths.grid_modulus(probe.inputs)
        for site, h in activations.items():  # [p*p, d_mlp]
            layer = int(site.split(".")[1])
            for neuron, small in enumerate(_resampled(h, p, self.size).numpy()):
                yield self.Row(layer=layer, neuron=neuron, map=small)


def _resampled(h: torch.Tensor, p: int, size: int) -> torch.Tensor:
    """Maps [n, size, size] from activations [p*p, n]: two matrix products, half the cost of resampling 512 images after transposing them."""
    if size >= p:
        return maths.grid_maps(h).half()
    across = resampling(p, size)
    rows = (across @ h.float().reshape(p, -1)).reshape(size, p, -1)  # [size, b, n]
    return (across @ rows).permute(2, 0, 1).half()  # [n, size, size]


@cache
def resampling(p: int, size: int) -> torch.Tensor:
    """Weights [size, p] of bilinear resampling with antialiasing along one axis: what `interpolate` does to the identity. Rows add up to 1."""
    identity = torch.eye(p)[None, None]
    return torch.nn.functional.interpolate(identity, (size, p), mode="bilinear", antialias=True)[0, 0]
