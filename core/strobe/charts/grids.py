"""Tables that a reader sorts: a click on a heading orders the lines by it, on the triangle beside it the other way round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from .data import Dataset, dataset
from .theme import DARK, LIGHT, WIDTH, active, colour
from .words import column_places, number, numeric, picks_of

UP, DOWN = 1, -1
LINKS = {LIGHT: "#0072B2", DARK: "#56B4E9"}


def sorted_grid(
    rows: pd.DataFrame,
    *,
    titles: Mapping[str, str] | None = None,
    doors: Mapping[str, Sequence[str]] | None = None,
    sort: str = "",
    width: int = WIDTH,
    row_height: int = 20,
) -> alt.LayerChart:
    """A table as a chart, first ordered by the column `sort`; missing values stay last. `doors`: column -> where each of its cells leads, as an
    address within the app (`?run=a&step=500#loss_curves`), "" for nowhere; such cells are drawn as links.
    """
    shown = [str(c) for c in rows.columns]
    cells = {c: [number(v) for v in rows[c]] for c in shown}
    head = {c: (titles or {}).get(c, c) for c in shown}
    right = {c: numeric(rows[c]) for c in shown}
    place, total = column_places({c: f"{h} ▾" for c, h in head.items()}, cells, right, width)
    opening = sort if sort in shown else shown[0]
    picks, nowhere = picks_of(rows), [""] * len(rows)
    body = [
        {**place[c], "column": c, "row": i, "y": (i + 1.5) * row_height, "text": text, "door": (doors or {}).get(c, nowhere)[i], **picks[i]}
        for c in shown
        for i, text in enumerate(cells[c])
    ]
    placed = _ordered(dataset("cells", body), dataset("order", _orders(rows, row_height)), opening)
    layers = [
        _heads(shown, head, place, row_height, _order(opening)),
        *(_texts(placed, side, leads) for side in ("left", "right") for leads in (False, True)),
        _rule(row_height, total),
    ]
    return alt.layer(*layers, width=width, height=row_height)


def _order(opening: str) -> alt.Parameter:
    """What a click on a heading or a triangle sets: column and direction."""
    return alt.selection_point(
        name="order",
        fields=["column", "direction"],
        on="click[event.item && event.item.datum && event.item.datum.direction]",
        toggle="false",
        clear=False,
        empty=False,
        value=[{"column": opening, "direction": UP}],
    )


def _ordered(cells: Dataset, orders: Dataset, opening: str) -> alt.Chart:
    """The cells, each at the height that its line has in the order that is chosen."""
    key = f"({_chosen('column', opening)}) + ' ' + ({_chosen('direction', UP)}) + ' ' + datum.row"
    found = alt.LookupData(data=orders, key="key", fields=["y"])
    return alt.Chart(cells).transform_calculate(key=key).transform_lookup(lookup="key", from_=found)


def _chosen(field: str, otherwise: str | int) -> str:
    """What was clicked last, as an expression."""
    plain = f"'{otherwise}'" if isinstance(otherwise, str) else str(otherwise)
    return f"isValid(order['{field}']) ? order['{field}'][0] : {plain}"


def _orders(rows: pd.DataFrame, row_height: int) -> list[dict[str, object]]:
    """Where each line stands when the table is ordered by a column, up or down: `{"key": "turn 1 0", "y": 30}`."""
    places = []
    for c in rows.columns:
        for direction in (UP, DOWN):
            order = rows[c].reset_index(drop=True).sort_values(ascending=direction == UP, na_position="last", kind="stable").index
            places += [{"key": f"{c} {direction} {row}", "y": (place + 1.5) * row_height} for place, row in enumerate(order)]
    return places


def _heads(shown: Sequence[str], head: Mapping[str, str], place: Mapping[str, dict[str, object]], row_height: int, param: alt.Parameter) -> alt.Chart:
    """Headings, and a triangle behind each; the one the table is ordered by is in ink. Both are what `order` is chosen with."""
    rows = []
    for c in shown:
        x, side = float(str(place[c]["x"])), str(place[c]["side"])
        words = {"column": c, "y": 0.5 * row_height}
        rows.append({**words, "x": x - (12 if side == "right" else 0), "side": side, "text": head[c], "direction": UP})
        after = x if side == "right" else x + 6.2 * len(head[c]) + 12
        rows.append({**words, "x": after, "side": "right", "text": "▾", "direction": DOWN})
    base = alt.Chart(dataset("head", rows))
    chosen = f"datum.column == ({_chosen('column', shown[0])}) && datum.direction == ({_chosen('direction', UP)})"
    tint = alt.ColorValue(colour("muted"), condition={"test": chosen, "value": colour("ink")})
    texts = base.mark_text(align=alt.expr("datum.side"), baseline="middle", cursor="pointer")
    return texts.encode(x=_x(), y=_y(), text=alt.Text("text:N"), color=tint).properties(name="heads").add_params(param)


def _texts(table: alt.Chart, side: str, leads: bool) -> alt.Chart:
    kept = table.transform_filter(f"datum.side == '{side}' && (datum.door != '') == {str(leads).lower()}")
    tint = {"color": colour("ink")} if not leads else {"color": LINKS[active()], "cursor": "pointer"}
    touched = alt.selection_point(name=f"cell_{side}_{leads}", fields=["column"])  # Vega-Lite hands clicks only to marks that select something
    return (
        kept.mark_text(align=side, baseline="middle", **tint)
        .encode(x=_x(), y=_y(), text=alt.Text("text:N"))
        .properties(name=f"cells_{side}_{leads}")
        .add_params(touched)
    )


def _rule(row_height: int, total: int) -> alt.Chart:
    rows: Dataset = dataset("head rule", [{"y": row_height, "x": 0, "x2": total}])
    return alt.Chart(rows).mark_rule().encode(x=_x(), x2=alt.X2("x2:Q"), y=_y())


def _x() -> alt.X:
    return alt.X("x:Q", scale=None, axis=None)


def _y() -> alt.Y:
    return alt.Y("y:Q", scale=None, axis=None)
