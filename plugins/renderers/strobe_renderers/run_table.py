"""Runs side by side."""

from __future__ import annotations

from urllib.parse import urlencode

import altair as alt
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl

from .run_names import told_apart
from .shortened import without_end

DOORS = {
    **dict.fromkeys(("memorised", "turn", "generalised"), "loss_curves"),
    **dict.fromkeys(("final_train_loss", "final_test_loss", "min_test_loss", "regress"), "loss_curves"),
    **dict.fromkeys(("key_frequencies", "n_keys", "frequencies_lost", "n_lost"), "frequency_timeline"),
    **dict.fromkeys(("loop_closed", "path_length", "efficiency", "robust_crossings"), "trajectory_plane"),
    **{"worst_axis_ratio": "axis_ratio_over_steps", "mixed_share": "neuron_commitment"},
}
"""Column -> the renderer of the panel behind its cells, in the run's own report."""
LONGEST = 40
"""Characters of what varies: runs that came from elsewhere differ in everything that is not known of them."""
DATES = ("memorised", "turn", "generalised")


class RunTable(Renderer):
    """One line per run: what differs between them, when they memorised and generalised, where they ended, their key frequencies. A dash: unknown.
    Click the name of a run to open it.

    `columns` chooses from run_summary, `sort` is what it is ordered by at first: a click on a heading orders by that, on the triangle beside it the
    other way round. In the app a cell in blue leads to the panel behind it, in that run's own report, a date to its step. Runs with an anomaly have
    its farthest number in the last column, when `anomalies` was computed.
    """

    consumes = ("run_summary", "anomalies")
    over = ("step",)
    picks = [Pick(field="run")]
    compares = ("overlay",)

    columns: tuple[str, ...] = (
        *("varying", "memorised", "turn", "generalised", "delay", "final_train_loss", "final_test_loss"),
        *("key_frequencies", "frequencies_lost", "loop_closed"),
    )
    sort: str = "generalised"
    rows: int = 60
    width: int = charts.WIDTH

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        data = frame.data
        if not len(data):
            return charts.note("No runs were compared.", width=self.width)
        data = data.sort_values(self.sort, na_position="last", kind="stable") if self.sort in data else data
        kept = [c for c in ("run", *self.columns) if c in data and (c != "varying" or data[c].astype(bool).any())]
        shown = data.head(self.rows)[kept].reset_index(drop=True)
        doors = {c: [_door(run, c, value) for run, value in zip(shown["run"], shown[c], strict=True)] for c in kept if c in DOORS}
        for column in kept:
            if pd.api.types.is_float_dtype(shown[column]) and not column.endswith("loss"):
                shown[column] = shown[column].astype(float).round(0 if shown[column].abs().max() > 100 else 2)
        if "varying" in shown:
            told = told_apart(dict(zip(shown["run"], shown["varying"].astype(str), strict=True)))
            shown["varying"] = [without_end(said, LONGEST) for said in told.values()]
        if "loop_closed" in shown:
            shown["loop_closed"] = ["–" if pd.isna(v) else "closed" if v else "open" for v in shown["loop_closed"]]
        odd = _oddest(frame.others.get("anomalies"))
        shown = shown.assign(odd=[odd.get(run, "–") for run in shown["run"]]) if odd else shown
        titles = {c: c.replace("_", " ") for c in kept} | {"odd": "out of line in", "loop_closed": "loop"}
        grid = charts.sorted_grid(shown, titles=titles, doors=doors, sort=self.sort, width=self.width)
        return charts.described(grid, "Table of runs with their dates, losses and key frequencies.")


def _door(run: str, column: str, value: object) -> str:
    """Where a cell leads: the run's own report, at the step that a date names, at the panel behind the column."""
    if pd.isna(value):
        return ""
    step = {"step": round(float(value))} if column in DATES else {}  # type: ignore[arg-type]
    return f"?{urlencode({'run': run, 'report': 'default', **step})}#{DOORS[column]}"


def _oddest(table: pd.DataFrame | None) -> dict[str, str]:
    """Run -> the anomalous number that is farthest from its peers."""
    if table is None or not len(table):
        return {}
    found = table[table["anomalous"].astype(bool)].sort_values("rank", na_position="last").drop_duplicates("run")
    return {str(r["run"]): str(r["column"]).replace("_", " ") for r in found.to_dict("records")}
