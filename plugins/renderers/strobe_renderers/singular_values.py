"""Singular values of weight matrices, at one step."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl

AXIS_TITLE, CHARACTER = 62, 6
"""px that the y axis's title takes of the line on which a plot's own title stands, and px of a bold character of that."""


def shortening(room: int) -> str:
    """The expression that cuts a parameter's name to `room` characters: without torch's `.weight`, and by its beginning."""
    name = "replace(datum.value, /\\.weight$/, '')"
    return f"length({name}) > {room} ? '…' + slice({name}, {1 - room}) : {name}"


def log_ticks(values: pd.Series) -> list[float]:
    """Ticks 1, 2 and 5 of each decade where two or fewer are shown, else up to six powers of ten: Vega-Lite names all nine, upon each other."""
    low, high = int(np.floor(np.log10(values.min()))), int(np.ceil(np.log10(values.max())))
    if high - low <= 2:
        return [m * 10.0**e for e in range(low, high + 1) for m in (1, 2, 5)]
    return [10.0**e for e in range(low, high + 1, -(-(high - low) // 5))]


class SingularValues(Renderer):
    """All singular values of each weight matrix at the cursor's step, largest first, on one logarithmic axis.

    A steep fall after the first few means few directions carry the matrix; values below `floor` times the largest are left out. Dots at ranks
    1, 2, 4, 8, ... can be pointed at.
    """

    consumes = "effective_dimensionality"

    parameters: tuple[str, ...] = ("W_E", "W_in", "W_out", "W_U")
    """What names end in; of a model that has none of these, the matrices with most singular values."""
    most: int = 8
    """Matrices that are drawn of such a model."""
    floor: float = 1e-6
    columns: int = 2
    size: int = 190

    @hookimpl
    def render(self, frame: Frame) -> alt.FacetChart | alt.Chart:
        rows = frame.data[frame.data["head"].isna()] if len(frame.data) else frame.data
        points = self._points(rows)
        if not len(points):
            return charts.note("No singular values at this step.")
        x = alt.X("rank:Q", axis=alt.Axis(title="rank of the singular value", tickCount=4, labelFlush=True), scale=alt.Scale(zero=False, nice=False))
        y = alt.Y(
            "value:Q",
            scale=alt.Scale(type="log", nice=True),
            axis=alt.Axis(title="singular value", labelExpr=charts.LOG_LABEL, values=log_ticks(points["value"])),
        )
        base = alt.Chart(charts.dataset("singular values", points)).encode(x=x, y=y)
        dots = base.transform_filter("datum.dot").mark_circle(size=14, opacity=1, invalid=None)
        said = [alt.Tooltip("parameter:N"), alt.Tooltip("rank:Q"), alt.Tooltip("value:Q", format=".4~g")]
        line = base.mark_line(strokeWidth=1.25, invalid=None)
        drawn = charts.layers(line, dots.encode(tooltip=said), data=base.data, width=self.size, height=120)
        names = list(dict.fromkeys(points["parameter"]))
        room = (self.size - AXIS_TITLE) // CHARACTER
        header = alt.Header(labelAnchor="end", labelFontWeight=600, labelExpr=shortening(room))
        facet = alt.Facet("parameter:N", title=None, sort=names, header=header)
        return charts.described(drawn.facet(facet, columns=self.columns, spacing=36), "Singular values of weight matrices by rank, logarithmic.")

    def _points(self, rows: pd.DataFrame) -> pd.DataFrame:
        parts = []
        for row in self._chosen(rows).to_dict("records"):
            values = np.asarray(row["singular_values"], dtype=float)
            kept = values[values > self.floor * values.max()] if values.size else values
            rank = np.arange(1, len(kept) + 1)
            parts.append(pd.DataFrame({"parameter": row["parameter"], "rank": rank, "value": kept, "dot": (rank & (rank - 1)) == 0}))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def _chosen(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of the matrices that are drawn."""
        if not len(rows):
            return rows
        named = [rows[rows["parameter"].str.endswith(f".{wanted}")] for wanted in self.parameters]
        if any(map(len, named)):
            return pd.concat(named)
        sizes = rows["singular_values"].map(len)
        return rows[sizes >= 1].loc[sizes.sort_values(ascending=False, kind="stable").index[: self.most]].sort_index()
