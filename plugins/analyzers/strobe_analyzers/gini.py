"""How few frequencies hold a weight matrix."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

import strobe
from strobe import Analyzer, Results, dim, hookimpl, maths, metric


class Gini(Analyzer):
    """Gini coefficient of the Fourier amplitudes of every view of the weights: 0 when all frequencies are alike, towards 1 when one holds everything.

    G = sum_i (2i - n - 1) v_i / (n sum v), v ascending, between 0 and 1 - 1/n. Of three vectors, because published numbers differ in it:
    `pairs` the norm of each frequency's (cos, sin) pair (n = p // 2; a circle embedding scores 1 - 1/n), `components` every cos and sin amplitude,
    and `components_with_dc` these and the constant. Null for a view that is zero or not finite. Reads the rows of dominant_frequencies, so it costs
    no tensor at all: 6 ms per checkpoint. Source: Hurley & Rickard 2009; pairs as in Nanda et al. 2301.05217.
    """

    consumes = "dominant_frequencies"
    families = ("modular_addition", "modular_mlp")

    class Row(strobe.Row):
        view: str = dim("weight matrix, expressed over residues")
        head: int | None = dim("attention head, for per-head views")
        vector: str = dim("which amplitudes: pairs, components, or components_with_dc")
        gini: float | None = metric("Gini coefficient, 0..1 - 1/n; null when all amplitudes are zero or one is not finite", unit="1")

    @hookimpl
    def analyze_weights(self, results: Results) -> Iterator[Row]:
        for view in _views(results["dominant_frequencies"]):
            for vector, values in _vectors(view).items():
                known = bool(values.isfinite().all()) and bool(values.sum() > 0)
                yield self.Row(view=view.name, head=view.head, vector=vector, gini=maths.gini(values) if known else None)


class View(NamedTuple):
    """The Fourier rows of one view."""

    name: str
    head: int | None
    amplitudes: torch.Tensor
    frequencies: torch.Tensor


def _views(table: pd.DataFrame) -> Iterator[View]:
    amplitudes = torch.tensor(table["amplitude"].to_numpy(float, na_value=float("nan")))
    frequencies = torch.tensor(table["frequency"].to_numpy(np.int64))
    labels = list(zip(table["view"], table["head"], strict=True))
    starts = torch.nonzero(frequencies == 0).flatten().tolist()  # every view begins with its constant
    for start, end in itertools.pairwise([*starts, len(labels)]):
        name, head = labels[start]
        yield View(str(name), None if pd.isna(head) else int(head), amplitudes[start:end], frequencies[start:end])


def _vectors(view: View) -> dict[str, torch.Tensor]:
    pairs = torch.zeros(int(view.frequencies.max()) + 1, dtype=torch.float64).index_add_(0, view.frequencies, view.amplitudes**2)[1:].sqrt()
    return {"pairs": pairs, "components": view.amplitudes[view.frequencies > 0], "components_with_dc": view.amplitudes}
