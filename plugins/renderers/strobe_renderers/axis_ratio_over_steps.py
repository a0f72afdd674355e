"""Circle or line: how round each key frequency is in the weights, over training."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class AxisRatioOverSteps(Renderer):
    """Axis ratio of each key frequency over steps, a strip per weight view, phases marked: 1 is a circle, 0 a line.

    A frequency that falls to a line can no longer tell one of its phases. Before a frequency is used its ratio is that of noise, about 0.9.
    """

    consumes = ("axis_ratio", "key_frequencies", "phases")
    over = ("step",)

    views: tuple[str, ...] = ("W_E", "W_L", "W_U")
    frequencies: tuple[int, ...] = ()
    """Which to draw; empty: the run's key frequencies."""
    width: int = charts.WIDTH
    height: int = 90
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.LayerChart | alt.Chart:
        known = frame.data.dropna(subset=["axis_ratio"]) if len(frame.data) else frame.data
        if not len(known):
            return charts.note("No axis ratios were computed for this run.", width=self.width)
        keys = charts.frequency_colours(frame.others.get("key_frequencies"), self.frequencies)
        drawn = self.frequencies or keys.frequencies
        rows = known[known["frequency"].isin(drawn) & known["view"].isin(self.views) & known["head"].isna()]
        if not len(rows):
            return charts.note("No key frequencies are known: compute key_frequencies, or name some in `frequencies`.", width=self.width)
        steps = charts.step_axis(known["step"], width=self.width, scale=self.step_scale)
        views = [view for view in self.views if (rows["view"] == view).any()]
        strips = [self._strip(frame, rows, view, drawn, keys, steps, first=view == views[0], last=view == views[-1]) for view in views]
        return charts.described(
            charts.strips(*strips, spacing=26), "Axis ratio of each key frequency in the weights over training steps: 1 is a circle, 0 a line."
        )

    def _strip(
        self,
        frame: Frame,
        rows: pd.DataFrame,
        view: str,
        drawn: tuple[int, ...],
        keys: charts.FrequencyColours,
        steps: charts.StepAxis,
        *,
        first: bool,
        last: bool,
    ) -> alt.LayerChart:
        mine = rows[rows["view"] == view]
        table = pd.DataFrame({"step": mine["step"].astype(int), "series": mine["frequency"].astype(str), "value": mine["axis_ratio"].astype(float)})
        values = charts.ValueAxis(0, 1, f"{view}: axis ratio", self.height)
        lines = {str(k): _line(k, keys) for k in sorted(drawn) if (table["series"] == str(k)).any()}
        phases = frame.others.get("phases")
        return charts.step_lines(table, lines, steps, values, phases=phases, cursor=frame.cursor, top=first, bottom=last, name=f"ratios {view}")


def _line(k: int, keys: charts.FrequencyColours) -> charts.Line:
    """A frequency in its colour; grey when it has none."""
    if k not in keys.frequencies:
        return charts.Line(f"k = {k}", charts.colour(charts.OTHER), charts.colour("muted"))
    i = keys.frequencies.index(k)
    return charts.Line(f"k = {k}", charts.look()["frequency_order"][i], charts.look()["frequency_text"][i])
