"""Runs side by side."""

from __future__ import annotations

import altair as alt
import pandas as pd

from strobe import Frame, Pick, Renderer, charts, hookimpl


class RunTable(Renderer):
    """One line per run: what differs between them, when they memorised and generalised, where they ended, their key frequencies. A dash: unknown.
    Click a line to open its run.

    `columns` chooses from run_summary, `sort` orders by one of them. Runs with an anomaly have its farthest number in the last column,
    when `anomalies` was computed.
    """

    consumes = ("run_summary", "anomalies")
    over = ("step",)
    picks = [Pick(field="run")]

    columns: tuple[str, ...] = ("varying", "memorised", "turn", "generalised", "delay", "final_test_loss", "key_frequencies", "frequencies_lost")
    sort: str = "generalised"
    rows: int = 60
    width: int = charts.WIDTH

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.Chart:
        data = frame.data
        if not len(data):
            return charts.note("No runs were compared.", width=self.width)
        data = data.sort_values(self.sort, na_position="last", kind="stable") if self.sort in data else data
        kept = [c for c in ("run", *self.columns) if c in data]
        shown = data.head(self.rows)[kept].reset_index(drop=True)
        for column in kept:
            if pd.api.types.is_float_dtype(shown[column]) and not column.endswith("loss"):
                shown[column] = shown[column].astype(float).round(0 if shown[column].abs().max() > 100 else 2)
        odd = _oddest(frame.others.get("anomalies"))
        shown = shown.assign(odd=[odd.get(run, "–") for run in shown["run"]]) if odd else shown
        titles = {c: c.replace("_", " ") for c in kept} | {"odd": "out of line in"}
        return charts.described(
            charts.text_grid(shown, titles=titles, width=self.width), "Table of runs with their dates, losses and key frequencies."
        )


def _oddest(table: pd.DataFrame | None) -> dict[str, str]:
    """Run -> the anomalous number that is farthest from its peers."""
    if table is None or not len(table):
        return {}
    found = table[table["anomalous"].astype(bool)].sort_values("rank", na_position="last").drop_duplicates("run")
    return {str(r["run"]): str(r["column"]).replace("_", " ") for r in found.to_dict("records")}
