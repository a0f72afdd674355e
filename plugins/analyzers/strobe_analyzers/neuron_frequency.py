"""Which frequency each neuron has committed to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch

import strobe
from strobe import Activations, Analyzer, Last, Probe, array, dim, hookimpl, maths, metric


class NeuronFrequency(Analyzer):
    """The share of a neuron's variance over all pairs (a, b) that one frequency explains, for every frequency 1..(p-1)/2.

    fraction_k = sum of G^2 over {0, cos k, sin k}^2, over sum G^2, with G = F (h - mean h) F^T and h the neuron's map over (a, b), p x p.
    Between 0 and 1: a perfect ReLU pair-sum neuron scores 0.962, a perfect quadratic one 0.8 (1.0 with `harmonics=2`, which widens the block to
    {0, k, fold(2k)}^2; the frequency is chosen with one harmonic all the same). "Well explained" is a threshold (0.85 in the paper) and belongs
    to whoever reads the fractions. Cost at p=113, 512 neurons: 45 ms with one harmonic, 330 ms with two. Source: Nanda et al. 2301.05217, 4.3.
    """

    sites = {"blocks.*.mlp.post": Last()}
    families = ("modular_addition", "modular_mlp")

    harmonics: Literal[1, 2] = 1

    class Row(strobe.Row):
        layer: int = dim("layer")
        neuron: int = dim("neuron")
        frequency: int | None = dim("frequency that explains most of the neuron, chosen with one harmonic; null when its activation is constant")
        fraction: float | None = metric("share of the neuron's variance that this frequency explains; null when its activation is constant", unit="1")
        fractions: np.ndarray | None = array("share of variance per frequency, from frequency 1 on", dims=["frequency"], unit="1")
        dead: bool = dim("dead on the probe: its activation is 0 for every input, so for ReLU its maximum over the grid is 0")

    @hookimpl
    def analyze_activations(self, activations: Activations, probe: Probe) -> Iterator[Row]:
        maths.grid_modulus(probe.inputs)
        for site, h in activations.items():  # [p*p, d_mlp]
            yield from self._rows(int(site.split(".")[1]), h)

    def _rows(self, layer: int, h: torch.Tensor) -> Iterator[Row]:
        first = maths.grid_fractions(h)  # [d_mlp, frequency]
        told = ~maths.is_constant(h) & first.isfinite().all(1)
        best = first.nan_to_num(-1).argmax(1).tolist()
        fractions = (first if self.harmonics == 1 else maths.map_fractions(maths.grid_maps(h), self.harmonics)).numpy()
        dead = ((h.amin(0) == 0) & (h.amax(0) == 0)).tolist()
        for neuron, known in enumerate(told.tolist()):
            if known:
                row, k = fractions[neuron], best[neuron]
                yield self.Row(layer=layer, neuron=neuron, frequency=k + 1, fraction=float(row[k]), fractions=row, dead=False)
            else:
                yield self.Row(layer=layer, neuron=neuron, frequency=None, fraction=None, fractions=None, dead=dead[neuron])
