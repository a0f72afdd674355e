from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

import strobe
from strobe import Analyzer, Context, Results, dim, hookimpl, metric


class RegularisedLoss(Analyzer):
    """What weight decay trades off: loss + weight_decay ||w||^2 / 2 over all parameters, at every checkpoint, in nats.

    It keeps falling while the training loss alone is flat, which is when grokking happens: a solution of smaller norm is cheaper. AdamW's decay
    is decoupled from the gradient, so this is not what the optimizer descends, only what the two forces would agree on.
    `weight_decay` is stored in every row: the setting, else what the metrics recorded of the run's training, else the default of its family's.
    Null where the loss was not recorded at the checkpoint or a weight is not finite; never below the loss.
    Cost: reads the stored norms of `weight_norms` and the metrics. Source: Nanda et al. 2301.05217, section 5.2.
    """

    consumes = "weight_norms"
    weight_decay: float | None = None

    class Row(strobe.Row):
        step: int = dim("training step of the checkpoint")
        weight_decay: float = metric("weight decay it was taken with", unit="1")
        sum_of_squares: float | None = metric("||w||^2 over all parameters", unit="1")
        penalty: float | None = metric("weight_decay ||w||^2 / 2", unit="nats")
        train: float | None = metric("training loss + penalty", unit="nats")
        test: float | None = metric("test loss + penalty", unit="nats")

    @hookimpl
    def analyze_results(self, results: Results, metrics: pd.DataFrame, context: Context) -> Iterator[Row]:
        decay = self._decay(metrics, context)
        squares = results["weight_norms"].assign(square=lambda t: t["frobenius"].astype(float) ** 2)
        losses = metrics.drop_duplicates("step", keep="last").set_index("step")
        for step, rows in squares.groupby("step", sort=True):
            total = float(rows["square"].sum(skipna=False))
            penalty = decay * total / 2
            here = losses.loc[step] if step in losses.index else {}
            yield self.Row(
                step=int(step),
                weight_decay=decay,
                sum_of_squares=_known(total),
                penalty=_known(penalty),
                train=_known(here.get("train_loss"), penalty),
                test=_known(here.get("test_loss"), penalty),
            )

    def _decay(self, metrics: pd.DataFrame, context: Context) -> float:
        recorded = metrics["weight_decay"].dropna() if "weight_decay" in metrics else []
        if self.weight_decay is not None:
            return self.weight_decay
        return float(recorded.iloc[-1]) if len(recorded) else context.family.training().weight_decay


def _known(value: float | None, penalty: float = 0.0) -> float | None:
    """The value plus the penalty, None where either is missing."""
    total = float("nan") if value is None or pd.isna(value) else float(value) + penalty
    return total if total - total == 0 else None
