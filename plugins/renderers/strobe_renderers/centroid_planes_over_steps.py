"""Circle or line: the classes in the plane of each key frequency, at a few steps."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl, maths

FAINT = 0.005
"""Share of the centroids' variance below which a plane shows noise."""
EVENTS = ("turn", "memorised", "regress", "peak", "generalised")


class CentroidPlanesOverSteps(Renderer):
    """Class centroids in the plane of each key frequency (rows) at the steps of the run's events (columns): a ring is a circle, a bar is a line.

    The grey outline is the part at that frequency alone, dots off it are leakage of others; colour is the class's phase, so an orderly ring runs
    through the colours once. Planes are fitted anew at each step, one scale per row; a frequency with less than 0.5 % of the variance is pale.
    """

    consumes = ("centroid_planes", "phases")
    over = ("step",)
    picks = [Pick(field="step"), Pick(field="frequency")]

    site: str = "resid_post"
    steps: tuple[int, ...] = ()
    """Which checkpoints to draw; empty: the first, those nearest to the events, and the last."""
    columns: int = 7
    size: int = 72

    @hookimpl
    def render(self, frame: Frame) -> alt.FacetChart | alt.Chart:
        data = frame.data
        rows = data[data["site"] == self.site] if len(data) else data
        rows = rows[rows["layer"] == rows["layer"].max()] if len(rows) else rows
        if not len(rows):
            return charts.note(f"No class centroids of {self.site} were projected for this run.")
        chosen = self._chosen(sorted(rows["step"].astype(int).unique()), frame.others.get("phases"))
        points = _points(rows[rows["step"].isin(chosen)])
        scale = alt.Scale(domain=[-1.08, 1.08], nice=False)
        hidden = {"values": [-1, 0, 1], "labelOpacity": 0, "ticks": False, "grid": False, "domain": False}
        across, up = alt.Axis(title="cos", **hidden), alt.Axis(title="sin", **hidden)
        base = alt.Chart(charts.dataset("classes", points)).encode(opacity=alt.Opacity("opacity:Q", scale=None))
        place = {"x": alt.X("x:Q", scale=scale, axis=across), "y": alt.Y("y:Q", scale=scale, axis=up)}
        part = {"x": alt.X("outline_x:Q", scale=scale, axis=across), "y": alt.Y("outline_y:Q", scale=scale, axis=up)}
        outline = base.mark_line(strokeWidth=1.25, color=charts.colour("muted")).encode(**part, order="place:Q")
        ring = alt.Scale(domain=[0, 1], range=charts.theme(charts.active())["config"]["range"]["cyclic"])
        colour = alt.Color("phase:Q", scale=ring, legend=None)
        share = [alt.Tooltip("share:Q", format=".1%"), alt.Tooltip("axis_ratio:Q", format=".2f")]
        dots = base.mark_circle(size=11).encode(**place, color=colour, tooltip=["class:Q", "frequency:Q", "step:Q", *share])
        names = [f"step {s:,}" for s in chosen]
        grid = charts.layers(outline, dots, width=self.size, height=self.size)
        faceted = grid.facet(
            row=alt.Row("row:N", title=None, sort=list(dict.fromkeys(points["row"])), header=alt.Header(labelAngle=0, labelAlign="left")),
            column=alt.Column("column:N", title=None, sort=names, header=alt.Header(labelFontSize=11)),
            spacing=6,
        )
        return charts.described(faceted, "Class centroids in the plane of each key frequency, one row per frequency and one column per step.")

    def _chosen(self, known: list[int], phases: pd.DataFrame | None) -> list[int]:
        """First and last checkpoint, those nearest to the events, and evenly spread ones (on a root scale); none next to another already there."""
        if self.steps:
            return [s for s in known if s in self.steps] or known[-1:]
        low, high = known[0] ** 0.5, known[-1] ** 0.5
        found = charts.event_steps(phases)
        wanted = [known[0], known[-1], *(found[e] for e in EVENTS if e in found), *np.linspace(low, high, self.columns) ** 2]
        kept: list[int] = []
        for at in wanted:
            step = min(known, key=lambda s: abs(s - at))
            if len(kept) < self.columns and all(abs(step**0.5 - k**0.5) > (high - low) / (3 * self.columns) for k in kept):
                kept.append(step)
        return sorted(kept) or known[:1]


def _points(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per class, frequency and step: place x, y and its part at that frequency alone, over the largest of the frequency's row."""
    parts = []
    for k, mine in rows.sort_values(["frequency", "step"]).groupby("frequency"):
        largest = max(max(float(np.abs(c).max()) for c in mine["coordinates"]), 1e-30)
        parts += [_cell(row, int(k), largest) for row in mine.itertuples()]
    return pd.concat(parts, ignore_index=True)


def _cell(row: object, k: int, largest: float) -> pd.DataFrame:
    places = np.asarray(row.coordinates, float) / largest  # type: ignore[attr-defined]
    p = len(places)
    basis = maths.fourier_basis(p)[maths.rows_of(p, [k])].numpy()
    alone = basis.T @ (basis @ places)
    r = np.arange(p)
    share, ratio, step = row.share, row.axis_ratio, int(row.step)  # type: ignore[attr-defined]
    opacity = 0.25 if pd.isna(share) or share < FAINT else 0.9
    columns = {"x": places[:, 0], "y": places[:, 1], "outline_x": alone[:, 0], "outline_y": alone[:, 1]}
    named = {"row": f"k = {k}", "column": f"step {step:,}", "step": step, "frequency": k, "share": share, "axis_ratio": ratio, "opacity": opacity}
    phase = k * r % p
    closing = np.append(np.argsort(phase, kind="stable"), int(phase.argmin()))  # the outline ends where it began
    table = pd.DataFrame({**columns, "class": r, "phase": phase / p, **named}).iloc[closing]
    return table.assign(place=np.arange(len(closing)))
