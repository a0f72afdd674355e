"""The rows of a weight matrix in space."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class ParameterCloud(Renderer):
    """Rows of a weight matrix on their first three principal components at the cursor's step, coloured by their number.

    Tokens of W_E, residual directions of W_in, neurons of W_out. The axes are those of the step and may turn or swap from one to the next: compare
    shapes and shares, not places. One scale on all axes: a circle is a circle, and what is flat looks flat.
    """

    consumes = "parameter_pca"
    by_hand = "Drag to turn it."

    parameter: str = "embed.W_E"
    """The parameter that is drawn."""
    width: int = charts.WIDTH
    height: int = 380

    @hookimpl
    def render(self, frame: Frame) -> charts.Scene3D | alt.Chart:
        rows = frame.data[frame.data["parameter"] == self.parameter] if len(frame.data) else frame.data
        if not len(rows) or rows["first"].isna().all():
            return charts.note(f"No principal components of {self.parameter} are known at this step.", width=self.width)
        row = rows.iloc[0]
        places = {axis: np.asarray(row[name], float) for axis, name in zip("xyz", ("first", "second", "third"), strict=True)}
        table = pd.DataFrame({"row": range(len(places["x"])), **places})
        dots = charts.Points3D(table, "rows", value="row", size=30, tooltip=("row",))
        titles = tuple(f"PC{i + 1}" + (f" ({row['shares'][i]:.0%})" if i < len(row["shares"]) else "") for i in range(3))
        description = f"Rows of {self.parameter} on their first three principal components, coloured by row."
        return charts.Scene3D([dots], titles, description, value_title="row", equal=True, cursor=frame.cursor, width=self.width, height=self.height)  # type: ignore[arg-type]
