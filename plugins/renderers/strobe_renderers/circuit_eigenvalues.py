"""Whether heads copy, suppress or rotate tokens: the eigenvalues of their circuits, at one step."""

from __future__ import annotations

from typing import Literal

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl


class CircuitEigenvalues(Renderer):
    """Eigenvalues of each head's circuit in the complex plane at the cursor's step, with its score.

    OV: right of zero copies (attending to a token raises its logit), left of zero suppresses; a pair off the axis rotates through the residues.
    Eigenvalues below `floor` of a head's largest are left out: they are many, and nothing.
    """

    consumes = "circuits"
    picks = [Pick(field="head")]

    circuit: Literal["OV", "QK"] = "OV"
    layer: int = 0
    floor: float = 1e-3
    size: int = 150
    columns: int = 4

    @hookimpl
    def render(self, frame: Frame) -> alt.FacetChart | alt.Chart:
        points = self._points(frame.data)
        if not len(points):
            return charts.note(f"No {self.circuit} circuits of layer {self.layer} at this step.")
        data = charts.dataset("eigenvalues", points)
        x, y = (
            alt.X("real:Q", axis=alt.Axis(title="real part", tickCount=4), scale=alt.Scale(zero=True, nice=True)),
            alt.Y("imaginary:Q", axis=alt.Axis(title="imaginary part", tickCount=4), scale=alt.Scale(zero=True, nice=True)),
        )
        dots = alt.Chart(data).transform_filter("datum.score == null").mark_circle(size=26, opacity=0.8, color=charts.colour("ink"))
        dots = dots.encode(x=x, y=y, tooltip=["strip:N", alt.Tooltip("real:Q", format=".3~g"), alt.Tooltip("imaginary:Q", format=".3~g")])
        score = alt.Chart(data).transform_filter("datum.score != null").mark_text(align="right", baseline="bottom", color=charts.colour("ink"))
        score = score.encode(x=alt.XValue(self.size), y=alt.YValue(-6), text="score:N")
        drawn = charts.layers(dots, score, data=data, width=self.size, height=self.size)
        facet = alt.Facet("strip:N", title=None, header=alt.Header(labelAnchor="end", labelFontWeight=600))
        text = f"Eigenvalues of each head's {self.circuit} circuit in the complex plane."
        return charts.described(drawn.facet(facet, columns=self.columns, spacing=30), text)

    def _points(self, data: pd.DataFrame) -> pd.DataFrame:
        """A row per eigenvalue, and per head one with its score in words."""
        if not len(data):
            return data
        known = data[(data["circuit"] == self.circuit) & (data["layer"] == self.layer)].dropna(subset=["eigenvalues_real"])
        parts = []
        for row in known.sort_values("head").to_dict("records"):
            real, imaginary = (np.asarray(row[f"eigenvalues_{part}"], dtype=float) for part in ("real", "imag"))
            size = np.hypot(real, imaginary)
            kept = size >= self.floor * size.max(initial=0.0)
            points = {"real": [*real[kept], 0.0], "imaginary": [*imaginary[kept], 0.0]}
            words = [None] * int(kept.sum()) + [f"score {charts.number(row['score'])}"]
            parts.append(pd.DataFrame({**points, "score": words}).assign(strip=f"head {int(row['head'])}", head=int(row["head"])))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
