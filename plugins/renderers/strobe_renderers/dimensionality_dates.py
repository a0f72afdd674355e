"""When the weight matrices become low-dimensional, against the phases."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl


class DimensionalityDates(Renderer):
    """The step at which each participation ratio of each matrix falls below each level, with the checkpoints that bracket it, phases marked.

    Filled: PR_sigma, of the singular values; hollow: PR_lambda, of their squares. They fall at different times, so name the one you quote. Matrices
    whose ratio never falls below the level, or is below it from the start, have no mark.
    """

    consumes = ("dimensionality_threshold", "phases")
    over = ("step",)
    picks = [Pick(field="at_step", to="step")]

    parameters: tuple[str, ...] = ("W_E", "W_in", "W_out", "W_U")
    width: int = charts.WIDTH
    row_height: int = 22
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        rows = self._rows(frame.data)
        if not len(rows):
            return charts.note("No ratio of these matrices falls below a level in this run.", width=self.width)
        order = list(dict.fromkeys(rows.sort_values(["place", "level"], ascending=[True, False])["series"]))
        height = self.row_height * len(order)
        events = charts.event_steps(frame.others.get("phases"))
        steps = charts.step_axis([0, *rows["upper"], *events.values()], width=self.width, scale=self.step_scale)
        y = alt.Y("series:N", sort=order, axis=alt.Axis(title="matrix, level", grid=True))
        base = alt.Chart(charts.dataset("dates", rows))
        bracket = base.mark_rule(color=charts.colour("muted")).encode(x=steps.x("lower"), x2=alt.X2("upper:Q"), y=y)
        fill = alt.Fill("ratio:N", scale=alt.Scale(domain=["sigma", "lambda"], range=[charts.colour("ink"), charts.colour("card")]), legend=None)
        tips = [alt.Tooltip("series:N"), alt.Tooltip("ratio:N"), alt.Tooltip("date:Q", format=",.0f"), alt.Tooltip("minus_turn:Q", format="+,.0f")]
        marks = base.mark_point(size=60, stroke=charts.colour("ink"), strokeWidth=1.5, opacity=1).encode(
            x=steps.x("date"), y=y, fill=fill, tooltip=tips
        )
        layers = [*charts.event_rules(frame.others.get("phases"), steps, height=height), bracket, marks]
        chart = charts.layers(*layers, *charts.cursor_rule(frame.cursor, steps, height=height), width=self.width, height=height)
        return charts.described(chart, "Steps at which the participation ratios of weight matrices fall below levels, with the phases.")

    def _rows(self, data: pd.DataFrame) -> pd.DataFrame:
        known = data.dropna(subset=["interpolated_step"]) if len(data) else data
        if not len(known):
            return known
        name = known["parameter"].str.rpartition(".")[2]
        rows = pd.DataFrame({"series": [f"{n} < {level:g}" for n, level in zip(name, known["level"], strict=True)], "ratio": known["ratio"]})
        rows = rows.assign(level=known["level"], place=name.map({n: i for i, n in enumerate(self.parameters)}), date=known["interpolated_step"])
        columns = ["lower", "upper", "at_step", "minus_turn"]
        return rows.assign(**{c: known[c].astype(float) for c in columns}).dropna(subset=["place"]).reset_index(drop=True)
