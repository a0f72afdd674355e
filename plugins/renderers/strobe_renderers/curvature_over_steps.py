"""How sharp the valley is, over training."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class CurvatureOverSteps(Renderer):
    """Curvature of the loss over steps, phases marked: above, its mean over random filter-normalised directions on train and test; below, the
    largest eigenvalue of the Hessian of the training loss and its trace, where computed. Logarithmic; what is not positive is left out."""

    consumes = ("flatness", "hessian", "phases")
    over = ("step",)

    width: int = charts.WIDTH
    height: int = 120
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.LayerChart | alt.Chart:
        flat = _long(frame.data, "split", {split: ("curvature", split) for split in ("train", "test")})
        hessian = frame.others.get("hessian")
        sharp = _long(hessian, "split", {"largest eigenvalue": ("lambda_max", "train"), "trace": ("trace", "train")})
        named = [("flatness", flat, "curvature, nats", _split_lines()), ("hessian", sharp, "Hessian, nats", _hessian_lines())]
        parts = [(name, rows, title, lines) for name, rows, title, lines in named if len(rows)]
        if not parts:
            return charts.note("Neither flatness nor the Hessian was computed for this run.", width=self.width)
        steps = charts.step_axis(pd.concat([rows for _, rows, _, _ in parts])["step"], width=self.width, scale=self.step_scale)
        shared: dict[str, Any] = {"phases": frame.others.get("phases"), "cursor": frame.cursor}
        drawn = []
        for name, rows, title, lines in parts:
            values = charts.value_axis(rows["value"], title, height=self.height, log=True)
            ends = {"top": name == parts[0][0], "bottom": name == parts[-1][0]}
            drawn.append(charts.step_lines(rows, lines, steps, values, name=name, **ends, **shared))
        if not len(sharp):
            drawn[-1] = charts.layers(drawn[-1], _missing(frame, self.height))
        text = "Curvature of the loss in random directions, and largest eigenvalue and trace of its Hessian, over training steps."
        return charts.described(charts.strips(*drawn, spacing=26), text)


def _missing(frame: Frame, height: int) -> alt.Chart:
    """Below the last strip: how to compute what is opt-in."""
    run = frame.cursor.get("run", "RUN")
    told = ["The Hessian's largest eigenvalue and trace:", f"strobe analyze {run} -a hessian"]
    rows = [{"text": told if len(run) > 20 else " ".join(told)}]
    mark = alt.Chart(charts.dataset("how to see more", rows)).mark_text(style="annotation", align="left", lineHeight=14)
    return mark.encode(x=alt.XValue(0), y=alt.YValue(height + 58), text=alt.Text("text:N"))


def _long(data: pd.DataFrame | None, by: str, series: dict[str, tuple[str, str]]) -> pd.DataFrame:
    """Rows step, series, value of positive values: `series` maps a name to its column and its split."""
    parts = []
    for name, (column, split) in series.items() if data is not None and len(data) else ():
        mine = data[data[by] == split]
        parts.append(pd.DataFrame({"step": mine["step"].astype(int), "series": name, "value": mine[column].astype(float)}))
    return pd.concat(parts, ignore_index=True).query("value > 0") if parts else pd.DataFrame(columns=["step", "series", "value"])


def _split_lines() -> dict[str, charts.Line]:
    return {split: charts.Line.styled(split, split) for split in ("train", "test")}


def _hessian_lines() -> dict[str, charts.Line]:
    return {"largest eigenvalue": charts.Line("lambda max"), "trace": charts.Line("trace", charts.colour("muted"))}
