"""The path of training through weight space, to be turned."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl

from .random_walk import random_walk


class Trajectory3D(Renderer):
    """Checkpoints of a parameter group on principal components 1, 2 and 3, joined in the order of training, dark to light.

    The ring is the cursor's step. The dashed ghost is the null: what random walks with steps of these lengths in many dimensions do, on average, on
    their own first three components, stretched to the ranges of the path. Bends and loops like the ghost's mean nothing.
    """

    consumes = "parameter_trajectory"
    by_hand = "Drag to turn it."
    over = ("step",)
    picks = [Pick(field="step")]

    group: str = "all"
    ghost: bool = True
    width: int = charts.WIDTH
    height: int = 380

    @hookimpl
    def render(self, frame: Frame) -> charts.Scene3D | alt.Chart:
        rows = frame.data[frame.data["group"] == self.group] if len(frame.data) else frame.data
        table = rows.pivot_table(index="step", columns="component", values="coordinate").sort_index() if len(rows) else rows
        if not len(table) or 3 not in table.columns:
            return charts.note(f"No three components of the path of {self.group} were computed for this run.", width=self.width)
        path = pd.DataFrame({"step": table.index, **{axis: table[c].to_numpy() for axis, c in zip("xyz", (1, 2, 3), strict=True)}})
        path["label"] = _named(path)
        shares = rows.dropna(subset=["variance_share"]).groupby("component")["variance_share"].first()
        dots = charts.Points3D(path, "path", value="step", follow="step", text="label", tooltip=("step", "x", "y", "z"), size=40)
        line = charts.Line3D(path, "path", value="step", width=1.5)
        null = random_walk(table)[[1, 2, 3]].set_axis([*"xyz"], axis=1)
        walk = charts.Line3D(null, "random walk", colour=charts.colour("muted"), width=1, dash=(4, 3), opacity=0.8)
        return charts.Scene3D(
            [*([walk] if self.ghost else []), line, dots],
            tuple(f"PC{c}" + (f" ({shares[c]:.1%})" if c in shares else "") for c in (1, 2, 3)),
            f"Path of the parameters ({self.group}) on principal components 1 to 3, coloured by step.",
            value_title="step",
            ramp="sqrt",
            cursor=frame.cursor,
            width=self.width,
            height=self.height,
        )


def _named(path: pd.DataFrame) -> list[str]:
    """Steps written beside some points: first, last, and others that are far enough from those already named."""
    places = path[list("xyz")].to_numpy(float)
    span = np.where((s := np.nanmax(places, 0) - np.nanmin(places, 0)) > 0, s, 1)
    chosen: list[int] = []
    for i in [0, len(path) - 1, *range(len(path))]:
        if np.isfinite(places[i]).all() and all((((places[i] - places[j]) / span) ** 2).sum() > 0.45**2 for j in chosen):
            chosen.append(i)
    return [f"{int(step):,}" if i in chosen else "" for i, step in enumerate(path["step"])]
