"""The story of a run as a list of dates."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl

TITLES = {"step": "step", "between": "between steps", "event": "event", "subject": "of", "detail": "how much"}


class EventTable(Renderer):
    """Every dated event of a run in order of time, with the recorded steps between which it lies. A click moves the cursor there.

    `only` keeps kinds of events, `hide` leaves some out; those of the same kind and subject keep their own lines.
    """

    consumes = "events"
    over = ("step",)
    picks = [Pick(field="step")]

    only: tuple[str, ...] = ()
    hide: tuple[str, ...] = ("turning point",)
    rows: int = 60
    width: int = charts.WIDTH

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        data = frame.data[~frame.data["event"].isin(self.hide)] if len(frame.data) else frame.data
        data = data[data["event"].isin(self.only)] if self.only and len(data) else data
        if not len(data):
            return charts.note("No such events were found in this run." if self.only else "No events were found in this run.", width=self.width)
        found = data.sort_values("at_step", kind="stable").head(self.rows).reset_index(drop=True)
        apart = found["upper"] - found["lower"] > 1  # nothing lies between two steps in a row
        shown = pd.DataFrame({"step": found["interpolated_step"].where(apart, found["at_step"]).round().astype("Int64")})
        shown["between"] = [f"{int(a):,} to {int(b):,}" if a != b else "–" for a, b in zip(found["lower"], found["upper"], strict=True)]
        shown = shown.assign(event=found["event"], subject=found["subject"], detail=found["detail"].fillna(""))
        return charts.described(charts.text_grid(shown, titles=TITLES, width=self.width), "Table of the dated events of this run, in order of time.")
