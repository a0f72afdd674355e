"""Which run is not like its peers, and in what."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pandas as pd
from pydantic import Field

import strobe
from strobe import Analyzer, Context, Results, dim, hookimpl, metric

from .run_table import LOGARITHMIC, NUMBERS, SEEDS, alike, compared, profiles

WHOLE = ("n_keys", "n_lost", "robust_crossings", "generalises", "loop_closed")
"""Counts and yes-or-no: peers that all agree are taken to deviate by a quarter."""


class Anomalies(Analyzer):
    """Robust z-score of each number of a run's profile against the run's peers, and what makes it anomalous.

    Peers: the other runs with the same family and parameters but for `ignore` (seeds). z = (value - median of the peers) / deviation, with deviation
    = 1.4826 times their median absolute one, at least `floor` of the magnitude of the median (a count or yes-or-no: 0.25), so that peers which agree
    to the last digit do not make an anomaly of nothing. Losses and the delay are compared as log10. The run itself is not among its peers, or it
    would hide itself. With few peers the deviation is a guess: `null_rate` is how often a normal draw lies as far from the median of as many others
    (20,000 seeded draws), and a number is anomalous only with |z| >= `threshold` *and* null_rate <= `level`. There are about 35 numbers per run:
    expect 35 times `level` false ones, and read `rank`, 1 for the farthest out. A number that the run lacks while all its peers have one (it never
    generalised) is anomalous too, without a z. Fewer than `min_peers` peers: no z, and `why` says so.
    Cost: reads one row per run.
    """

    scope = "runs"
    consumes = "run_profile"
    families = ("modular_addition", "modular_mlp")

    threshold: float = Field(3.5, gt=0)
    level: float = Field(0.01, gt=0, le=1)
    min_peers: int = Field(3, ge=2)
    floor: float = Field(0.02, ge=0)
    ignore: tuple[str, ...] = SEEDS
    seed: int = Field(0, ge=0)

    class Row(strobe.Row):
        run: str = dim("run")
        column: str = dim("number of its profile")
        anomalous: bool = dim("whether it is out of line with its peers")
        why: str = dim("in words")
        rank: int | None = metric("place among the run's numbers, 1 farthest from its peers; null without a z", unit="1")
        value: float | None = metric("the run's number", unit="1")
        peers: int = metric("peers that have this number", unit="1")
        peer_median: float | None = metric("their median", unit="1")
        peer_low: float | None = metric("their smallest", unit="1")
        peer_high: float | None = metric("their largest", unit="1")
        z: float | None = metric("robust z-score, of log10 where `log` is true", unit="1")
        log: bool = dim("whether log10 values were compared")
        null_rate: float | None = metric("how often a normal draw is as far out against as many peers", unit="1")

    @hookimpl
    def analyze_results(self, results: Results, context: Context) -> Iterator[Row]:
        values = profiles(results["run_profile"])
        scaled = compared(values)
        like = {run: alike(context.parameters, run, self.ignore) for run in values.index}
        for run in values.index:
            peers = [other for other in values.index if other != run and like[other] == like[run]]
            rows = [self._row(run, name, values[name], scaled[name], peers) for name in NUMBERS]
            order = sorted((r for r in rows if r["z"] is not None), key=lambda r: -abs(r["z"]))
            ranks = {r["column"]: i + 1 for i, r in enumerate(order)}
            yield from (self.Row(**r, rank=ranks.get(r["column"])) for r in rows)

    def _row(self, run: str, column: str, values: pd.Series, scaled: pd.Series, peers: list[str]) -> dict[str, object]:
        raw, own, others = values[run], scaled[run], scaled[peers].dropna().to_numpy()
        known = values[peers].dropna()
        row: dict[str, object] = {
            "run": run,
            "column": column,
            "value": _number(raw),
            "peers": len(others),
            "peer_median": _number(known.median()) if len(known) else None,
            "peer_low": _number(known.min()) if len(known) else None,
            "peer_high": _number(known.max()) if len(known) else None,
            "log": column in LOGARITHMIC,
            "anomalous": False,
            "z": None,
            "null_rate": None,
        }
        if len(peers) < self.min_peers:
            return row | {"why": f"{len(peers)} peers, at least {self.min_peers} are needed"}
        if np.isnan(own):
            missing = len(others) == len(peers)
            return row | {"anomalous": missing, "why": f"has none; all {len(peers)} peers do" if missing else "has none"}
        if len(others) < self.min_peers:
            return row | {"why": f"{len(others)} of {len(peers)} peers have one, at least {self.min_peers} are needed"}
        median = float(np.median(others))
        deviation, least = 1.4826 * float(np.median(np.abs(others - median))), self._least(column, median)
        z = (own - median) / max(deviation, least)
        rate = float((_null(len(others), self.seed, deviation < least) >= abs(z)).mean())
        anomalous = bool(abs(z) >= self.threshold and rate <= self.level)
        side = "above" if z > 0 else "below"
        words = f"{raw:.3g} is {side} its {len(others)} peers: median {known.median():.3g}, {known.min():.3g} to {known.max():.3g}"
        return row | {"z": float(z), "null_rate": rate, "anomalous": anomalous, "why": words if anomalous else "in line"}

    def _least(self, column: str, median: float) -> float:
        """The least deviation that means anything, on the scale that is compared."""
        return 0.25 if column in WHOLE else max(self.floor if column in LOGARITHMIC else self.floor * abs(median), 1e-12)


@cache
def _null(peers: int, seed: int, floored: bool) -> np.ndarray:
    """|z| of normal draws against as many normal peers, 20,000 of them; `floored`: their deviation is known to be 1 at least."""
    draws = np.random.default_rng(seed).standard_normal((20_000, peers + 1))
    own, others = draws[:, 0], draws[:, 1:]
    median = np.median(others, axis=1)
    deviation = 1.4826 * np.median(np.abs(others - median[:, None]), axis=1)
    return np.abs(own - median) / np.maximum(deviation, 1.0 if floored else 1e-12)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
