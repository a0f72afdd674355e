"""Which numbers of a run go together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd
from pydantic import Field

import strobe
from strobe import Analyzer, Context, Results, StrobeError, dim, hookimpl, metric

from .run_table import NUMBERS, profiles, varying


class RunCorrelations(Analyzer):
    """Spearman's rank correlation of every two numbers of the runs' profiles, and of the numeric parameters in which they differ, with an interval.

    rho: 1 the same order, -1 the opposite, 0 none. The interval is the middle `interval` of `resamples` seeded bootstrap resamples of the runs; with
    fewer than about 10 runs it is wide, and too narrow all the same. Many pairs are compared: about one in twenty intervals of unrelated numbers
    excludes 0 at 0.95, and dates of one run are related by construction (generalising comes after the turn). `columns` limits the pairs to those that
    hold one of them. Only runs that have both numbers count; at least `min_runs`, and neither may be the same for all, or there is no row.
    Cost: reads one row per run; 2 ms per pair.
    """

    scope = "runs"
    consumes = "run_profile"
    families = ("modular_addition", "modular_mlp")

    columns: tuple[str, ...] = ()
    min_runs: int = Field(4, ge=3)
    interval: float = Field(0.95, gt=0, lt=1)
    resamples: int = Field(1000, ge=100)
    seed: int = Field(0, ge=0)

    class Row(strobe.Row):
        x: str = dim("number or parameter")
        y: str = dim("another")
        runs: int = metric("runs that have both", unit="1")
        rho: float = metric("rank correlation, -1..1", unit="1")
        low: float | None = metric("lower end of its bootstrap interval", unit="1")
        high: float | None = metric("upper end", unit="1")
        excludes_zero: bool = dim("whether the interval excludes 0")

    @hookimpl
    def analyze_results(self, results: Results, context: Context) -> Iterator[Row]:
        values = profiles(results["run_profile"])
        for name in varying(context.parameters, values.index):
            if name not in NUMBERS:
                values[name] = pd.to_numeric(pd.Series([_plain(context.parameters.get(r, {}).get(name)) for r in values.index], index=values.index))
        if unknown := [c for c in self.columns if c not in values]:
            raise StrobeError(f"run_correlations: no column {unknown[0]!r}; there are {', '.join(values)}")
        rng = np.random.default_rng(self.seed)
        for x, y in combinations(values.columns, 2):
            pair = values[[x, y]].dropna().to_numpy()
            wanted = not self.columns or x in self.columns or y in self.columns
            if wanted and len(pair) >= self.min_runs and (pair != pair[0]).any(axis=0).all():
                yield self._row(x, y, pair, rng)

    def _row(self, x: str, y: str, pair: np.ndarray, rng: np.random.Generator) -> Row:
        drawn = pair[rng.integers(0, len(pair), (self.resamples, len(pair)))]  # [resample, run, 2]
        rhos = spearman(drawn[..., 0], drawn[..., 1])
        rhos = rhos[np.isfinite(rhos)]
        tail = (1 - self.interval) / 2
        low, high = (float(np.quantile(rhos, q)) if len(rhos) else None for q in (tail, 1 - tail))
        return self.Row(
            x=x,
            y=y,
            runs=len(pair),
            rho=float(spearman(pair[None, :, 0], pair[None, :, 1])[0]),
            low=low,
            high=high,
            excludes_zero=low is not None and high is not None and not low <= 0 <= high,
        )


def spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rank correlation along the last axis, ties at their mean rank: [...] from two [..., n]. NaN where one does not vary."""
    a, b = (_ranks(v) for v in (x, y))
    a, b = (v - v.mean(-1, keepdims=True) for v in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = (a * b).sum(-1) / np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    return np.clip(rho, -1, 1)


def _ranks(values: np.ndarray) -> np.ndarray:
    """By pandas, which is there already: importing scipy.stats takes 0.6 s of CPU, more than all this costs."""
    rows = pd.DataFrame(values.reshape(-1, values.shape[-1]))
    return rows.rank(axis=1).to_numpy().reshape(values.shape)


def _plain(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
