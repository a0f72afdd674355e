"""Every step against every other."""

from __future__ import annotations

import altair as alt
import numpy as np

from strobe import Frame, Renderer, charts, hookimpl

from .similarity_over_steps import one_layer


class SimilarityMap(Renderer):
    """Linear CKA of the residual stream between every two steps, 0 (dark) to 1 (bright). Rows and columns are checkpoints in order, not to scale.

    A bright square is a stretch of training in which the representation hardly changes; its edges are where it does.
    """

    consumes = "representation_similarity"
    over = ("step",)

    layer: int | None = None
    size: int = 340

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        data = one_layer(frame.data, self.layer)
        rows = [np.asarray(row, float) for row in data["cka_all"] if row is not None] if len(data) else []
        if len(rows) < 2:
            return charts.note("No similarity between steps was computed for this run.", width=self.size)
        cells = np.nan_to_num(np.stack(rows))
        n = len(cells)
        side = n * charts.whole_pixels(n, self.size)
        first, last = (int(data["step"].iloc[i]) for i in (0, -1))
        picture = charts.image_rows([cells], (0.0, 1.0), (n, n))
        picture["text"] = f"{n} checkpoints, step {first:,} to {last:,}"
        axes = {"extent": (n, n), "x": "checkpoint, in order of steps", "y": "checkpoint, in order of steps"}
        chart = charts.heatmap(picture, width=side, height=side, legend="linear CKA", name="map", **axes)
        text = alt.Chart(charts.dataset("range", picture[["text"]])).mark_text(style="annotation", align="right", baseline="bottom")
        layered = charts.layers(chart, text.encode(x=alt.XValue(side), y=alt.YValue(-9), text=alt.Text("text:N")), width=side, height=side)
        return charts.described(layered, "Map of the similarity of representations between all pairs of checkpoints.")
