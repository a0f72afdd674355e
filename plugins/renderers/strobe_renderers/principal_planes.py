"""The rows of the weights and the class centroids on their principal components, at one step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd
from pydantic import Field

from strobe import Frame, Renderer, charts, hookimpl

PLANES = ((0, 1), (0, 2), (1, 2))


class ParameterPlanes(Renderer):
    """Rows of a weight matrix at the cursor's step on its principal components of that step: a point per token (W_E), residual direction or neuron.

    Axes are fitted anew at each step and turn freely: compare shapes and shares, not places. Two equal shares and a ring are a circle of residues;
    colour is the row's number as a phase where rows are residues.
    """

    consumes = "parameter_pca"

    parameter: str = Field("embed.W_E", description="canonical name of the matrix")
    size: int = Field(130, ge=40, le=800, description="side of a plane, px")

    @hookimpl
    def render(self, frame: Frame) -> alt.HConcatChart | alt.Chart:
        rows = frame.data[frame.data["parameter"] == self.parameter] if len(frame.data) else frame.data
        rows = rows[rows["first"].notna()] if len(rows) else rows
        if not len(rows):
            return charts.note(f"No principal components of {self.parameter} at this step.", width=3 * self.size)
        row = rows.iloc[0]
        points = np.stack([np.asarray(row[name], float) for name in ("first", "second", "third")], axis=1)
        p = int(getattr(frame.family, "p", 0))
        if self.parameter == "embed.W_E" and 0 < p < len(points):
            points = points[:p]  # the row of '=' is no residue
        return _planes(points, np.asarray(row["shares"], float), "row", self.size, cyclic=self.parameter == "embed.W_E")


class CentroidPlanes(Renderer):
    """Class centroids at the cursor's step on their principal components of that step: a point per answer class, in the colours of its residue.

    Axes are fitted anew at each step and turn freely; a ring with two equal shares is one circle. `basis = "shared"` keeps the axes of all steps.
    """

    consumes = "centroid_pca"

    site: str = Field("resid_post", description="where in the block")
    basis: Literal["own", "shared"] = Field("own", description="own: axes of this step; shared: of all steps together")
    size: int = Field(130, ge=40, le=800, description="side of a plane, px")

    @hookimpl
    def render(self, frame: Frame) -> alt.HConcatChart | alt.Chart:
        data = frame.data
        rows = data[(data["site"] == self.site) & (data["frame"] == self.basis)] if len(data) else data
        if not len(rows):
            return charts.note(f"No centroids of {self.site} at this step.", width=3 * self.size)
        row = rows.sort_values("layer").iloc[-1]
        points = np.asarray(row["coordinates"], float)
        return _planes(points, np.asarray(row["shares"], float), "class", self.size, cyclic=True)


class PrincipalShares(Renderer):
    """Share of variance on the first three principal components over steps: above of a weight matrix's rows, below of the class centroids; phases
    marked, the values at the cursor written. Two equal shares are a circle."""

    consumes = ("parameter_pca", "centroid_pca", "phases")
    over = ("step",)

    parameter: str = Field("embed.W_E", description="canonical name of the matrix")
    site: str = Field("resid_post", description="where in the block the centroids are taken")
    width: int = charts.WIDTH
    height: int = 110
    step_scale: charts.StepScale = "sqrt"

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.LayerChart | alt.Chart:
        weights = frame.data[frame.data["parameter"] == self.parameter] if len(frame.data) else frame.data
        parts = {f"{self.parameter}": _shares(weights), f"centroids, {self.site}": self._centroids(frame)}
        parts = {name: rows for name, rows in parts.items() if len(rows)}
        if not parts:
            return charts.note("No principal components were computed for this run.", width=self.width)
        steps = charts.step_axis(pd.concat(parts.values())["step"], width=self.width, scale=self.step_scale)
        strips = []
        for i, (name, rows) in enumerate(parts.items()):
            values = charts.value_axis([0.0, *rows["value"]], f"{name}: share of variance", height=self.height, log=False, zero=True)
            values = charts.ValueAxis(0, values.high, values.title, self.height, format=".0%")
            shared = {"phases": frame.others.get("phases"), "cursor": frame.cursor, "top": i == 0, "bottom": i == len(parts) - 1}
            strips.append(charts.layers(charts.step_lines(rows, _lines(), steps, values, name=name, **shared), _now(rows, steps, name, frame.cursor)))
        text = "Share of variance on the first three principal components of the weights and of the class centroids, over training steps."
        return charts.described(charts.strips(*strips, spacing=26), text)

    def _centroids(self, frame: Frame) -> pd.DataFrame:
        table = frame.others.get("centroid_pca")
        if table is None or not len(table):
            return pd.DataFrame()
        mine = table[(table["site"] == self.site) & (table["frame"] == "own")]
        return _shares(mine[mine["layer"] == mine["layer"].max()])


def _shares(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows step, series, value of the first three shares."""
    found = [
        {"step": int(row["step"]), "series": f"PC{i + 1}", "value": float(share)}
        for row in (rows.to_dict("records") if len(rows) else [])
        if row["shares"] is not None
        for i, share in enumerate(list(row["shares"])[:3])
    ]
    return pd.DataFrame(found, columns=["step", "series", "value"])


