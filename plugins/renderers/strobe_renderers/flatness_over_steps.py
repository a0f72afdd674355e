"""How flat the loss is around each checkpoint, direction by direction."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class FlatnessOverSteps(Renderer):
    """How much random directions differ in curvature, over steps: of each antithetic pair a dot, relative to the mean of its step and split, and two
    standard errors of that mean as a band around 1; phases marked. The means themselves span decades: see curvature_over_steps. Below 0 the loss
    falls that way. A step whose mean is not positive has no dots."""

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
        rows = rows[rows["curvature"].astype(float) > 0]
        dots, means = _dots(rows), _means(rows)
        values = charts.value_axis([0.9, 1.1, *dots["value"]], f"{split}: curvature / its mean", height=self.height, log=False)
        line = charts.Line.styled("mean", split) if split in ("train", "test") else charts.Line("mean")
        x = steps.x(labels=bottom)
        cloud = alt.Chart(charts.dataset(f"directions {split}", dots)).mark_circle(size=12, opacity=0.5, color=line.colour, clip=True)
        base = alt.Chart(charts.dataset(f"mean {split}", means))
        band = base.mark_area(opacity=0.25, color=line.colour, clip=True).encode(x=x, y=values.y("low"), y2=alt.Y2("high:Q"))
        mean = base.mark_line(color=line.colour, clip=True).encode(x=x, y=values.y("value"))
        labels = charts.end_labels(means, {split: line}, values, name=f"label {split}")
        layers = [cloud.encode(x=x, y=values.y("value")), band, mean, labels]
        return charts.strip(layers, steps, self.height, phases=frame.others.get("phases"), cursor=frame.cursor, top=top, bottom=bottom)


def _dots(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows step, value: the curvature of every pair over their mean."""
    parts = [pd.DataFrame(columns=["step", "value"])]
    for row in rows.to_dict("records"):
        pairs = (np.asarray(row["plus"]) + np.asarray(row["minus"])) / row["alpha"] ** 2
        parts.append(pd.DataFrame({"step": int(row["step"]), "value": pairs / row["curvature"]}))
    return pd.concat(parts[1:] or parts, ignore_index=True)


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows step, series, value (1), low, high: the mean and two standard errors, over the mean."""
    kept = rows.sort_values("step")
    error = 2 * kept["curvature_se"].astype(float) / kept["curvature"].astype(float)
    return pd.DataFrame({"step": kept["step"].astype(int), "series": kept["split"], "value": 1.0, "low": 1 - error, "high": 1 + error})
