"""The clock of a run's own phases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

import strobe
from strobe import Analyzer, Results, dim, hookimpl, metric


class PhaseTime(Analyzer):
    """Phase-normalised time of every step with a recorded test loss, for laying runs over each other, and whether there was a grokking delay at all.

    Time maps step 0, memorised, turn, generalised, last to 0, 1, 2, 3, 4, linear between (interpolated steps of phases). It exists only where
    memorised <= turn <= generalised; otherwise it is null. Delay = step of generalising / step of memorising (recorded steps): below `no_delay_below`
    the run generalised as it memorised, and `no_delay` is true; null where either did not happen. A run without test losses has one row, at no step.
    """

    consumes = "phases"

    no_delay_below: float = Field(2.0, gt=0)

    class Row(strobe.Row):
        step: int | None = dim("recorded step")
        time: float | None = metric("phase-normalised time, 0..4: 1 memorised, 2 turn, 3 generalised, 4 the last step", unit="phase")
        delay: float | None = metric("step of generalising over step of memorising", unit="1")
        no_delay: bool | None = dim("whether there was no grokking delay; null when it did not memorise or generalise")

    @hookimpl
    def analyze_results(self, results: Results, metrics: pd.DataFrame) -> Any:
        phases = results["phases"].drop_duplicates("event").set_index("event")
        at = {event: _number(phases, event, "at_step") for event in ("memorised", "generalised")}
        delay = at["generalised"] / at["memorised"] if at["generalised"] is not None and at["memorised"] else None
        steps = _recorded(metrics)
        times = _times(steps, [_number(phases, event, "interpolated_step") for event in ("memorised", "turn", "generalised")])
        n = max(len(steps), 1)
        return self.Row.columns(
            step=steps or [None],
            time=times or [None],
            delay=[delay] * n,
            no_delay=[None if delay is None else delay < self.no_delay_below] * n,
        )


def _number(phases: pd.DataFrame, event: str, column: str) -> float | None:
    value = phases[column].get(event)
    return None if value is None or pd.isna(value) else float(value)


def _recorded(metrics: pd.DataFrame | None) -> list[int]:
    if metrics is None or "test_loss" not in metrics or "step" not in metrics:
        return []
    return sorted({int(step) for step in metrics.loc[metrics["test_loss"].notna(), "step"]})


def _times(steps: list[int], events: list[float | None]) -> list[float | None]:
    known = [e for e in events if e is not None]
    if not steps or len(known) < 3 or sorted(known) != known:
        return [None] * len(steps)
    knots, hours = [0.0, *known, float(steps[-1])], np.arange(5.0)
    return [float(t) for t in np.interp(steps, knots, hours)]
