"""When each weight matrix becomes low-dimensional, against when the run generalises."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pydantic import Field

import strobe
from strobe import Analyzer, Results, dim, hookimpl, metric

from .crossings import first_below, largest_rise, steepest

RATIOS = {"sigma": "participation_ratio_sigma", "lambda": "participation_ratio_lambda"}


class DimensionalityThreshold(Analyzer):
    """The step at which each participation ratio of each matrix first falls below each level, and that step minus the turn.

    PR_sigma and PR_lambda of the same matrix fall below the same level thousands of steps apart: in a real run PR_sigma passes 30 and 25 *after*
    generalising and PR_lambda around the turn, so "low dimension is a precondition of generalising" holds or fails by the ratio one picks.
    Interpolated linearly between checkpoints, whose interval is stored. No date where the ratio never falls below the level, or is below it from the
    start (a small matrix); `reason` says which. Beside it, of the whole curve after memorising: the interval in which its logarithm falls fastest per
    step, and whether it declines monotonically (after its highest value it never rises more than `tolerance` above its lowest so far).
    Whole matrices, heads side by side. Cost: reads effective_dimensionality and phases.
    """

    consumes = ("effective_dimensionality", "phases")

    levels: tuple[float, ...] = (30.0, 25.0)
    """Participation ratios whose crossing is dated."""
    tolerance: float = Field(0.01, ge=0)

    class Row(strobe.Row):
        parameter: str = dim("canonical parameter name")
        ratio: str = dim("sigma: of singular values; lambda: of their squares")
        level: float = dim("level that it falls below")
        reason: str | None = dim("why there is no date; null when there is")
        at_step: int | None = metric("first checkpoint below the level", unit="step")
        interpolated_step: float | None = metric("where it passes the level between checkpoints", unit="step")
        lower: int | None = metric("checkpoint before it", unit="step")
        upper: int | None = metric("first checkpoint below", unit="step")
        minus_turn: float | None = metric("interpolated step less the turn; null where one is missing", unit="step")
        minus_generalised: float | None = metric("interpolated step less generalising", unit="step")
        first: float = metric("ratio at the first checkpoint", unit="1")
        last: float = metric("ratio at the last checkpoint", unit="1")
        stays: bool = dim("whether it stays below once it is")
        steepest_lower: int | None = metric("start of the interval of steepest fall of its logarithm, after memorising", unit="step")
        steepest_upper: int | None = metric("end of that interval", unit="step")
        steepest_slope: float | None = metric("change of its natural logarithm per step there", unit="1/step")
        monotone: bool = dim("whether it declines without a rise of more than `tolerance`")
        largest_rise: float = metric("largest rise above the lowest value so far, relative", unit="1")

    @hookimpl
    def analyze_results(self, results: Results) -> Iterator[Row]:
        table, phases = results["effective_dimensionality"], results["phases"]
        for parameter, rows in table[table["head"].isna()].groupby("parameter", sort=False):
            for ratio, column in RATIOS.items():
                known = rows.dropna(subset=[column]).sort_values("step")
                if len(known):
                    yield from self._rows(str(parameter), ratio, known["step"].to_numpy(np.int64), known[column].to_numpy(float), phases)

    def _rows(self, parameter: str, ratio: str, steps: np.ndarray, values: np.ndarray, phases: pd.DataFrame) -> Iterator[Row]:
        turn, generalised, memorised = (moment(phases, event) for event in ("turn", "generalised", "memorised"))
        later = steps >= (memorised or 0)
        fall = steepest(steps[later], values[later], -1)
        rise = largest_rise(values)
        for level in self.levels:
            date = first_below(steps, values, level)
            below = "below from the start" if values[0] < level else "never below"
            yield self.Row(
                parameter=parameter,
                ratio=ratio,
                level=level,
                reason=None if date else below,
                at_step=date.upper if date else None,
                interpolated_step=date.step if date else None,
                lower=date.lower if date else None,
                upper=date.upper if date else None,
                minus_turn=date.step - turn if date and turn is not None else None,
                minus_generalised=date.step - generalised if date and generalised is not None else None,
                first=float(values[0]),
                last=float(values[-1]),
                stays=bool(date and (values[steps >= date.upper] < level).all()),
                steepest_lower=fall[0].lower if fall else None,
                steepest_upper=fall[0].upper if fall else None,
                steepest_slope=fall[1] if fall else None,
                monotone=rise <= self.tolerance,
                largest_rise=rise,
            )


def moment(phases: pd.DataFrame, event: str) -> float | None:
    """Interpolated step of an event of `phases`; None when it did not happen."""
    found = phases.loc[phases["event"] == event, "interpolated_step"].dropna()
    return float(found.iloc[0]) if len(found) else None
