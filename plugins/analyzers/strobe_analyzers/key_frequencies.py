from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd
import torch

import strobe
from strobe import Analyzer, Checkpoints, Context, StrobeError, Weights, array, dim, hookimpl, maths, metric

from .token_views import class_table


class KeyFrequencies(Analyzer):
    """The frequencies a modular-addition network computes with, at every checkpoint and over the run.

    A frequency is a key when the norm of its (cos, sin) pair exceeds `threshold` times the largest, in the table that `rule` names:
    `W_L` = (W_out W_U)^T over its class axis (progress-measures paper, appendix C.2) or `W_E` over its token axis (TransformerLens demo).
    Sets: `own` at each checkpoint, `last` of the last one, and `union` of the own sets of all checkpoints with test loss below `union_below`.
    Before circuits form nearly every frequency passes, so read a set together with `n_keys`. Cost: no forward; two matrix products per checkpoint.
    """

    families = ("modular_addition", "modular_mlp")
    rule: Literal["W_L", "W_E"] = "W_L"
    threshold: float = 0.25
    union_below: float = 0.1

    class Row(strobe.Row):
        set: str = dim("own: this checkpoint's; last: the last checkpoint's; union: of all checkpoints that generalise")
        step: int | None = dim("checkpoint of an own set; null for last and union")
        frequencies: np.ndarray | None = array("key frequencies, ascending; null when weights are not finite", dims=["key"], dtype="int64", unit="1")
        n_keys: int | None = metric("how many key frequencies; above 15 the set means little", unit="1")
        flag: str | None = dim("why the set is not what its name says; null when it is")

    @hookimpl
    def analyze_trajectory(self, checkpoints: Checkpoints, metrics: pd.DataFrame, context: Context) -> Iterator[Row]:
        own = {step: self._keys(weights, context.family.p) for step, weights in checkpoints}
        for step, keys in own.items():
            yield self._row("own", step, keys)
        if own:
            last = own[max(own)]
            yield self._row("last", None, last)
            yield self._union(own, last, _test_losses(metrics))

    def _keys(self, weights: Weights, p: int) -> np.ndarray | None:
        powers = maths.frequency_powers(self._table(weights, p))
        if not powers.isfinite().all():
            return None
        norms = powers.sqrt()
        return (np.flatnonzero(norms.numpy() > self.threshold * float(norms.max())) + 1).astype(np.int64)

    def _table(self, weights: Weights, p: int) -> torch.Tensor:
        if self.rule == "W_E":
            if "embed.W_E" not in weights:
                raise StrobeError("key_frequencies: this model has no embedding; use --set key_frequencies.rule=W_L")
            return weights["embed.W_E"][:p].double()  # [p, d_model]
        if not weights.named("blocks.*.mlp.W_*"):
            raise StrobeError("key_frequencies: this model has no MLP; use --set key_frequencies.rule=W_E")
        return class_table(weights, p)

    def _union(self, own: dict[int, np.ndarray | None], last: np.ndarray | None, losses: dict[int, float]) -> Row:
        generalising = [own[step] for step in own if losses.get(step, np.inf) < self.union_below]
        found = [keys for keys in generalising if keys is not None]
        if found:
            return self._row("union", None, np.unique(np.concatenate(found)))
        why = f"no checkpoint with test loss below {self.union_below:g}" if losses else "no test loss recorded"
        return self._row("union", None, last, f"{why}: the last checkpoint's set")

    def _row(self, set_: str, step: int | None, keys: np.ndarray | None, flag: str | None = None) -> Row:
        flag = "weights are not finite" if keys is None else flag
        return self.Row(set=set_, step=step, frequencies=keys, n_keys=None if keys is None else len(keys), flag=flag)


def _test_losses(metrics: pd.DataFrame | None) -> dict[int, float]:
    if metrics is None or "test_loss" not in metrics:
        return {}
    known = metrics[["step", "test_loss"]].dropna()
    return dict(zip(known["step"].astype(int), known["test_loss"].astype(float), strict=True))
