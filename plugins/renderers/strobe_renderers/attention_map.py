"""What every head attends to, for every pair of inputs."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl

TOKENS = {0: "a", 1: "b", 2: "="}


class AttentionMap(Renderer):
    """Attention from the last position over (a, b), a map per head (rows) and position attended to (columns), at the cursor's step.

    Brightness is the attention weight, from 0 to 1 in every map; its mean is written below. A flat map means the head does not look at the values.
    """

    consumes = "attention_maps"
    picks = [Pick(field="head"), Pick(field="layer")]

    size: int = 128
    keys: tuple[int, ...] = ()
    """Positions attended to that are drawn; empty: all."""

    @hookimpl
    def render(self, frame: Frame) -> alt.FacetChart | alt.Chart:
        rows = frame.data
        if len(rows):
            rows = rows[rows["query"] == rows["query"].max()]
            rows = rows[rows["key"].isin(self.keys)] if self.keys else rows
        if not len(rows):
            return charts.note("No attention maps at this step.")
        rows = rows.sort_values(["layer", "head", "key"])
        p = max(len(m) for m in rows["map"])
        side = p * charts.whole_pixels(p, self.size)
        picture = charts.image_rows(list(rows["map"]), (0.0, 1.0), (p, p), layer=list(rows["layer"]), head=list(rows["head"]), key=list(rows["key"]))
        picture["row"], picture["column"] = _row_names(rows), [f"attends to {TOKENS.get(int(k), f'position {int(k)}')}" for k in rows["key"]]
        picture["text"] = [f"mean {m:.2f}" for m in picture["mean"]]
        ticks = [0, (p - 1) // 2, p - 1]
        chart = charts.heatmap(
            picture, width=side, height=side, extent=(p, p), x="b, residue", y="a, residue", legend="attention weight",
            x_ticks=ticks, y_ticks=ticks, name="maps",
        )  # fmt: skip
        words = alt.Chart(chart.data).mark_text(style="annotation", align="right", baseline="top")
        labelled = charts.layers(chart, words.encode(x=alt.XValue(side), y=alt.YValue(-14), text=alt.Text("text:N")), width=side, height=side)
        return charts.described(
            _faceted(labelled, picture), "Attention weight over all pairs of operands, one map per head and position attended to."
        )


def _row_names(rows: pd.DataFrame) -> list[str]:
    several = rows["layer"].nunique() > 1
    return [f"layer {layer} head {head}" if several else f"head {head}" for layer, head in zip(rows["layer"], rows["head"], strict=True)]


def _faceted(chart: alt.LayerChart, picture: pd.DataFrame) -> alt.FacetChart:
    row = alt.Row("row:N", title=None, sort=list(dict.fromkeys(picture["row"])), header=alt.Header(labelAngle=0, labelAlign="left", labelFontSize=11))
    column = alt.Column("column:N", title=None, sort=list(dict.fromkeys(picture["column"])), header=alt.Header(labelFontSize=11))
    return chart.facet(row=row, column=column, spacing=26)
