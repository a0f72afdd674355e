"""The spectrum of the Hessian, at one step."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class HessianDensity(Renderer):
    """Spectral density of the Hessian at the cursor's step by stochastic Lanczos quadrature: a stem per node, its height the share of all eigenvalues
    that it stands for, logarithmic. A trained model has nearly all at 0 and a few far out to the right."""

    consumes = "hessian"

    split: str = "train"
    floor: float = 1e-9
    """Shares below it are left out."""
    width: int = charts.WIDTH
    height: int = 180

    @hookimpl
    def render(self, frame: Frame) -> alt.Chart:
        rows = frame.data[frame.data["split"] == self.split].dropna(subset=["lambda_max"]) if len(frame.data) else frame.data
        if not len(rows):
            return charts.note(f"No Hessian of the split {self.split!r} at this step.", width=self.width)
        nodes, shares = (np.asarray(rows.iloc[0][name], float) for name in ("density_nodes", "density_shares"))
        table = pd.DataFrame({"eigenvalue": nodes, "share": shares, "floor": self.floor})[shares > self.floor]
        x = alt.X("eigenvalue:Q", scale=alt.Scale(zero=True, nice=True), axis=alt.Axis(title="eigenvalue, nats", format=".1~e", tickCount=5))
        scale = alt.Scale(type="log", domain=[self.floor, 1], nice=False, clamp=True)
        y = alt.Y("share:Q", scale=scale, axis=alt.Axis(title="share of eigenvalues", tickCount=5, labelExpr=charts.LOG_LABEL))
        base = alt.Chart(charts.dataset("nodes", table))
        tooltip = [alt.Tooltip("eigenvalue:Q", format=".4~e"), alt.Tooltip("share:Q", format=".3~e")]
        stems = base.mark_rule(strokeWidth=1.25).encode(x=x, y=y, y2=alt.Y2("floor:Q"))
        dots = base.mark_circle(size=26, opacity=1).encode(x=x, y=y, tooltip=tooltip)
        return charts.described(charts.layers(stems, dots, width=self.width, height=self.height), "Spectral density of the Hessian.")
