"""Two places of one card and what is different: A - B of maps and of generic lines, both marks on curves over steps, A, B and B - A of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import StrobeError
from ..frame import Frame
from .cards import LIGHT, Card, Drawing, drawn, made
from .subtraction import less

if TYPE_CHECKING:
    import pandas as pd

    from .view import View

CURSOR = "cursor"
MOST_ROWS = 24


def difference(card: Card, a: Mapping[str, Any], b: Mapping[str, Any], theme: str = LIGHT) -> Drawing:
    """What tells two cursors apart in a card. Curves over steps get both marks when they are the same curves; maps and generic lines are drawn by the
    card's own renderer from A - B, where rows match by their dimensions; everything else is a table of A, B and B - A.
    """
    return drawn(card.who, theme, lambda: _difference(card.looking(a), card.looking(b)))


def _difference(one: View, other: View) -> Drawing:
    from .. import charts

    if one.shown is not None:
        raise StrobeError("this panel compares runs already; pins compare places of one run")
    over_steps = "step" in one.renderer.over
    if over_steps and not _moved(one, other):
        return _both_marks(made(one.chart), one.cursor, other.cursor)
    if not over_steps and _is_map(made(one.chart, validate=False)):
        with charts.differences():
            return made(_rendered(one, subtracted(one.frame, other.frame)))
    if over_steps and one.renderer.slots:
        return made(_rendered(one, subtracted(one.frame, other.frame)))
    return made(_table(compared(one.frame, other.frame)))


def _rendered(view: View, frame: Frame) -> Any:
    return view.renderer.render(frame)  # type: ignore[attr-defined]


def _moved(a: View, b: View) -> set[str]:
    """Coordinates besides the step in which the two differ, of those that the card is cut at."""
    return {name for name in ("run", "probe", *a.renderer.at, *a.follow) if a.cursor.get(name) != b.cursor.get(name)}


def _both_marks(drawing: Drawing, a: Mapping[str, Any], b: Mapping[str, Any]) -> Drawing:
    marks = [{"step": int(place["step"]), "label": f"{name} {int(place['step']):,}"} for name, place in (("A", a), ("B", b)) if "step" in place]
    return replace(drawing, datasets={**drawing.datasets, CURSOR: marks}) if CURSOR in drawing.datasets else drawing


def _is_map(drawing: Drawing) -> bool:
    return any(str(row.get("url", "")).startswith("data:image") for rows in drawing.datasets.values() for row in rows[:1])


# --- numbers -----------------------------------------------------------------------------------------------------------------------------------


def subtracted(a: Frame, b: Frame) -> Frame:
    """A - B of every metric and array, for the rows that both have. Raises `StrobeError` when there is none.

    Arrays are multiplied with the column `scale` of their row first, where there is one, which then is 1. Texts and dimensions are those of A.
    """
    joined, keys = _joined(a, b), _keys(a, b)
    here = joined[[str(c) for c in a.data.columns]]
    there = joined[[*keys, *(f"{c} B" for c in b.data.columns if c not in keys)]].rename(columns=lambda c: str(c).removesuffix(" B"))
    return replace(a, data=less(here, there, a.schema))


def compared(a: Frame, b: Frame) -> pd.DataFrame:
    """One row per matching row and metric: its dimensions, `measure`, `A`, `B`, `B - A`; those that changed most first when there are many."""
    import pandas as pd

    joined, keys = _joined(a, b), _keys(a, b)
    units = {c.name: c.unit for c in a.schema.columns.values()}
    parts = []
    for name, here, there in _pairs(a, b, joined):
        words = f"{name}, {units[name]}" if units.get(name) not in (None, "", "1") else name
        size = max(float(here.abs().max()), float(there.abs().max()), 1e-300)
        columns: dict[str, Any] = {"measure": words, "A": here, "B": there, "B − A": there - here, "change": ((there - here) / size).abs()}
        parts.append(joined[keys].assign(**columns))
    if not parts:
        raise StrobeError("these rows have no numbers to compare")
    table = pd.concat(parts, ignore_index=True).dropna(subset=["A", "B"], how="all")
    if len(table) > MOST_ROWS:
        table = table.sort_values("change", ascending=False, kind="stable")
    varying = [k for k in keys if table[k].nunique(dropna=False) > 1]
    return table[[*varying, "measure", "A", "B", "B − A"]].reset_index(drop=True)


def _pairs(a: Frame, b: Frame, joined: pd.DataFrame) -> list[tuple[str, pd.Series, pd.Series]]:
    """Name, values at A and at B: of the numbers of a table, or, where it has none, of the means of its arrays."""
    if names := _numbers(a, b):
        return [(name, joined[name].astype(float), joined[f"{name} B"].astype(float)) for name in names]
    arrays = [c.name for c in a.schema.of_kind("array") if c.name in a.data and c.name in b.data]
    return [(f"mean of {name}", joined[name].map(_mean).astype(float), joined[f"{name} B"].map(_mean).astype(float)) for name in arrays]


def _mean(values: Any) -> float | None:
    return None if values is None else float(values.mean())


def _table(rows: pd.DataFrame) -> Any:
    import altair as alt

    from .. import charts

    shown = rows.head(MOST_ROWS)
    words = f"{len(shown):,} of {len(rows):,} numbers, those that changed most" if len(shown) < len(rows) else f"{len(rows):,} numbers"
    note = alt.Chart(charts.dataset("count", [{"text": words}])).mark_text(style="annotation", align="left", baseline="bottom")
    above = note.encode(x=alt.XValue(0), y=alt.YValue(-6), text=alt.Text("text:N"))
    return charts.described(charts.layers(charts.text_grid(shown), above), "The numbers of two places and their difference.")


def _joined(a: Frame, b: Frame) -> pd.DataFrame:
    """Rows of A with those of B beside them, columns of B with a ` B` behind their name."""
    keys = _keys(a, b)
    theirs = b.data.rename(columns={c: f"{c} B" for c in b.data.columns if c not in keys})
    joined = a.data.merge(theirs, on=keys) if keys else a.data.reset_index(drop=True).join(theirs.reset_index(drop=True), how="inner")
    if not len(joined):
        by = f" in {', '.join(keys)}" if keys else ""
        raise StrobeError(f"A has {len(a.data)} rows and B has {len(b.data)}, and none of them match{by}")
    return joined


def _keys(a: Frame, b: Frame) -> list[str]:
    """Dimensions that tell rows apart, in the order of the table, as few as are needed: later ones may be findings, such as a neuron's frequency.

    A dimension with one value in A and one in B is where the two places are, not what a row is about.
    """
    known = [c.name for c in a.schema.of_kind("dim") if c.name in a.data and c.name in b.data]
    keys: list[str] = []
    for name in known:
        if _is_place(a, b, name):
            continue
        if keys and not _repeated(a, keys) and not _repeated(b, keys):
            break
        keys.append(name)
    return keys


def _is_place(a: Frame, b: Frame, name: str) -> bool:
    return a.data[name].nunique(dropna=False) == 1 and b.data[name].nunique(dropna=False) == 1


def _repeated(frame: Frame, keys: Sequence[str]) -> bool:
    return bool(frame.data.duplicated(list(keys)).any())


def _numbers(a: Frame, b: Frame) -> list[str]:
    return [c.name for c in a.schema.of_kind("metric") if c.numeric and c.name in a.data and c.name in b.data]
