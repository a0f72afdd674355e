"""How much weight the neurons of each frequency have, and lose."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pydantic import Field

import strobe
from strobe import Analyzer, Results, dim, hookimpl, metric


class CohortNorms(Analyzer):
    """For every frequency that ever had a cohort of neurons: how much weight its neurons have at each step, the same neurons throughout.

    Members of k are the neurons that k explains to `threshold` or more at the last checkpoint at which they are most; k has a cohort when they are
    `cohort` of all neurons or more. `norm` is the sum over the members of |W_in[:, i]| |W_out[i, :]| (neuron_norms). `change` compares it with the
    checkpoint before: -0.9 is 90 % lost between two checkpoints, what weight decay does to a frequency that is given up, while neurons that are
    still in use keep theirs. A neuron may be a member of two frequencies, at different steps. Null where a weight is not finite, and `change` at
    the first checkpoint. No forward: reads neuron_norms and neuron_frequency.
    """

    consumes = ("neuron_norms", "neuron_frequency")
    families = ("modular_addition", "modular_mlp")

    threshold: float = Field(0.7, gt=0, le=1)
    cohort: float = Field(0.05, gt=0, le=1)

    class Row(strobe.Row):
        layer: int = dim("layer")
        frequency: int = dim("frequency that had a cohort")
        step: int = dim("training step of the checkpoint")
        members: int = metric("neurons in the cohort", unit="neurons")
        members_step: int = metric("checkpoint that says which neurons they are", unit="step")
        norm: float | None = metric("sum over them of the norm of their input weights times that of their output weights", unit="1")
        change: float | None = metric("norm over that of the checkpoint before, less 1; -1 when all is lost", unit="1")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        norms = results["neuron_norms"]
        for layer, table in results["neuron_frequency"].groupby("layer"):
            known = norms[norms["layer"] == layer].sort_values("step")
            if len(known):
                for k, (step, members) in cohorts(table, self.threshold, self.cohort).items():
                    yield from self._rows(int(str(layer)), k, step, members, known)

    def _rows(self, layer: int, k: int, members_step: int, members: np.ndarray, norms: pd.DataFrame) -> Iterator[Row]:
        before: float | None = None
        for step, cells in zip(norms["step"], norms["norms"], strict=True):
            norm = None if cells is None else float(np.asarray(cells, float)[members].sum())
            change = norm / before - 1 if norm is not None and before else None
            yield self.Row(layer=layer, frequency=k, step=int(step), members=len(members), members_step=members_step, norm=norm, change=change)
            before = norm


def cohorts(table: pd.DataFrame, threshold: float, least: float) -> dict[int, tuple[int, np.ndarray]]:
    """Frequency -> (last checkpoint with most members, their numbers), ascending; `table`: the rows of neuron_frequency of one layer."""
    members = table[table["fraction"].astype(float) >= threshold]
    total = table["neuron"].nunique()
    found = {}
    for k, rows in members.groupby("frequency"):
        counts = rows.groupby("step").size().sort_index()
        if counts.max() >= least * total:
            step = int(counts.index[counts == counts.max()][-1])
            found[int(str(k))] = (step, np.sort(rows.loc[rows["step"] == step, "neuron"].to_numpy(np.int64)))
    return found
