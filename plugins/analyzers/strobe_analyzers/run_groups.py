"""What stays the same from run to run, and what the seed decides."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pydantic import Field

import strobe
from strobe import Analyzer, Context, Results, dim, hookimpl, metric

from .run_table import NUMBERS, profiles, text, varying


class RunGroups(Analyzer):
    """Runs grouped by each parameter in which they differ: mean and spread of every number of their profiles, per group.

    `parameter` "all" is all runs together. spread = standard deviation over |mean|: a number is *consistent* in a group when that is at most
    `consistent_below`, else *seed-dependent* (what differs inside a group is the seed, or another parameter: group by that as well). between = share
    of the variance over all runs that lies between the groups, 0 (the parameter says nothing) to 1 (everything); even a meaningless grouping has
    some, so `between_null` holds the 95th percentile over `shuffles` seeded shuffles. `by` names the parameters; empty: all that vary and make fewer
    groups than runs. Groups of one run have no spread. Cost: reads one row per run.
    """

    scope = "runs"
    consumes = "run_profile"
    families = ("modular_addition", "modular_mlp")

    by: tuple[str, ...] = ()
    consistent_below: float = Field(0.1, gt=0)
    shuffles: int = Field(200, ge=1)
    seed: int = Field(0, ge=0)

    class Row(strobe.Row):
        parameter: str = dim("parameter that the runs are grouped by; all: one group")
        group: str = dim("its value")
        column: str = dim("number of the profiles")
        kind: str = dim("consistent, seed-dependent, one run, or none")
        runs: int = metric("runs in the group", unit="1")
        known: int = metric("of them, those that have the number", unit="1")
        mean: float | None = metric("mean over them", unit="1")
        deviation: float | None = metric("standard deviation over them (n - 1)", unit="1")
        spread: float | None = metric("deviation over |mean|", unit="1")
        low: float | None = metric("smallest", unit="1")
        high: float | None = metric("largest", unit="1")
        between: float | None = metric("share of the variance over all runs that lies between the groups, 0..1", unit="1")
        between_null: float | None = metric("95th percentile of the same for shuffled groups", unit="1")

    @hookimpl
    def analyze_results(self, results: Results, context: Context) -> Iterator[Row]:
        values = profiles(results["run_profile"])
        for parameter in ("all", *(self.by or self._worthwhile(context, values.index))):
            labels = pd.Series([_label(context, run, parameter) for run in values.index], index=values.index)
            for column in NUMBERS:
                between, null = self._between(values[column], labels)
                for group, members in values[column].groupby(labels, sort=True):
                    yield self._row(parameter, str(group), column, members, between, null)

    def _worthwhile(self, context: Context, runs: pd.Index) -> list[str]:
        differing = varying(context.parameters, runs)
        return [name for name in differing if len({_label(context, run, name) for run in runs}) < len(runs)]

    def _row(self, parameter: str, group: str, column: str, members: pd.Series, between: float | None, null: float | None) -> Row:
        known = members.dropna().to_numpy()
        mean = float(known.mean()) if len(known) else None
        deviation = float(known.std(ddof=1)) if len(known) > 1 else None
        spread = deviation / abs(mean) if deviation is not None and mean else 0.0 if deviation == 0 else None
        consistent = spread is not None and spread <= self.consistent_below
        return self.Row(
            parameter=parameter,
            group=group,
            column=column,
            kind="none" if not len(known) else "one run" if len(known) == 1 else "consistent" if consistent else "seed-dependent",
            runs=len(members),
            known=len(known),
            mean=mean,
            deviation=deviation,
            spread=spread,
            low=float(known.min()) if len(known) else None,
            high=float(known.max()) if len(known) else None,
            between=between,
            between_null=null,
        )

    def _between(self, values: pd.Series, labels: pd.Series) -> tuple[float | None, float | None]:
        known = values.dropna()
        codes = pd.factorize(labels[known.index])[0]
        if codes.max(initial=0) == 0 or codes.max() + 1 == len(known) or known.std(ddof=0) == 0:
            return None, None
        rng, array = np.random.default_rng(self.seed), known.to_numpy()
        null = [between_share(rng.permutation(array), codes) for _ in range(self.shuffles)]
        return between_share(array, codes), float(np.percentile(null, 95))


def between_share(values: np.ndarray, codes: np.ndarray) -> float:
    """Share of the variance of `values` that lies between groups (eta squared), 0..1; `codes` 0, 1, ... say which group each belongs to."""
    sizes = np.bincount(codes)
    means = np.bincount(codes, values) / sizes
    return float((sizes * (means - values.mean()) ** 2).sum() / ((values - values.mean()) ** 2).sum())


def _label(context: Context, run: str, parameter: str) -> str:
    return "all" if parameter == "all" else text(context.parameters.get(run, {}).get(parameter))
