"""Where a panel's picture comes from: its rows, the SQL and the Python that give the same, and files of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..storage.sql import filled, literal
from .compare import pair

if TYPE_CHECKING:
    import pandas as pd

    from ..workspace import Workspace
    from .cards import Card
    from .view import View

TYPES = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
"""Formats that rows are written in, and how they are announced."""


def sql_of(card: Card, cursor: Mapping[str, Any]) -> str:
    """A query for `Workspace.sql` that gives the rows a panel draws at a cursor; what else it reads or does with them stands in comments.

    Raises `StrobeError` when the panel has no rows, and for a pinned probe: views are of the default one.
    """
    view = card.looking(cursor)
    if view.sql:
        return filled(view.sql, view.cursor)
    table, *others = card.tables
    if view.cursor.get("probe"):
        raise UsageError(f"no SQL: views are of the default probe, and this panel is of {view.cursor['probe']!r}")
    also = [f"-- and, whole: {_query(other, _of_run(view, other, str(view.cursor['run'])))}" for other in others]
    if view.shown is not None:
        also.append(f"-- drawn as {view.shown.mode.replace('_', ' ')}, aligned by {view.shown.align}")
    return "\n".join([_query(table, [*_at_runs(view, table), *_at_coordinates(view)]), *also])


def python_of(card: Card, cursor: Mapping[str, Any]) -> str:
    """Three lines for a notebook that draw a panel at a cursor."""
    view, name = card.looking(cursor), card.panel.renderer
    own, settings = type(view.renderer)().model_dump(mode="json"), view.renderer.model_dump(mode="json")
    changed = {k: v for k, v in settings.items() if v != own[k]}
    renderer = f"workspace.renderer({name!r}, {changed!r})" if changed else repr(name)
    places = {k: v for k, v in view.cursor.items() if k in ("step", *card.at, *card.panel.cursor) and k != "run" and v is not None}
    options = {"slots": dict(view.slots), "follow": list(view.follow), "sql": view.sql, **_comparison(view)}
    words = [renderer, repr(str(view.cursor["run"])), *([repr(view.table)] if view.table else [])]
    words += [f"{k}={v!r}" for k, v in {**{k: v for k, v in options.items() if v}, **places}.items()]
    return _three(view.workspace, f"workspace.view({', '.join(words)}).chart")


def _comparison(view: View) -> dict[str, Any]:
    if view.shown is None:
        return {}
    return {"compare": view.shown.mode, "runs": [*view.shown.runs, *view.shown.left_out], "align": view.shown.align}


def python_of_rows(workspace: Workspace, sql: str) -> str:
    """Three lines for a notebook that give the rows of a query."""
    return _three(workspace, f"workspace.sql({sql!r})")


def rows_of(card: Card, cursor: Mapping[str, Any]) -> pd.DataFrame:
    """The rows a panel draws, arrays and all. Raises `StrobeError` when there are none to read."""
    return card.looking(cursor).frame.data


def file_name(card: Card, cursor: Mapping[str, Any], format_: str) -> str:
    """`toy-3-neuron_map-step500.csv`; names from elsewhere in letters that every file system knows."""
    words = f"{cursor['run']}-{card.number}-{card.panel.renderer.rpartition(':')[2]}-step{cursor.get('step', '')}"
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in words) + f".{format_}"


def as_csv(rows: pd.DataFrame) -> bytes:
    """Rows as CSV; an array is written as JSON."""
    texts = {name: rows[name].map(_text) for name in rows.columns if rows[name].dtype == object}
    return rows.assign(**texts).to_csv(index=False).encode()


def as_parquet(rows: pd.DataFrame) -> bytes:
    """Rows as Parquet; arrays are (nested) lists."""
    import pyarrow.parquet as pq

    from ..storage.tables import ResultTable

    buffer = BytesIO()
    pq.write_table(ResultTable(rows).arrow(), buffer)
    return buffer.getvalue()


WRITERS = {"csv": as_csv, "parquet": as_parquet}


def _text(value: Any) -> Any:
    return json.dumps(value.tolist()) if hasattr(value, "tolist") else value


def _three(workspace: Workspace, last: str) -> str:
    return f"from strobe import Workspace\nworkspace = Workspace({str(workspace.root.resolve())!r})\n{last}"


def _query(table: str, conditions: list[str]) -> str:
    return f"select * from {table}" + (f" where {' and '.join(conditions)}" if conditions else "")


def _of_run(view: View, table: str, run: str) -> list[str]:
    """Tables that look at all runs together are not cut at one."""
    whole = table != "metrics" and view.workspace.spans_runs(table)
    return [] if whole else [f"run = {literal(run)}"]


def _at_runs(view: View, table: str) -> list[str]:
    """Of one run at its step; of several, each at its own."""
    if view.shown is None:
        return [*_of_run(view, table, str(view.cursor["run"])), *_at_step(view, table, view.cursor)]
    steps = view.shown.steps(view.cursor)
    names = pair(view.shown, view.cursor) if view.shown.mode == "difference" else view.shown.runs
    each = [[*_of_run(view, table, run), *_at_step(view, table, {**view.cursor, "run": run, "step": steps[run]})] for run in names]
    return [f"({' or '.join(' and '.join(conditions) for conditions in each)})"] if all(each) else []


def _at_step(view: View, table: str, cursor: Mapping[str, Any]) -> list[str]:
    if "step" in view.renderer.over:
        return []
    step = view.workspace.step_shown(table, cursor)
    return [] if step is None else [f"(step = {step} or step is null)"]


def _at_coordinates(view: View) -> list[str]:
    columns = view.frame.schema.columns
    names = [name for name in dict.fromkeys((*view.renderer.at, *view.follow)) if name in columns and view.cursor.get(name) is not None]
    return [f"{name} = {literal(view.cursor[name])}" for name in names]
