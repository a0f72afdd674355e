"""Which numbers of the runs go together."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class CorrelationIntervals(Renderer):
    """Rank correlations of pairs of numbers over runs, the strongest first, each with its bootstrap interval. Dark: the interval excludes 0.

    Of many pairs about one in twenty excludes 0 by chance, intervals from fewer than about 10 runs are too narrow, and dates of one run are related
    by construction. `of` limits the pairs to those with one of these numbers.
    """

    consumes = "run_correlations"
    over = ("step",)

    of: tuple[str, ...] = ()
    rows: int = 15
    width: int = 340
    row_height: int = 19

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        data = frame.data
        known = data[data["x"].isin(self.of) | data["y"].isin(self.of)] if len(data) and self.of else data
        if not len(known):
            return charts.note("No numbers of runs were correlated: at least four runs are needed.", width=self.width)
        strongest = known.assign(size=known["rho"].abs()).sort_values(["excludes_zero", "size"], ascending=False, kind="stable").head(self.rows)
        names = strongest["x"].str.replace("_", " ") + " \N{EN DASH} " + strongest["y"].str.replace("_", " ")
        numbers = {c: strongest[c].astype(float) for c in ("rho", "low", "high")}
        table = pd.DataFrame({"pair": names, **numbers, "runs": strongest["runs"], "sure": strongest["excludes_zero"].astype(bool)})
        x = {"scale": alt.Scale(domain=[-1, 1], nice=False), "axis": alt.Axis(title="rank correlation over runs", values=[-1, -0.5, 0, 0.5, 1])}
        y = alt.Y("pair:N", sort=list(table["pair"]), axis=alt.Axis(title="numbers", grid=False, labelLimit=260))
        tint = alt.ColorValue(charts.colour("muted"), condition={"test": "datum.sure", "value": charts.colour("ink")})
        base = alt.Chart(charts.dataset("pairs", table)).encode(y=y, color=tint)
        tips = [alt.Tooltip("pair:N"), *(alt.Tooltip(f"{c}:Q", format=".2f") for c in numbers), alt.Tooltip("runs:Q")]
        zero = alt.Chart(charts.dataset("zero", [{"rho": 0}])).mark_rule(color=charts.colour("muted"), strokeDash=[2, 2])
        layers = [
            zero.encode(x=alt.X("rho:Q", **x)),
            base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q", **x), x2="high:Q"),
            base.mark_circle(size=50, opacity=1).encode(x=alt.X("rho:Q", **x), tooltip=tips),
        ]
        chart = charts.layers(*layers, width=self.width, height=self.row_height * len(table))
        return charts.described(chart, "Rank correlations of pairs of numbers over runs, with their bootstrap intervals.")
