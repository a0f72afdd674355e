"""How the classes arrange themselves in circles, over training."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class GeometryOverSteps(Renderer):
    """Geometry of the class centroids at one site over steps, phases marked: share of their variance per key frequency, and its axis ratio
    (1 circle, 0 line); signal to noise, how far classes lie apart against how wide they are; and alignment with the level of random angles.

    Where a frequency's share is below 0.5 % its axis ratio is that of noise and is not drawn.
    """

    consumes = ("representation_geometry", "key_frequencies", "phases")
    over = ("step",)

    site: str = "resid_post"
    layer: int = 0
    width: int = charts.WIDTH
    height: int = 90
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.Chart:
        data = frame.data
        rows = data[(data["layer"] == self.layer) & (data["site"] == self.site)] if len(data) else data
        rows = rows[rows["frequency_shares"].notna()] if len(rows) else rows
        if not len(rows):
            return charts.note(f"No geometry of {self.site} was computed for this run.", width=self.width)
        mean = np.mean(np.stack([np.asarray(s, float) for s in rows["frequency_shares"]]), 0)
        keys = charts.frequency_colours(frame.others.get("key_frequencies"), np.argsort(-mean)[:5] + 1)
        steps = charts.step_axis(rows["step"], width=self.width, scale=self.step_scale)
        shared: dict[str, Any] = {"phases": frame.others.get("phases"), "cursor": frame.cursor}
        by_k = {str(k): _line(i, k) for i, k in enumerate(keys.frequencies) if k <= len(mean)}
        shares, ratios = (_per_frequency(rows, keys.frequencies, name) for name in ("frequency_shares", "axis_ratios"))
        ratios = ratios[shares["value"].to_numpy() >= 0.005]
        percent = charts.value_axis([], "share of variance", height=self.height, percent=True)
        above = charts.step_lines(shares, by_k, steps, percent, bottom=False, name="shares", **shared)
        round_ = charts.ValueAxis(0, 1, "axis ratio", self.height)
        middle = charts.step_lines(ratios, by_k, steps, round_, top=False, bottom=False, name="axis ratios", **shared)
        noise = _series(rows, {"snr": "snr"}).query("value > 0")
        apart = charts.value_axis(noise["value"], "signal to noise", height=self.height, log=True)
        third = charts.step_lines(noise, {"snr": charts.Line("S² / r²")}, steps, apart, top=False, bottom=False, name="snr", **shared)
        aligned = _series(rows, {"alignment": "alignment", "alignment_null_95": "random, 95 %"})
        lines = {"alignment": charts.Line("alignment"), "random, 95 %": charts.Line.styled("random, 95 %", "null")}
        unit = charts.ValueAxis(0, 1, "alignment", self.height)
        below = charts.step_lines(aligned, lines, steps, unit, top=False, name="alignment", **shared)
        text = "Share of class variance and axis ratio per key frequency, signal to noise, and alignment over training steps."
        return charts.described(charts.strips(above, middle, third, below, spacing=26), text)


def _line(i: int, k: int) -> charts.Line:
    return charts.Line(f"k = {k}", charts.look()["frequency_order"][i], charts.look()["frequency_text"][i])


def _per_frequency(rows: pd.DataFrame, frequencies: tuple[int, ...], name: str) -> pd.DataFrame:
    """Rows step, series, value of the entries of an array column that belong to the frequencies."""
    table = [
        {"step": int(row["step"]), "series": str(k), "value": float(row[name][k - 1])}
        for row in rows.to_dict("records")
        for k in frequencies
        if k <= len(row[name])
    ]
    return pd.DataFrame(table, columns=["step", "series", "value"])


def _series(rows: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """Rows step, series, value of scalar columns, nulls left out."""
    parts = [pd.DataFrame({"step": rows["step"].astype(int), "series": title, "value": rows[name].astype(float)}) for name, title in columns.items()]
    return pd.concat(parts, ignore_index=True).dropna(subset=["value"])
