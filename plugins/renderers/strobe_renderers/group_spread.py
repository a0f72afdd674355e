"""What stays the same from run to run, and what differs."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Renderer, charts, hookimpl


class GroupSpread(Renderer):
    """Mean, standard deviation and range of numbers of the runs, per group of runs with the same value of a parameter.

    Each strip is one number; the dot is the mean over the runs of a group, the thick bar one standard deviation to each side, the thin one the range.
    The words say whether it is consistent (spread at most a tenth of the mean) or seed-dependent, and the share of the variance that lies between the
    groups, beside what shuffled groups reach.
    """

    consumes = "run_groups"
    over = ("step",)

    columns: tuple[str, ...] = ("memorised", "turn", "generalised", "final_test_loss", "n_keys")
    by: str = ""
    """The parameter that runs are grouped by; empty: the one that tells most."""
    width: int = charts.WIDTH
    row_height: int = 22

    @hookimpl
    def render(self, frame: Frame) -> alt.VConcatChart | alt.Chart:
        data = frame.data
        parameter = self.by or _telling(data)
        rows = data[(data["parameter"] == parameter) & data["mean"].notna()] if len(data) else data
        columns = [c for c in self.columns if len(rows) and (rows["column"] == c).any()]
        if not columns:
            return charts.note("No runs were grouped, or none has these numbers.", width=self.width)
        strips = [self._strip(rows[rows["column"] == c], c, parameter) for c in columns]
        return charts.described(
            charts.below(*strips, spacing=34), f"Mean, standard deviation and range of numbers of the runs, by {parameter.replace('_', ' ')}."
        )

    def _strip(self, rows: pd.DataFrame, column: str, parameter: str) -> alt.LayerChart:
        table = pd.DataFrame({"group": rows["group"].astype(str), **{n: rows[n].astype(float) for n in ("mean", "deviation", "low", "high")}})
        spread = table["deviation"].fillna(0)
        table = table.assign(down=table["mean"] - spread, up=table["mean"] + spread, runs=rows["known"].astype(int), kind=rows["kind"])
        low, high = min(table[["down", "low"]].min()), max(table[["up", "high"]].max())
        log = low > 0 and high / low >= 1000
        pad = 1.0 if high == low else (high - low) * 0.05
        domain = [low / 1.5, high * 1.5] if log else [low - pad, high + pad]
        scale = alt.Scale(type="log" if log else "linear", domain=domain, nice=False, zero=False)
        axis = alt.Axis(title=column.replace("_", " "), tickCount=5, format="~g" if log else alt.Undefined)
        y = alt.Y("group:N", axis=alt.Axis(title=parameter.replace("_", " "), grid=True))
        base = alt.Chart(charts.dataset(f"groups of {column}", table)).encode(y=y)
        tips = [alt.Tooltip("group:N"), alt.Tooltip("runs:Q"), alt.Tooltip("mean:Q", format=".4~g"), alt.Tooltip("deviation:Q", format=".3~g")]
        ink = charts.colour("ink")
        whole = base.mark_rule(color=charts.colour("muted")).encode(x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q")
        middle = base.mark_rule(color=ink, strokeWidth=5, opacity=0.35).encode(x=alt.X("down:Q", scale=scale, axis=axis), x2="up:Q")
        dots = base.mark_circle(size=60, color=ink, opacity=1).encode(x=alt.X("mean:Q", scale=scale, axis=axis), tooltip=tips)
        kinds = base.mark_text(style="annotation", align="left", dx=8, color=charts.colour("muted")).encode(x=alt.XValue(self.width), text="kind:N")
        note = charts.dataset(f"between {column}", [{"text": _between(rows)}])
        words = alt.Chart(note).mark_text(style="annotation", align="right", baseline="bottom", color=charts.colour("muted"))
        text = words.encode(x=alt.XValue(self.width), y=alt.YValue(-5), text="text:N")
        return charts.layers(whole, middle, dots, kinds, text, width=self.width, height=self.row_height * len(table))


def _telling(data: pd.DataFrame) -> str:
    """The parameter that says most about the runs: the share of variance between its groups is farthest above that of shuffled groups."""
    known = data[data["parameter"] != "all"].dropna(subset=["between"]) if len(data) else data
    return str((known["between"] - known["between_null"]).groupby(known["parameter"]).median().idxmax()) if len(known) else "all"


def _between(rows: pd.DataFrame) -> str:
    share, null = rows["between"].iloc[0], rows["between_null"].iloc[0]
    return "" if pd.isna(share) else f"{share:.0%} of the variance between groups, shuffled {null:.0%}"
