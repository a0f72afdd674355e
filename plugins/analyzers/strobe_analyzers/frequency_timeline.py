"""When each frequency comes into use, and when it goes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pydantic import Field

import strobe
from strobe import Analyzer, Results, dim, hookimpl, metric


class FrequencyTimeline(Analyzer):
    """When each frequency is acquired and lost in the embedding, the neurons, the heads and the logits, with the interval between checkpoints.

    What is followed is a share per frequency, 0..1: `embedding` its share of the power of W_E; `neurons` the share of neurons committed to it
    (`committed` or more of a neuron explained); `attention` the share of heads that follow it (`followed` or more explained); `logits` the share of
    the variance of the logits that cos(w_k(a + b - c)) explains (grand mean removed). Acquired at the first checkpoint with `acquired_from`
    or more (`logits_from` for logits, where amplitudes enter squared twice); lost at the first after it below half of that, and so on: small dips do
    not count. `upper` is that checkpoint, `lower` the one before. Reads dominant_frequencies, neuron_frequency, head_frequency and logit_fourier.
    """

    consumes = ("dominant_frequencies", "neuron_frequency", "head_frequency", "logit_fourier")
    families = ("modular_addition",)

    acquired_from: float = Field(0.05, gt=0, le=1)
    logits_from: float = Field(0.01, gt=0, le=1)
    committed: float = Field(0.85, gt=0, le=1)
    followed: float = Field(0.5, gt=0, le=1)

    class Row(strobe.Row):
        place: str = dim("embedding, neurons, attention or logits")
        frequency: int = dim("frequency")
        change: str = dim("acquired or lost")
        at_step: int = metric("first checkpoint at which it holds", unit="step")
        lower: int = metric("checkpoint before it; the same at the first", unit="step")
        upper: int = metric("the checkpoint: the change lies between lower and upper", unit="step")
        share: float = metric("share of the frequency at that checkpoint", unit="1")
        peak_share: float = metric("largest share that the frequency has in this place over the run", unit="1")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        shares = {
            "embedding": _embedding(results["dominant_frequencies"]),
            "neurons": _counted(results["neuron_frequency"], "neuron", self.committed),
            "attention": _counted(results["head_frequency"], "head", self.followed),
            "logits": _logits(results["logit_fourier"]),
        }
        for place, table in shares.items():
            level = self.logits_from if place == "logits" else self.acquired_from
            for k in table.columns:
                yield from self._changes(place, int(k), table[k], level)

    def _changes(self, place: str, k: int, share: pd.Series, level: float) -> Iterator[Row]:
        steps, values = share.index.to_numpy(np.int64), share.to_numpy(float)
        held = False
        for i, value in enumerate(values):
            if (value >= level) if not held else (value < level / 2):
                held = not held
                yield self.Row(
                    place=place,
                    frequency=k,
                    change="acquired" if held else "lost",
                    at_step=int(steps[i]),
                    lower=int(steps[max(i - 1, 0)]),
                    upper=int(steps[i]),
                    share=float(value),
                    peak_share=float(np.nanmax(values)),
                )


def _embedding(table: pd.DataFrame) -> pd.DataFrame:
    """Share of W_E per frequency: [step, frequency]."""
    rows = table[(table["view"] == "W_E") & (table["frequency"] > 0)]
    return rows.groupby(["step", "frequency"])["share"].sum(min_count=1).unstack().astype(float).sort_index()


def _counted(table: pd.DataFrame, unit: str, threshold: float) -> pd.DataFrame:
    """Share of neurons or heads that follow each frequency: [step, frequency]. The share is of all layers' units together."""
    total = table.groupby("step")[unit].size()
    following = table[table["fraction"].astype(float) >= threshold]
    counts = following.groupby(["step", "frequency"]).size().unstack(fill_value=0)
    return counts.reindex(total.index, fill_value=0).div(total, axis=0).sort_index()


def _logits(table: pd.DataFrame) -> pd.DataFrame:
    """Share of the logits' variance per frequency: [step, frequency]."""
    rows = table[(table["keys"] == "all") & table["fve"].notna()].set_index("step").sort_index()
    shares = {}
    for step, coefficients, frequencies, fve in zip(rows.index, rows["coefficients"], rows["frequencies"], rows["fve"], strict=True):
        power = np.asarray(coefficients, float) ** 2
        shares[step] = pd.Series(fve * power / max(power.sum(), 1e-300), index=np.asarray(frequencies, int))
    return pd.DataFrame(shares).T.sort_index()
