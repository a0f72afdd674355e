"""The paths of several runs through weight space, on the same axes."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl

PLANES = ((1, 2), (1, 3), (2, 3))


class SharedTrajectoryPlanes(Renderer):
    """Paths of several runs on common principal components 1 and 2, 1 and 3, and 2 and 3. The dark path is the cursor's run, the ring its step.

    All start where the open square is. Runs of different seeds lie far apart from the first step on: compare the shapes of paths, not the places.
    Click a dot to go to its step.
    """

    consumes = "shared_trajectory"
    over = ("step",)
    picks = [Pick(field="step")]

    group: str = "all"
    """The group of parameters that is drawn."""
    size: int = 220

    @hookimpl
    def render(self, frame: Frame) -> alt.HConcatChart | alt.Chart:
        rows = frame.data[frame.data["group"] == self.group] if len(frame.data) else frame.data
        points = rows.pivot_table(index=["run", "step"], columns="component", values="coordinate").sort_index() if len(rows) else rows
        if not len(points) or len(points.columns) < 2:
            return charts.note(f"No shared basis of group {self.group} was computed for these runs.", width=self.size * 2)
        shares = rows.dropna(subset=["variance_share"]).groupby("component")["variance_share"].first()
        own = str(frame.cursor.get("run"))
        drawn: list[Any] = [self._plane(points, shares, x, y, own, frame) for x, y in PLANES if y in points.columns]
        return charts.described(charts.beside(*drawn, spacing=48), f"Paths of several runs ({self.group}) on common principal components.")

    def _plane(self, points: pd.DataFrame, shares: pd.Series, x: int, y: int, own: str, frame: Frame) -> alt.LayerChart:
        table = pd.DataFrame({"run": points.index.get_level_values("run").astype(str), "step": points.index.get_level_values("step")})
        table = table.assign(x=points[x].to_numpy(), y=points[y].to_numpy()).dropna()
        mine, name = table["run"] == own, f"PC{x} and PC{y}"
        place = {"x": _axis(alt.X, table["x"], f"PC{x} ({shares.get(x, 0):.0%})"), "y": _axis(alt.Y, table["y"], f"PC{y} ({shares.get(y, 0):.0%})")}
        tips = [alt.Tooltip("run:N"), alt.Tooltip("step:Q", format=",")]
        layers: list[Any] = []
        for which, rows, colour, width in (("others", table[~mine], "muted", 1.0), ("own", table[mine], "ink", 1.75)):
            base = alt.Chart(charts.dataset(f"{which} {name}", rows)).encode(**place)
            line = base.mark_line(strokeWidth=width, color=charts.colour(colour), opacity=0.75)
            layers += [
                line.encode(order="step:Q", detail="run:N"),
                base.mark_circle(size=22, color=charts.colour(colour), opacity=0.9).encode(tooltip=tips),
            ]
        starts = table.sort_values("step").drop_duplicates("run")
        square = alt.Chart(charts.dataset(f"starts {name}", starts)).encode(**place)
        layers.append(square.mark_point(shape="square", size=60, filled=False, color=charts.colour("ink")))
        found = alt.LookupData(charts.dataset(f"own {name}", table[mine]), key="step", fields=["x", "y"])
        here = alt.Chart(charts.dataset("cursor", charts.cursor_rows(frame.cursor))).transform_lookup(lookup="step", from_=found)
        ring = here.transform_filter("isValid(datum.x)").mark_point(size=130, filled=False, strokeWidth=2.25, color=charts.colour("ink"))
        return charts.layers(*layers, ring.encode(**place), width=self.size, height=self.size)


def _axis(encoding: Any, values: pd.Series, title: str) -> Any:
    low, high = float(values.min()), float(values.max())
    pad = (high - low) * 0.08 or 1.0
    scale = alt.Scale(domain=[low - pad, high + pad], nice=False, zero=False)
    return encoding(f"{values.name}:Q", scale=scale, axis=alt.Axis(title=title, tickCount=4, grid=True))