def _lines() -> dict[str, charts.Line]:
    return {f"PC{i + 1}": charts.Line(f"PC{i + 1}", charts.colour("ink"), dash=dash) for i, dash in enumerate([(1.0, 0.0), (5.0, 2.0), (1.5, 2.5)])}


def _now(rows: pd.DataFrame, steps: charts.StepAxis, name: str, cursor: Mapping[str, Any]) -> alt.Chart:
    """The three shares at the cursor, above the strip on the right; looked up in the browser: only `cursor` moves."""
    wide = rows.pivot_table(index="step", columns="series", values="value").reset_index()
    names = [c for c in ("PC1", "PC2", "PC3") if c in wide]
    wide["now"] = [", ".join(f"{c} {row[c]:.0%}" for c in names if pd.notna(row[c])) for row in wide.to_dict("records")]
    known = charts.dataset(f"shares of {name}", wide[["step", "now"]])
    here = alt.Chart(charts.dataset("cursor", charts.cursor_rows(cursor))).transform_lookup(
        lookup="step", from_=alt.LookupData(known, key="step", fields=["now"])
    )
    mark = here.transform_filter("isValid(datum.now)").mark_text(style="annotation", align="right", baseline="bottom", color=charts.colour("ink"))
    return mark.encode(x=alt.XValue(steps.width), y=alt.YValue(-6), text=alt.Text("now:N"))


def _planes(points: np.ndarray, shares: np.ndarray, what: str, size: int, *, cyclic: bool) -> alt.HConcatChart | alt.Chart:
    n = len(points)
    reach = float(np.abs(points).max()) * 1.08 or 1.0
    table = pd.DataFrame(
        {f"pc{i + 1}": points[:, i] for i in range(min(3, points.shape[1]))} | {what: np.arange(n), "phase": np.arange(n) / max(n, 1)}
    )
    ring = alt.Scale(domain=[0, 1], range=charts.theme(charts.active())["config"]["range"]["cyclic"])
    tint = alt.Color("phase:Q", scale=ring, legend=None) if cyclic else alt.ColorValue(charts.colour("muted"))
    drawn = [_plane(table, x, y, shares, what, size, reach, tint) for x, y in PLANES if y < points.shape[1]]
    return charts.described(charts.beside(*drawn, spacing=16), f"A point per {what} on the principal components of this step.")


def _plane(table: pd.DataFrame, x: int, y: int, shares: np.ndarray, what: str, size: int, reach: float, tint: Any) -> alt.LayerChart:
    base = alt.Chart(charts.dataset("points", table.assign(reach=reach)))
    share = [float(shares[i]) if i < len(shares) else 0.0 for i in (x, y)]
    scaled = base.transform_calculate(across=f"datum.pc{x + 1} / datum.reach", up=f"datum.pc{y + 1} / datum.reach")
    scale = alt.Scale(domain=[-1, 1], nice=False)
    dots = scaled.mark_circle(size=16, opacity=0.9).encode(
        x=alt.X("across:Q", scale=scale, axis=_axis(x)),
        y=alt.Y("up:Q", scale=scale, axis=_axis(y)),
        color=tint,
        tooltip=[alt.Tooltip(f"{what}:Q"), alt.Tooltip(f"pc{x + 1}:Q", format=".3~g"), alt.Tooltip(f"pc{y + 1}:Q", format=".3~g")],
    )
    words = {"text": f"PC{x + 1} {share[0]:.0%}, PC{y + 1} {share[1]:.0%}"}
    text = alt.Chart(charts.dataset(f"shares {x} {y}", [words])).mark_text(
        style="annotation", align="right", baseline="bottom", color=charts.colour("muted")
    )
    return charts.layers(dots, text.encode(x=alt.XValue(size), y=alt.YValue(-22), text=alt.Text("text:N")), width=size, height=size)


def _axis(component: int) -> alt.Axis:
    return alt.Axis(title=f"PC{component + 1}, of the largest", values=[-1, 0, 1], grid=True)
