"""The rows that a renderer draws at a cursor: tables cut at run, probe, step and whatever else it follows; or the rows of a query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import StrobeError, UsageError
from ..frame import Frame
from ..renderer import Renderer, bind, check_slots
from ..storage.reading import METRICS

if TYPE_CHECKING:
    import pandas as pd

    from ..reports.model import Align, Compare
    from ..runs.run import Run
    from ..storage.store import Address
    from ..workspace import Workspace


def frame(
    workspace: Workspace,
    renderer: Renderer,
    table: str = "",
    cursor: Mapping[str, Any] | None = None,
    slots: Mapping[str, str] | None = None,
    follow: Sequence[str] = (),
    sql: str = "",
    *,
    runs: Sequence[str | Run] = (),
    align: Align = "step",
    compare: Compare = "overlay",
) -> Frame:
    """See `Workspace.frame`."""
    if runs:
        from .compare import frame_of, together

        shown = together(workspace, workspace.chosen(runs), compare, align)
        return frame_of(workspace, renderer, table, cursor or {}, slots or {}, follow, shown, sql)
    cursor = dict(cursor or {})
    if sql:
        return _of_query(workspace, renderer, sql, cursor, slots, follow)
    name = table or next(iter(renderer.tables()), "")
    if not name:
        raise UsageError(f"{type(renderer).__name__} draws any table: say which, table='<analyzer>'")
    run = workspace.run(cursor["run"]) if cursor.get("run") else workspace.chosen(None)[0]
    schema = workspace.schema(name, run)
    data = _cut(workspace, renderer, name, run, cursor, follow)
    others = {other: rows for other in renderer.tables()[1:] if (rows := _other(workspace, renderer, other, run, cursor, follow)) is not None}
    check_slots(type(renderer), schema, slots or {})
    bound = bind(renderer.slots, schema, slots) if renderer.slots else {}
    if bound is None:
        raise UsageError(f"{type(renderer).__name__} cannot draw {name!r}: none of its columns fits {', '.join(renderer.slots)}")
    return Frame(data, schema, bound, others, run.family, {**cursor, "run": run.name})


def _of_query(
    workspace: Workspace, renderer: Renderer, sql: str, cursor: Mapping[str, Any], slots: Mapping[str, str] | None, follow: Sequence[str]
) -> Frame:
    from ..storage.sql import MOST_ROWS, SECONDS, ask

    who = type(renderer).__name__
    if not renderer.slots:
        raise UsageError(f"{who} draws {', '.join(renderer.tables())}, no query; a generic renderer does, such as line_over_steps")
    answer = ask(workspace, sql, cursor, most=MOST_ROWS, seconds=SECONDS)
    if answer.more:
        raise UsageError(f"the query gives more than {MOST_ROWS:,} rows, the most that is drawn: aggregate them, or end it with `limit {MOST_ROWS}`")
    bound = bind(renderer.slots, answer.schema, slots)
    if bound is None:
        columns = ", ".join(answer.schema.columns)
        raise UsageError(f"{who} cannot draw this query: none of its columns ({columns}) fits {', '.join(renderer.slots)}")
    run = workspace.run(cursor["run"]) if cursor.get("run") else None
    return Frame(at(answer.frame, follow, cursor), answer.schema, bound, {}, run.family if run else None, cursor)


def _cut(workspace: Workspace, renderer: Renderer, name: str, run: Run, cursor: Mapping[str, Any], follow: Sequence[str]) -> pd.DataFrame:
    step = None if "step" in renderer.over or name == METRICS else cursor.get("step")
    if step is not None:
        step = step_at(workspace, name, run, int(step), str(cursor.get("probe") or ""))
    data: pd.DataFrame = workspace.table(name, runs=run, steps=step, probe=str(cursor.get("probe") or ""))
    return at(data, (*renderer.at, *follow), cursor)


def at(data: pd.DataFrame, coordinates: Iterable[str], cursor: Mapping[str, Any]) -> pd.DataFrame:
    for coordinate in coordinates:
        if coordinate in data and cursor.get(coordinate) is not None:
            data = data[data[coordinate] == cursor[coordinate]]
    return data.reset_index(drop=True)


def _beside(workspace: Workspace, name: str, run: Run, cursor: Mapping[str, Any], coordinates: Sequence[str]) -> pd.DataFrame | None:
    """The rows of another table at the cursor, of every settings it was computed with: some analyzers are told which neurons to look at."""
    step, found = cursor.get("step"), []
    for settings in workspace.stored_settings(name, run):
        table = workspace.table(name, runs=run, steps=None if step is None else int(step), probe=str(cursor.get("probe") or ""), settings=settings)
        found.append(at(table, coordinates, cursor))
    return next((rows for rows in found if len(rows)), found[0] if found else None)


def stored_settings(workspace: Workspace, name: str, run: str | Run, probe: str = "") -> list[dict[str, Any]]:
    """See `Workspace.stored_settings`."""
    run = workspace.run(run)
    default = workspace.addresses(name, [run], probe)[0]
    folder = default.folder(workspace.store.root).parent
    found: list[dict[str, Any]] = []
    for file in sorted(folder.glob("*/*.parquet"), key=lambda f: -f.stat().st_mtime):
        address = workspace.store.address_at(file.parent)
        settings = workspace.store.about(address).get("settings", {}) if address else None
        if settings is not None and settings not in found and _is_current(workspace, name, run, probe, settings, address):
            found.append(settings)
    return found


def _is_current(workspace: Workspace, name: str, run: Run, probe: str, settings: Mapping[str, Any], address: Address | None) -> bool:
    try:
        return workspace.addresses(name, [run], probe, settings)[0] == address
    except StrobeError:  # settings that this version does not have
        return False


def step_shown(workspace: Workspace, table: str, cursor: Mapping[str, Any]) -> int | None:
    """See `Workspace.step_shown`."""
    if table == METRICS or cursor.get("step") is None:
        return None
    run = workspace.run(cursor["run"]) if cursor.get("run") else workspace.chosen(None)[0]
    return step_at(workspace, table, run, int(cursor["step"]), str(cursor.get("probe") or ""))


def step_at(workspace: Workspace, name: str, run: Run, step: int, probe: str) -> int | None:
    """The latest stored step not after `step` (the first one when all are after it), None for a table without steps."""
    steps = sorted(s for a in workspace.addresses(name, [run], probe) for s in workspace.store.entries(a) if s is not None)
    return max((s for s in steps if s <= step), default=steps[0] if steps else None)


def _other(workspace: Workspace, renderer: Renderer, name: str, run: Run, cursor: Mapping[str, Any], follow: Sequence[str]) -> pd.DataFrame | None:
    """A further table that the renderer consumes, None where it is not computed."""
    if name in renderer.cut:
        return _beside(workspace, name, run, cursor, (*renderer.at, *follow))
    return _optional(workspace, name, run)


def _optional(workspace: Workspace, name: str, run: Run) -> pd.DataFrame | None:
    try:
        return workspace.table(name, runs=run)
    except StrobeError:
        return None
