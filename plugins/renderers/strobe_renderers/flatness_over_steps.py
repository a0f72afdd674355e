"""How flat the loss is around each checkpoint, direction by direction."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class FlatnessOverSteps(Renderer):
    """Curvature of the loss in each random direction over steps, a dot per antithetic pair, their mean as a line with two standard errors as a band;
    train and test apart, phases marked. Logarithmic: a direction in which the loss falls has no dot."""

    consumes = ("flatness", "phases")
    over = ("step",)

    splits: tuple[str, ...] = ("test", "train")
    width: int = charts.WIDTH
    height: int = 120
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.LayerChart | alt.Chart:
        known = frame.data.dropna(subset=["curvature"]) if len(frame.data) else frame.data
        splits = [split for split in self.splits if len(known) and (known["split"] == split).any()]
        if not splits:
            return charts.note("No flatness was computed for this run.", width=self.width)
        steps = charts.step_axis(known["step"], width=self.width, scale=self.step_scale)
        drawn = []
        for split in splits:
            ends = {"top": split == splits[0], "bottom": split == splits[-1]}
            drawn.append(self._strip(frame, known[known["split"] == split], split, steps, **ends))
        text = "Curvature of the loss in random directions over training steps, train and test apart."
        return charts.described(charts.strips(*drawn, spacing=26), text)

    def _strip(self, frame: Frame, rows: pd.DataFrame, split: str, steps: charts.StepAxis, *, top: bool, bottom: bool) -> alt.LayerChart:
        dots, means = _dots(rows), _means(rows)
        values = charts.value_axis(dots["value"], f"{split}: curvature, nats", height=self.height, log=True)
        line = charts.Line.styled("mean", split) if split in ("train", "test") else charts.Line("mean")
        x = steps.x(labels=bottom)
        cloud = alt.Chart(charts.dataset(f"directions {split}", dots)).mark_circle(size=9, opacity=0.35, color=line.colour, clip=True)
        base = alt.Chart(charts.dataset(f"mean {split}", means))
        band = base.mark_area(opacity=0.25, color=line.colour, clip=True).encode(x=x, y=values.y("low"), y2=alt.Y2("high:Q"))
        mean = base.mark_line(color=line.colour, clip=True).encode(x=x, y=values.y("value"))
        labels = charts.end_labels(means, {split: line}, values, name=f"label {split}")
        layers = [cloud.encode(x=x, y=values.y("value")), band, mean, labels]
        return charts.strip(layers, steps, self.height, phases=frame.others.get("phases"), cursor=frame.cursor, top=top, bottom=bottom)


def _dots(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows step, value: the positive curvature of every pair."""
    parts = [
        pd.DataFrame({"step": int(row["step"]), "value": (np.asarray(row["plus"]) + np.asarray(row["minus"])) / row["alpha"] ** 2})
        for row in rows.to_dict("records")
    ]
    return pd.concat(parts, ignore_index=True).query("value > 0")


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows step, series, value, low, high of positive means; a band that reaches 0 stops at a thousandth of the mean."""
    kept = rows[rows["curvature"].astype(float) > 0].sort_values("step")
    value, error = kept["curvature"].astype(float), kept["curvature_se"].astype(float)
    table = {"step": kept["step"].astype(int), "series": kept["split"], "value": value}
    return pd.DataFrame({**table, "low": np.maximum(value - 2 * error, value / 1000), "high": value + 2 * error})
