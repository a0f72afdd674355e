"""Which pattern the errors follow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

import strobe
from strobe import Analyzer, Context, Results, array, dim, hookimpl, maths, metric


class ErrorStructure(Analyzer):
    """Fourier structure of the p x p maps of errors and of margins over (a, b), at every checkpoint.

    `error` is 1 where the answer is wrong, `margin` the margin. fraction_k is the share of the map's variance in {0, cos k, sin k}^2 (the rule of
    neuron_frequency); `sum_share` the share that depends on a + b alone, all of it when whole residue classes fail. For errors that strike at random,
    fraction_k is about 8 / (p^2 - 1) and sum_share (p - 1) / (p^2 - 1): `null_fraction` and `null_sum_share`. Null where a map does not vary (no
    errors, or nothing but errors). The maps themselves: input_trace. Cost at p=113: 3 ms per checkpoint, no forward.
    """

    consumes = "input_trace"
    families = ("modular_addition", "modular_mlp")
    where = {"operation": ("a+b",)}

    class Row(strobe.Row):
        step: int = dim("training step of the checkpoint")
        map: str = dim("error or margin")
        mean: float | None = metric("mean of the map: error rate, or mean margin", unit="1")
        frequency: int | None = dim("frequency with the largest share; null when the map does not vary")
        fraction: float | None = metric("its share of the map's variance", unit="1")
        null_fraction: float = metric("share of each frequency in a map without structure", unit="1")
        sum_share: float | None = metric("share of the map's variance that depends on a + b alone", unit="1")
        null_sum_share: float = metric("the same in a map without structure", unit="1")
        fractions: np.ndarray | None = array("share of variance per frequency, from frequency 1 on", dims=["frequency"], unit="1")

    @hookimpl
    def analyze_results(self, results: Results, context: Context) -> Iterator[Row]:
        p = context.family.p
        for row in results["input_trace"].sort_values("step").to_dict("records"):
            known = row["rank"] is not None and len(row["rank"]) == p * p
            rank, margin = (torch.tensor(np.asarray(row[n], float)) if known else None for n in ("rank", "margin"))
            error = None if rank is None or margin is None else ((rank > 0) | (margin <= 0)).double()
            for name, values in (("error", error), ("margin", margin)):
                yield self._row(int(row["step"]), name, values, p)

    def _row(self, step: int, name: str, values: torch.Tensor | None, p: int) -> Row:
        null = {"null_fraction": 8 / (p**2 - 1), "null_sum_share": (p - 1) / (p**2 - 1)}
        fractions = None if values is None else maths.map_fractions(values.reshape(1, p, p))[0]
        mean = None if values is None else float(values.mean())
        if values is None or fractions is None or not len(fractions) or not bool(fractions.isfinite().all()):
            return self.Row(step=step, map=name, mean=mean, frequency=None, fraction=None, sum_share=None, fractions=None, **null)
        k = int(fractions.argmax())
        return self.Row(
            step=step,
            map=name,
            mean=mean,
            frequency=k + 1,
            fraction=float(fractions[k]),
            sum_share=_sum_share(values - values.mean(), p),
            fractions=fractions.float().numpy(),
            **null,
        )


def _sum_share(centred: torch.Tensor, p: int) -> float:
    sums = maths.class_sums(centred[:, None], p)[:, 0]
    return float((sums**2).sum() / p / (centred**2).sum())
