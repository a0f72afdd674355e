"""What moves before the turn, and what follows it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pydantic import Field

import strobe
from strobe import Analyzer, Results, dim, hookimpl, metric

from .crossings import Date, share_done, steepest
from .dimensionality_threshold import moment

SIGNALS = {"participation_ratio_sigma": -1, "participation_ratio_lambda": -1, "stable_rank": -1, "spectral_gap": 1}


class TurnPredictors(Analyzer):
    """When each weight matrix's spectrum changes, against the turn of the test loss: falling participation ratios, rising spectral gap.

    Per matrix and signal, on the logarithm, from memorising (the first checkpoint, where it is unknown) to the last checkpoint: the onset (`early`,
    10 %, of the whole change is done for good), half-way, and the interval of the fastest change. Each less the turn. `order` holds half-way against
    the turn: leads, follows, or around when their intervals between recorded steps overlap. One run shows an order, not a cause: whether a date
    predicts the turn is a matter of several runs (run_correlations). No date where the signal does not change in its direction (ratios fall, the gap
    rises). The gap is that of `spectral_gap`, nearly 1 while there is none. Cost: reads stored spectra and phases.
    """

    consumes = ("effective_dimensionality", "spectral_gap", "phases")

    early: float = Field(0.1, gt=0, lt=1)

    class Row(strobe.Row):
        parameter: str = dim("canonical parameter name")
        signal: str = dim("participation_ratio_sigma, participation_ratio_lambda, stable_rank or spectral_gap")
        order: str | None = dim("leads, around or follows the turn; null where one is missing")
        onset: float | None = metric("step at which `early` of the change is done", unit="step")
        half: float | None = metric("step at which half of the change is done", unit="step")
        half_lower: int | None = metric("checkpoint before half-way", unit="step")
        half_upper: int | None = metric("checkpoint after it", unit="step")
        fastest: float | None = metric("middle of the interval of fastest change", unit="step")
        onset_minus_turn: float | None = metric("onset less the turn", unit="step")
        half_minus_turn: float | None = metric("half-way less the turn", unit="step")
        fastest_minus_turn: float | None = metric("fastest change less the turn", unit="step")
        change: float | None = metric("last value over the first", unit="1")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        spectra, gaps, phases = results["effective_dimensionality"], results["spectral_gap"], results["phases"]
        for signal, sign in SIGNALS.items():
            table, column = (gaps, "gap") if signal == "spectral_gap" else (spectra, signal)
            for parameter, rows in table[table["head"].isna()].groupby("parameter", sort=False):
                known = rows.dropna(subset=[column]).sort_values("step")
                known = known[known["step"] >= (moment(phases, "memorised") or 0)]
                if len(known):
                    yield self._row(str(parameter), signal, sign, known["step"].to_numpy(np.int64), known[column].to_numpy(float), phases)

    def _row(self, parameter: str, signal: str, sign: int, steps: np.ndarray, values: np.ndarray, phases: pd.DataFrame) -> Row:
        turn = moment(phases, "turn")
        onset, half = (share_done(steps, values, share, sign) for share in (self.early, 0.5))
        fastest = steepest(steps, values, sign)
        dates = {"onset": onset, "half": half, "fastest": fastest[0] if fastest and half else None}
        return self.Row(
            parameter=parameter,
            signal=signal,
            order=_order(half, phases),
            half_lower=half.lower if half else None,
            half_upper=half.upper if half else None,
            change=float(values[-1] / values[0]),
            **{name: date.step if date else None for name, date in dates.items()},
            **{f"{name}_minus_turn": date.step - turn if date and turn is not None else None for name, date in dates.items()},
        )


def _order(half: Date | None, phases: pd.DataFrame) -> str | None:
    turn = phases[(phases["event"] == "turn") & phases["at_step"].notna()]
    if half is None or not len(turn):
        return None
    lower, upper = int(turn["lower"].iloc[0]), int(turn["upper"].iloc[0])
    return "leads" if half.upper <= lower else "follows" if half.lower >= upper else "around"
