"""The path of training through weight space."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl

from .random_walk import random_walk


class TrajectoryPlane(Renderer):
    """Checkpoints of a parameter group on principal components 1 and 2, 1 and 3, and 2 and 3, joined in the order of training, dark to light.

    The ring is the cursor's step. The dashed ghost is the null: what random walks with steps of these lengths do on their own first components,
    stretched to the ranges of the path. Bends and loops like the ghost's mean nothing.
    """

    consumes = "parameter_trajectory"
    over = ("step",)
    picks = [Pick(field="step")]

    group: str = "all"
    ghost: bool = True
    """Draw the random walk."""
    size: int = 200

    @hookimpl
    def render(self, frame: Frame) -> alt.HConcatChart | alt.Chart:
        rows = frame.data[frame.data["group"] == self.group] if len(frame.data) else frame.data
        points = rows.pivot_table(index="step", columns="component", values="coordinate").sort_index() if len(rows) else rows
        if not len(points) or len(points.columns) < 2:
            return charts.note(f"No trajectory of group {self.group} was computed for this run.", width=self.size * 2)
        shares = rows.dropna(subset=["variance_share"]).groupby("component")["variance_share"].first()
        planes = [(1, 2), (1, 3), (2, 3)] if 3 in points.columns else [(1, 2)]
        walk = random_walk(points) if self.ghost and len(points.dropna()) > 2 else None
        drawn: list[Any] = [self._plane(points, shares, x, y, frame, walk) for x, y in planes]
        return charts.described(
            charts.beside(*drawn, spacing=20), f"Path of the parameters ({self.group}) on their principal components, coloured by step."
        )

    def _plane(self, points: pd.DataFrame, shares: pd.Series, x: int, y: int, frame: Frame, walk: pd.DataFrame | None) -> alt.LayerChart:
        table = pd.DataFrame({"step": points.index, "x": points[x].to_numpy(), "y": points[y].to_numpy()}).dropna()
        name = f"PC{x} and PC{y}"
        placed = {"x": self._axis(alt.X, table, "x", f"PC{x}, weight units"), "y": self._axis(alt.Y, table, "y", f"PC{y}, weight units")}
        base = alt.Chart(charts.dataset(name, table)).encode(**placed)
        path = base.mark_line(strokeWidth=1, color=charts.colour("muted"), opacity=0.7).encode(order=alt.Order("step:Q"))
        scale = alt.Scale(type="sqrt", scheme="viridis", domain=[int(table["step"].min()), int(max(table["step"].max(), 1))])
        colour = alt.Color("step:Q", scale=scale, legend=None)
        dots = base.mark_circle(size=34, stroke=charts.colour("muted"), strokeWidth=0.5).encode(  # dark ones are seen on a dark page too
            color=colour, tooltip=[alt.Tooltip("step:Q"), alt.Tooltip("x:Q", format=".3~g"), alt.Tooltip("y:Q", format=".3~g")]
        )
        lookup = alt.LookupData(base.data, key="step", fields=["x", "y"])
        here = alt.Chart(charts.dataset("cursor", charts.cursor_rows(frame.cursor))).transform_lookup(lookup="step", from_=lookup)
        ring = (
            here.transform_filter("isValid(datum.x)")
            .mark_point(size=130, filled=False, strokeWidth=2.25, color=charts.colour("ink"))
            .encode(**placed)
        )
        ghost = [] if walk is None else _ghost(walk[x], walk[y], table, placed, name)
        layers = [*ghost, path, dots, self._labels(table, placed, name), ring, self._share(shares, x, y, name)]
        return charts.layers(*layers, width=self.size, height=self.size)

    def _axis(self, encoding: Any, table: pd.DataFrame, field: str, title: str) -> Any:
        low, high = float(table[field].min()), float(table[field].max())
        pad = (high - low) * 0.08 or 1.0
        scale = alt.Scale(domain=[low - pad, high + pad], nice=False, zero=False)
        return encoding(f"{field}:Q", scale=scale, axis=alt.Axis(title=title, tickCount=4, grid=True))

    def _labels(self, table: pd.DataFrame, placed: dict[str, Any], name: str) -> alt.Chart:
        """Steps written beside some points: first, last, and others that are far enough from those already named."""
        span = [max(float(table[c].max() - table[c].min()), 1e-12) for c in ("x", "y")]
        named: list[dict[str, Any]] = []
        for row in [table.iloc[0].to_dict(), table.iloc[-1].to_dict(), *table.to_dict("records")]:
            far = [((row["x"] - o["x"]) / span[0]) ** 2 + ((row["y"] - o["y"]) / span[1]) ** 2 > 0.3**2 for o in named]
            if all(far):
                named.append({**row, "text": f"{int(row['step']):,}"})
        text = alt.Chart(charts.dataset(f"steps of {name}", named)).mark_text(style="annotation", align="left", dx=7, dy=-7)
        return text.encode(**placed, text=alt.Text("text:N"))

    def _share(self, shares: pd.Series, x: int, y: int, name: str) -> alt.Chart:
        text = ", ".join(f"PC{c} {shares[c]:.0%}" for c in (x, y) if c in shares)
        mark = alt.Chart(charts.dataset(f"shares of {name}", [{"text": f"{text} of variance" if text else ""}]))
        return mark.mark_text(style="annotation", align="right", baseline="bottom", color=charts.colour("muted")).encode(
            x=alt.XValue(self.size),
            y=alt.YValue(-22),
            text=alt.Text("text:N"),  # above the title of the axis
        )


def _ghost(x: pd.Series, y: pd.Series, path: pd.DataFrame, placed: dict[str, Any], name: str) -> list[alt.Chart]:
    """The random walk, dashed, with its name beside it where there is most room."""
    rows = pd.DataFrame({"x": x.to_numpy(), "y": y.to_numpy()}).assign(order=range(len(x)))
    muted = charts.colour("muted")
    line = alt.Chart(charts.dataset(f"walk of {name}", rows)).mark_line(style="null", strokeWidth=1)
    right = rows["x"] > (path["x"].min() + path["x"].max()) / 2  # inwards, so that the name stays on the plot
    middle = rows.assign(x=rows["x"] + np.where(right, -0.25, 0.25) * (np.ptp(path["x"]) or 1.0))
    named = int(np.argmax(_away(middle, pd.concat([path, rows]))))
    mark = alt.Chart(charts.dataset(f"name of walk of {name}", rows.iloc[[named]].assign(text="random walk")))
    text = mark.mark_text(style="annotation", color=muted, align="right" if right[named] else "left", dx=-9 if right[named] else 9)
    return [line.encode(**placed, order=alt.Order("order:Q")), text.encode(**placed, text=alt.Text("text:N"))]


def _away(places: pd.DataFrame, drawn: pd.DataFrame) -> np.ndarray:
    """Distance of each place to the nearest point that is drawn, in shares of the plot."""
    apart = [np.subtract.outer(places[c].to_numpy(), drawn[c].to_numpy()) / (np.ptp(drawn[c]) or 1.0) for c in ("x", "y")]
    return np.hypot(*apart).min(1)
