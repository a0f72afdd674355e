"""Whether the path of training comes back, beside what random walks do."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl

TITLES = {
    "group": "parameters",
    "plane": "plane",
    "crossings": "crossings",
    "walks": "walks that cross",
    "weighted": "by gap",
    "walks_weighted": "walks, by gap",
    "robust": "robust",
    "apart": "apart, diameters",
    "reading": "reading",
    "closest": "closest, diameters",
    "null": "walks, 5 %",
}


class LoopTable(Renderer):
    """Crossings of the path in each plane of principal components, in both bases, beside the share of random walks that cross too.

    Robust: in both bases, and without any one checkpoint. Apart: distance of the two points in the full space, over the diameter of the path; below
    0.2 it is a return, else the crossing is made by the projection. Closest: the nearest that the path comes to itself in the full space, against
    the 5th percentile of random walks.
    """

    consumes = "trajectory_loops"
    over = ("step",)

    groups: tuple[str, ...] = ()
    width: int = charts.WIDTH

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        data = frame.data[frame.data["group"].isin(self.groups)] if len(frame.data) and self.groups else frame.data
        if not len(data):
            return charts.note("No loops of the path of training were looked for in this run.", width=self.width)
        data = data.reset_index(drop=True)
        shown = pd.DataFrame({"group": data["group"], "plane": [f"PC{x}/{y}" for x, y in zip(data["x"], data["y"], strict=True)]})
        shown = shown.assign(crossings=data["crossings"], walks=[f"{v:.0%}" for v in data["null_crossing_rate"]])
        shown = shown.assign(weighted=data["crossings_gap_weighted"], walks_weighted=[f"{v:.0%}" for v in data["null_gap_weighted_rate"]])
        shown = shown.assign(robust=data["crossings_robust"], apart=[", ".join(f"{d:.2f}" for d in row) or "–" for row in data["crossing_distances"]])
        shown = shown.assign(
            reading=data["reading"], closest=data["closest"].astype(float).round(2), null=data["closest_null"].astype(float).round(2)
        )
        chart = charts.text_grid(shown, titles=TITLES, width=self.width)
        return charts.described(chart, "Table of the crossings of the path of training, with those of random walks.")
