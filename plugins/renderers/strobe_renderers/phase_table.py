"""What happened when: the phases of a run."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl

TITLES = {"event": "event", "signal": "signal", "step": "step", "between": "between steps", "value": "value"}


class PhaseTable(Renderer):
    """Events of a run, with the step they were found at, the steps that bracket them, and the value there; a dash where none was found."""

    consumes = "phases"
    over = ("step",)
    picks = [Pick(field="step")]

    width: int = charts.WIDTH

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        if not len(frame.data):
            return charts.note("No phases were looked for in this run.", width=self.width)
        rows = frame.data.sort_values("at_step", na_position="last", kind="stable").reset_index(drop=True)
        shown = pd.DataFrame({"event": rows["event"], "signal": rows["signal"]})
        shown["step"] = _steps(rows)
        shown["between"] = [_between(low, high) for low, high in zip(rows["lower"], rows["upper"], strict=True)]
        shown["value"] = rows["value"].astype(float)
        chart = charts.text_grid(shown, titles=TITLES, width=self.width)
        return charts.described(chart, "Table of the events found in this run, with steps and values.")


def _steps(rows: pd.DataFrame) -> pd.Series:
    """Interpolated steps, rounded; the step itself where nothing lies between the two that bracket it."""
    found = rows["at_step"].astype("Float64")
    apart = (rows["upper"].astype("Float64") - rows["lower"].astype("Float64")).fillna(0) > 1
    return rows["interpolated_step"].astype("Float64").where(apart, found).fillna(found).round().astype("Int64")


def _between(low: object, high: object) -> str:
    known = [int(v) for v in (low, high) if not pd.isna(v)]  # type: ignore[arg-type, call-overload]
    return f"{known[0]:,} to {known[1]:,}" if len(known) == 2 and known[0] != known[1] else "–"
