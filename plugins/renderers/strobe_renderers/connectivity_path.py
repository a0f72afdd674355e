"""The loss on the way from one run to another."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl

from .loss_slice import curves


class ConnectivityPath(Renderer):
    """Loss on the straight line from the cursor's checkpoint (0) to the other run's (1), train and test, logarithmic, with the barriers above it.

    A hill between the ends means that the two lie in different valleys.
    """

    consumes = "mode_connectivity"

    width: int = charts.WIDTH
    height: int = 200

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        if not len(frame.data):
            return charts.note("No line to another run was computed at this step.", width=self.width)
        rows = frame.data.to_dict("records")
        parts = [pd.DataFrame({"x": np.asarray(r["alphas"], float), "series": r["split"], "value": np.asarray(r["losses"], float)}) for r in rows]
        chart = curves(pd.concat(parts, ignore_index=True).query("value > 0"), "share of the way to the other run", self.width, self.height)
        words = "barrier: " + ", ".join(f"{r['split']} {charts.number(r['barrier'])} nats" for r in rows)
        text = alt.Chart(charts.dataset("barriers", [{"text": words}])).mark_text(style="annotation", align="right", baseline="bottom")
        label = text.encode(x=alt.XValue(self.width), y=alt.YValue(-9), text=alt.Text("text:N"))
        layered = charts.layers(chart, label, width=self.width, height=self.height)
        return charts.described(layered, "Loss along the straight line between this checkpoint and another run's.")
