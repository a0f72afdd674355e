"""What moves before the turn, and what follows it."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl

WORDS = {"participation_ratio_sigma": "PR_sigma", "participation_ratio_lambda": "PR_lambda", "stable_rank": "stable rank", "spectral_gap": "gap"}


class PredictorDates(Renderer):
    """When the spectrum of each weight matrix changes, against the phases: hollow where a tenth of the change is done, filled half-way.

    The line is the interval between the checkpoints around half-way. What lies left of the turn leads it in this run; one run shows an order, not a
    cause.
    """

    consumes = ("turn_predictors", "phases")
    over = ("step",)

    parameters: tuple[str, ...] = ("W_E", "W_in", "W_out", "W_U")
    signals: tuple[str, ...] = ("participation_ratio_sigma", "spectral_gap")
    """Signals whose dates are drawn."""
    width: int = charts.WIDTH
    row_height: int = 22
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        rows = self._rows(frame.data)
        if not len(rows):
            return charts.note("No spectrum of these matrices changes in its direction in this run.", width=self.width)
        order = list(rows["series"])
        height, phases = self.row_height * len(order), frame.others.get("phases")
        steps = charts.step_axis([0, *rows["upper"], *charts.event_steps(phases).values()], width=self.width, scale=self.step_scale)
        y = alt.Y("series:N", sort=order, axis=alt.Axis(title="matrix, signal", grid=True, labelLimit=150))
        base, ink = alt.Chart(charts.dataset("dates", rows)).encode(y=y), charts.colour("ink")
        tips = [alt.Tooltip("series:N"), alt.Tooltip("half:Q", format=",.0f"), alt.Tooltip("minus_turn:Q", format="+,.0f"), alt.Tooltip("order:N")]
        way = base.mark_rule(color=charts.colour("muted"), strokeDash=[2, 2]).encode(x=steps.x("onset"), x2="half:Q")
        bracket = base.mark_rule(color=charts.colour("muted"), strokeWidth=3).encode(x=steps.x("lower"), x2="upper:Q")
        onset = base.mark_point(size=50, filled=True, fill=charts.colour("card"), stroke=ink, opacity=1).encode(x=steps.x("onset"))
        half = base.mark_circle(size=60, color=ink, opacity=1).encode(x=steps.x("half"), tooltip=tips)
        words = base.mark_text(style="annotation", align="left", dx=8, color=charts.colour("muted")).encode(x=alt.XValue(self.width), text="order:N")
        layers = [*charts.event_rules(phases, steps, height=height), way, bracket, onset, half, words]
        chart = charts.layers(*layers, *charts.cursor_rule(frame.cursor, steps, height=height), width=self.width, height=height)
        return charts.described(chart, "Steps at which the spectra of weight matrices change, with the phases.")

    def _rows(self, data: pd.DataFrame) -> pd.DataFrame:
        known = data.dropna(subset=["half"]) if len(data) else data
        if not len(known):
            return known
        name = known["parameter"].str.rpartition(".")[2]
        kept = known[name.isin(self.parameters) & known["signal"].isin(self.signals)]
        name = name[kept.index]
        place = name.map({n: i for i, n in enumerate(self.parameters)})
        rows = pd.DataFrame(
            {"series": name + " " + kept["signal"].map(WORDS).fillna(kept["signal"]), "place": place, "order": kept["order"].fillna("")}
        )
        numbers = {"half": "half", "onset": "onset", "lower": "half_lower", "upper": "half_upper", "minus_turn": "half_minus_turn"}
        rows = rows.assign(**{own: kept[column].astype(float) for own, column in numbers.items()})
        return rows.sort_values(["place", "series"]).drop(columns="place").reset_index(drop=True)
