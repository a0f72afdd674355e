"""Where the spectra of the weights break off, over training."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl

STRIPS = {"gap": "largest gap, σ(k) / σ(k+1)", "k": "dimensions k before it"}


class SpectralGapOverSteps(Renderer):
    """The largest spectral gap of each weight matrix over steps, and how many dimensions lie before it, phases marked.

    Near 1 there is no gap and its place means nothing: so the dimensions are drawn only from a gap of `least` on. Two dimensions make one circle.
    """

    consumes = ("spectral_gap", "phases")
    over = ("step",)

    parameters: tuple[str, ...] = ("W_in", "W_out", "W_E", "W_U")
    least: float = 1.5
    width: int = charts.WIDTH
    height: int = 110
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.LayerChart | alt.Chart:
        rows = self._rows(frame.data)
        if not len(rows):
            return charts.note("No spectral gaps of these matrices were computed for this run.", width=self.width)
        steps = charts.step_axis(rows["step"], width=self.width, scale=self.step_scale)
        tints = charts.categories()
        names = [name for name in self.parameters if (rows["series"] == name).any()]
        lines = {name: charts.Line(name, *tints[i % len(tints)]) for i, name in enumerate(names)}
        strips = []
        for column, title in STRIPS.items():
            part = rows[rows["gap"] >= self.least] if column == "k" else rows
            table = part.assign(value=part[column])[["step", "series", "value"]]
            values = charts.value_axis(table["value"], title, height=self.height, log=column == "gap", zero=column == "k")
            shown = {name: line for name, line in lines.items() if (table["series"] == name).any()}
            kind = "step-after" if column == "k" else "linear"
            ends = {"top": column == "gap", "bottom": column == "k"}
            shared = {"phases": frame.others.get("phases"), "cursor": frame.cursor}
            strips.append(charts.step_lines(table, shown, steps, values, interpolate=kind, name=column, **ends, **shared))
        text = "Largest spectral gap of weight matrices over training steps, and the number of dimensions before it."
        return charts.described(charts.strips(*strips, spacing=26), text)

    def _rows(self, data: pd.DataFrame) -> pd.DataFrame:
        """Columns step, series, gap, k of the whole matrices named."""
        if not len(data):
            return data
        whole = data[data["head"].isna()].dropna(subset=["gap", "k"])
        series = whole["parameter"].str.rpartition(".")[2]
        rows = pd.DataFrame({"step": whole["step"].astype(int), "series": series, "gap": whole["gap"].astype(float), "k": whole["k"].astype(float)})
        return rows[rows["series"].isin(self.parameters)]
