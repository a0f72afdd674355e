"""The renderer `persistence_diagram`."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class PersistenceDiagram(Renderer):
    """Each hole of the class centroids by the distance at which it appears and is filled: what lies far above the diagonal lasts."""

    consumes = "persistent_homology"
    at = ("layer",)
    site: str = "mlp.post"
    size: int = 320

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart:
        bars = frame.scalars()
        bars = bars[(bars["site"] == self.site) & bars["death"].notna()].copy()
        bars["hole"] = bars["dimension"].map({0: "cluster", 1: "loop", 2: "cavity"})
        end = float(bars["death"].max()) if len(bars) else 1.0
        diagonal = pd.DataFrame({"birth": [0.0, end], "death": [0.0, end]})
        axis = {"x": alt.X("birth:Q", title="appears at distance"), "y": alt.Y("death:Q", title="filled at distance")}
        line = alt.Chart(diagonal).mark_line(strokeDash=[4, 3], strokeWidth=1, color=charts.colour("muted")).encode(**axis)
        holes = ["cluster", "loop", "cavity"]
        fills = [fill for fill, _ in charts.categories()[:3]]
        points = (
            alt.Chart(bars)
            .mark_point(filled=True, size=60, opacity=0.8)
            .encode(
                **axis,
                color=alt.Color("hole:N", title=None, legend=alt.Legend(orient="right"), scale=alt.Scale(domain=holes, range=fills)),
                shape=alt.Shape("hole:N", title=None, scale=alt.Scale(domain=holes, range=["circle", "square", "diamond"])),
                tooltip=[
                    "hole:N",
                    alt.Tooltip("birth:Q", format=".3g"),
                    alt.Tooltip("death:Q", format=".3g"),
                    alt.Tooltip("persistence:Q", format=".2f"),
                ],
            )
        )
        return charts.layers(line, points, description="Persistence diagram of the class centroids", width=self.size, height=self.size)
