"""What makes a run unlike its peers."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl

LIMIT = 3.5
"""|z| of an anomaly, unless the analyzer was set otherwise; drawn as a band."""
EDGE = 100.0
"""Farther ones are drawn here: where all peers agree, a deviation may be anything."""


class AnomalyScores(Renderer):
    """How far each number of each run is from its peers, in robust deviations: one dot per run, the anomalous ones filled and named.

    The band is where peers lie (|z| below 3.5). The scale is linear inside it and logarithmic outside. Numbers in which some run is anomalous come
    first, the farthest on top. With few peers even a far dot may be chance: `null_rate` is how often a normal draw is as far out. Runs without a z
    (fewer than three peers) have no dot. Beyond 100 deviations, and for a number that a run lacks while all its peers have it, the dot is at the
    edge. Click a dot to go to its run.
    """

    consumes = "anomalies"
    over = ("step",)
    picks = [Pick(field="run")]

    columns: tuple[str, ...] = ()
    rows: int = 12
    width: int = charts.WIDTH
    row_height: int = 20

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        data = frame.data
        known = data[data["z"].notna() | data["anomalous"].astype(bool)] if len(data) else data
        if not len(known):
            why = f" ({data['why'].iloc[0]})" if len(data) else ""
            return charts.note(f"No run was compared with peers{why}.", width=self.width)
        table = self._table(known)
        order = list(dict.fromkeys(table["column"]))
        height = self.row_height * len(order)
        scale = alt.Scale(type="symlog", constant=LIMIT, domain=[-EDGE, EDGE], nice=False)
        axis = alt.Axis(title="robust deviations from the peers' median", values=[-EDGE, -10, -LIMIT, 0, LIMIT, 10, EDGE], format="~g")
        x = alt.X("z:Q", scale=scale, axis=axis)
        y = alt.Y("column:N", sort=order, axis=alt.Axis(title="number of the run", grid=True))
        band = alt.Chart(charts.dataset("peers", [{"low": -LIMIT, "high": LIMIT}])).mark_rect(color=charts.colour("grid"), opacity=0.6)
        tips = [alt.Tooltip("run:N"), alt.Tooltip("value:Q", format=".4~g"), alt.Tooltip("why:N"), alt.Tooltip("null_rate:Q", format=".2~g")]
        dots = alt.Chart(charts.dataset("runs", table)).encode(x=x, y=y, tooltip=tips)
        plain = dots.transform_filter("!datum.anomalous").mark_circle(size=34, color=charts.colour("muted"), opacity=0.6)
        odd = dots.transform_filter("datum.anomalous")
        names = alt.Chart(charts.dataset("names", _names(table)))
        layers = [
            band.encode(x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q"),
            plain,
            odd.mark_circle(size=60, color=charts.colour("ink"), opacity=1),
            names.mark_text(style="annotation", align="left", dx=8).encode(x=alt.XValue(self.width), y=y, text="text:N"),
        ]
        return charts.described(
            charts.layers(*layers, width=self.width, height=height), "Deviations of each number of the runs from those of their peers."
        )

    def _table(self, known: pd.DataFrame) -> pd.DataFrame:
        table = known.assign(anomalous=known["anomalous"].astype(bool), z=known["z"].astype(float))
        table["z"] = table["z"].fillna(EDGE).clip(-EDGE, EDGE)
        score = table.assign(far=table["z"].abs() + 1e6 * table["anomalous"]).groupby("column")["far"].max()
        wanted = [c for c in self.columns if c in score.index] or list(score.sort_values(ascending=False, kind="stable").index[: self.rows])
        place = {c: i for i, c in enumerate(wanted)}
        kept = table[table["column"].isin(wanted)]
        kept = kept.assign(place=kept["column"].map(place)).sort_values(["place", "run"], kind="stable")
        names = ["run", "column", "z", "anomalous", "value", "why", "null_rate"]
        return kept[names].assign(column=kept["column"].str.replace("_", " ")).reset_index(drop=True)


def _names(table: pd.DataFrame, most: int = 2) -> pd.DataFrame:
    """Column -> its anomalous runs, the farthest first."""
    odd = table[table["anomalous"]].assign(far=table["z"].abs()).sort_values("far", ascending=False, kind="stable")
    runs = {str(c): list(rows["run"].astype(str)) for c, rows in odd.groupby("column", sort=False)}
    texts = [", ".join(own[:most]) + (f" +{len(own) - most}" if len(own) > most else "") for own in runs.values()]
    return pd.DataFrame({"column": list(runs), "text": texts})
