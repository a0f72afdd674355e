"""A picture of every neuron."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from pydantic import Field

import strobe
from strobe import Activations, Analyzer, Last, Probe, array, dim, hookimpl, maths, metric

from .activation_sample import drawn


class ActivationMaps(Analyzer):
    """Each neuron's activation over (a, b), resampled from p x p to 28 x 28 (bilinear with antialiasing; p x p as it is when p is smaller).

    Antialiasing averages what falls between the points, so nothing false appears; but 28 points cannot show frequencies above 14: such a neuron
    looks grey here, and its stripes need the full map. For comparing steps at full resolution there is a `sample` where the map is resampled: the
    activation at `pairs` pairs (a, b), a seeded draw that is the same for every neuron and step, in 255 levels.
    Cost at p=113, 512 neurons: 16 ms; 1,568 bytes per neuron for the map and 128 for the sample, before compression.
    """

    sites = {"blocks.*.mlp.post": Last()}
    families = ("modular_addition", "modular_mlp")

    size: int = Field(28, ge=2)
    """Points per side of a map."""
    pairs: int = Field(128, ge=1)

    class Row(strobe.Row):
        layer: int = dim("layer")
        neuron: int = dim("neuron")
        map: np.ndarray = array("activation over a (rows) and b (columns), over scale", dims=["a", "b"], dtype="float16", unit="activation")
        scale: float = metric("what the map is to be multiplied with: 1 unless its largest value is beyond float16", unit="1")
        sample: np.ndarray | None = array(
            "activation at the sampled pairs over its largest there, times 127; null where the map has every pair, or when it is not finite",
            dims=["pair"],
            dtype="int8",
            unit="1",
        )

    @hookimpl
    def analyze_activations(self, activations: Activations, probe: Probe) -> Iterator[Row]:
        p = maths.grid_modulus(probe.inputs)
        for site, h in activations.items():  # [p*p, d_mlp]
            layer = int(site.split(".")[1])
            maps, scales = halved(_resampled(h, p, self.size))
            samples = sampled(h, self.pairs) if self.size < p else [None] * len(maps)
            for neuron, (small, scale, sample) in enumerate(zip(maps, scales, samples, strict=True)):
                yield self.Row(layer=layer, neuron=neuron, map=small, scale=scale, sample=sample)


def halved(maps: torch.Tensor) -> tuple[np.ndarray, list[float]]:
    """Maps [n, a, b] in float16, and what each is to be multiplied with: a power of two where float16 ends (65,504), else 1."""
    over = maps.abs().amax((1, 2)).double() / 60_000
    scales = torch.where(over.isfinite() & (over > 1), over.clamp(min=1).log2().ceil().exp2(), 1.0)
    return (maps / scales[:, None, None].to(maps.dtype)).half().numpy(), scales.tolist()


def sampled(h: torch.Tensor, pairs: int) -> list[np.ndarray | None]:
    """Each column of h [p*p, n] at the drawn inputs, over its largest absolute value there, times 127: int8 [pairs]; None when it is not finite."""
    x = h[drawn(len(h), pairs, 0)].double().T  # [n, pairs]
    peak = x.abs().amax(1)
    levels = (x / torch.where(peak > 0, peak, 1.0)[:, None] * 127).round()
    return [row if known else None for row, known in zip(levels.nan_to_num().to(torch.int8).numpy(), peak.isfinite().tolist(), strict=True)]


def _resampled(h: torch.Tensor, p: int, size: int) -> torch.Tensor:
    """Maps [n, size, size] from activations [p*p, n]: two matrix products, half the cost of resampling 512 images after transposing them."""
    if size >= p:
        return maths.grid_maps(h)
    across = resampling(p, size)
    rows = (across @ h.float().reshape(p, -1)).reshape(size, p, -1)  # [size, b, n]
    return (across @ rows).permute(2, 0, 1)  # [n, size, size]


@cache
def resampling(p: int, size: int) -> torch.Tensor:
    """Weights [size, p] of bilinear resampling with antialiasing along one axis: what `interpolate` does to the identity. Rows add up to 1."""
    identity = torch.eye(p)[None, None]
    return torch.nn.functional.interpolate(identity, (size, p), mode="bilinear", antialias=True)[0, 0]
