"""Any table, as a table."""

from __future__ import annotations

import altair as alt

from strobe import Dim, Frame, Renderer, charts, hookimpl


class Table(Renderer):
    """Draws any table: its scalar columns, the first `rows` rows at the cursor, with the count of all. Arrays are left out.

    A brush in another panel leaves only the rows of its neurons or frequencies.
    """

    slots = {"first": Dim(optional=True)}
    narrows = True

    rows: int = 20
    width: int = charts.WIDTH

    @hookimpl
    def render(self, frame: Frame) -> alt.LayerChart | alt.VConcatChart | alt.Chart:
        scalars = frame.scalars()
        shown = scalars.drop(columns=[c for c in ("run", "probe") if c in scalars]).head(self.rows)
        if shown.empty:
            return charts.note("No rows here.", width=self.width)
        units = {c.name: f"{c.name}, {c.unit}" for c in frame.schema.columns.values() if c.unit and c.unit != "1"}
        grid = charts.text_grid(shown, titles=units, width=self.width)
        words = f"{len(shown):,} of {len(scalars):,} rows" if len(shown) < len(scalars) else f"{len(scalars):,} rows"
        count = alt.Chart(charts.dataset("count", [{"text": words}])).mark_text(style="annotation", align="left", baseline="bottom")
        below = count.encode(x=alt.XValue(0), y=alt.YValue(-6), text=alt.Text("text:N"))
        return charts.described(charts.layers(grid, below), "The rows of a table, scalar columns only.")
