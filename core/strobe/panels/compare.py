"""Several runs in one frame: their rows under each other at one aligned step, or the rows of one less those of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import StrobeError
from ..frame import Frame
from ..renderer import Renderer
from ..reports.model import Align, Compare
from ..reports.selection import facts
from ..runs.run import Run
from ..schema import Column, TableSchema
from . import subtraction
from .align import Clock, clocks
from .subtraction import floats

if TYPE_CHECKING:
    import pandas as pd

    from ..workspace import Workspace

ALIGNED = Column("aligned", "dim", "aligned step", "float64")
NO_DIMENSIONS = ("run", "probe", "aligned")


@dataclass(frozen=True, eq=False)
class Together:
    """Runs that are shown with each other: each with the clock it is aligned by. `left_out`: run -> why it is not among them."""

    mode: Compare
    align: Align
    clocks: Mapping[str, Clock]
    left_out: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def runs(self) -> tuple[str, ...]:
        return tuple(self.clocks)

    def steps(self, cursor: Mapping[str, Any]) -> dict[str, int | None]:
        """Run -> its step at the cursor: where it stands when the cursor's run stands at the cursor's step."""
        step, page = cursor.get("step"), self.clocks.get(str(cursor.get("run")))
        if step is None:
            return dict.fromkeys(self.clocks)
        if page is None:  # the page's run is not among them: its step is taken as it is
            return dict.fromkeys(self.clocks, int(step))
        return {name: max(0, round(float(own.step(page.aligned(step))))) for name, own in self.clocks.items()}


def together(workspace: Workspace, runs: Sequence[Run], mode: Compare, align: Align = "step") -> Together:
    """Runs that can be aligned, and why the others cannot. Raises `StrobeError` when none can, or for a difference of fewer than two."""
    found = clocks(workspace, list(runs), align)
    usable = {name: c for name, c in found.items() if isinstance(c, Clock)}
    left_out = {name: c for name, c in found.items() if isinstance(c, str)}
    if not usable:
        raise StrobeError(f"no run can be aligned by {align}: {'; '.join(f'{name} {why}' for name, why in left_out.items())}")
    if mode == "difference" and len(usable) < 2:
        raise StrobeError(f"a difference needs two runs that can be aligned by {align}; there is {next(iter(usable))} alone")
    return Together(mode, align, usable, left_out, facts(workspace, [r for r in runs if r.name in usable]))


def frame_of(
    workspace: Workspace,
    renderer: Renderer,
    table: str,
    cursor: Mapping[str, Any],
    slots: Mapping[str, str],
    follow: Sequence[str],
    shown: Together,
    sql: str = "",
) -> Frame:
    """The rows of all runs at the cursor, with the column `aligned`; for a difference, those of the pair it names subtracted.

    A run whose rows are not there is left out; raises `StrobeError` when that is so for all.
    """

    def of_run(name: str, step: int | None) -> Frame:
        return workspace.frame(renderer, table, {**cursor, "run": name, "step": step}, slots, follow, sql)

    frames = _frames(of_run, shown, cursor)
    first = next(iter(frames.values()))
    schema = TableSchema({**first.schema.columns, "aligned": replace(ALIGNED, unit="1" if shown.align == "phase" else "step")})
    page = shown.clocks.get(str(cursor.get("run")))
    at = {**cursor, "aligned": float(page.aligned(cursor["step"]))} if page is not None and cursor.get("step") is not None else dict(cursor)
    tables = {name: aligned(f.data, name, shown) for name, f in frames.items()}
    if shown.mode == "difference":
        a, b = pair(shown, cursor)
        return Frame(
            run_difference(tables[a], tables[b], schema), schema, first.slots, {}, first.family, at, (a, b), shown.align, shown.mode, shown.about
        )
    data = _joined(list(tables.values()), shown, _of_whole_runs(workspace, "" if sql else table or next(iter(renderer.tables()), "")))
    others = {other: _other(workspace, other, frames, shown) for other in dict.fromkeys(name for f in frames.values() for name in f.others)}
    return Frame(data, schema, first.slots, others, first.family, at, tuple(frames), shown.align, shown.mode, shown.about)


def _frames(of_run: Callable[[str, int | None], Frame], shown: Together, cursor: Mapping[str, Any]) -> dict[str, Frame]:
    """Run -> its rows, for those that have any; a difference wants both of its pair. Raises `StrobeError` with what the first of the others lacks."""
    frames, problems = dict[str, Frame](), list[str]()
    wanted = pair(shown, cursor) if shown.mode == "difference" else shown.runs
    for name, step in shown.steps(cursor).items():
        if name in wanted:
            try:
                frames[name] = of_run(name, step)
            except StrobeError as e:
                problems.append(str(e))
    if not frames or (shown.mode == "difference" and problems):
        raise StrobeError(problems[0] + (f"; and so for {len(problems) - 1} more runs" if len(problems) > 1 else ""))
    return frames


def _other(workspace: Workspace, other: str, frames: Mapping[str, Frame], shown: Together) -> pd.DataFrame:
    """The rows of all runs of another table that the renderer reads."""
    tables = [aligned(f.others[other], name, shown) for name, f in frames.items() if other in f.others]
    return _joined(tables, shown, _of_whole_runs(workspace, other))


def pair(shown: Together, cursor: Mapping[str, Any]) -> tuple[str, str]:
    """Which run less which: the page's less `against`, where the panel's cursor names one; else less the first of the others."""
    run = str(cursor["run"]) if cursor.get("run") in shown.clocks else shown.runs[0]
    others = [name for name in shown.runs if name != run]
    against = str(cursor.get("against") or others[0])
    if against not in others:
        raise StrobeError(f"against {against!r}: no other run of {', '.join(shown.runs)}")
    return run, against


def aligned(rows: pd.DataFrame, run: str, shown: Together) -> pd.DataFrame:
    """The rows with their run and the aligned step, missing where a row is of no step."""
    rows = rows if "run" in rows else rows.assign(run=run)
    at = np.full(len(rows), np.nan)
    if "step" in rows:
        steps, names = floats(rows["step"]), rows["run"].astype(str).to_numpy()
        for name, clock in shown.clocks.items():
            at[names == name] = clock.aligned(steps[names == name])
    return rows.assign(aligned=at)


def _joined(tables: Sequence[pd.DataFrame], shown: Together, whole: bool) -> pd.DataFrame:
    """The tables under each other; of one that holds the rows of all runs already, those of the runs that are shown."""
    import pandas as pd

    if whole:
        return tables[0][tables[0]["run"].astype(str).isin(shown.runs)].reset_index(drop=True)
    return pd.concat([t for t in tables if len(t)] or [tables[0]], ignore_index=True)


def _of_whole_runs(workspace: Workspace, table: str) -> bool:
    return bool(table) and workspace.spans_runs(table)


# --- difference ----------------------------------------------------------------------------------------------------------------------------------


def run_difference(a: pd.DataFrame, b: pd.DataFrame, schema: TableSchema) -> pd.DataFrame:
    """The rows of `a` that `b` has too, by all dimensions but the run; metrics and arrays less those of `b`, where both are known.

    Rows of many steps are matched by the aligned step: a metric of `b` is read off straight between its two nearest checkpoints, and is missing
    outside of them; an array is that of the nearest checkpoint. Raises `StrobeError` when arrays differ in shape or nothing matches.
    """
    import pandas as pd

    stepwise = bool(a["aligned"].nunique() > 1 or b["aligned"].nunique() > 1)
    keys = [c.name for c in schema.of_kind("dim") if c.name not in (*NO_DIMENSIONS, "step") and c.name in a and c.name in b]
    theirs: dict[Any, pd.DataFrame] = dict(iter(b.groupby(keys, dropna=False, sort=False))) if keys else {(): b}
    ours: dict[Any, pd.DataFrame] = dict(iter(a.groupby(keys, dropna=False, sort=False))) if keys else {(): a}
    found = []
    for key, rows in ours.items():
        other = theirs[key] if key in theirs else next((g for k, g in theirs.items() if _same(k, key)), None)
        if other is not None and len(rows) and len(other):
            found.append(_less(rows, other, schema, stepwise))
    if not found:
        raise StrobeError("the two runs have no row in common: " + (f"no {', '.join(keys)} is in both" if keys else "one of them has none"))
    rows = pd.concat(found, ignore_index=True)
    return rows.sort_values("step", kind="stable", ignore_index=True) if stepwise else rows


def _same(a: Any, b: Any) -> bool:
    """Whether two keys agree, missing values included (NaN differs from itself)."""
    return all(x == y or (x != x and y != y) for x, y in zip(a, b, strict=True))


def _less(a: pd.DataFrame, b: pd.DataFrame, schema: TableSchema, stepwise: bool) -> pd.DataFrame:
    """The rows of one group less those of the other."""
    if not stepwise:
        return subtraction.less(a.head(1), b.head(1), schema)
    a = a.sort_values("aligned")
    return subtraction.less(a, _read_off(b.sort_values("aligned"), a["aligned"].to_numpy(float), schema), schema)


def _read_off(rows: pd.DataFrame, at: np.ndarray, schema: TableSchema) -> pd.DataFrame:
    """The rows at these aligned steps: a metric straight between its two nearest checkpoints, an array (and what scales it) of the nearest."""
    own = rows["aligned"].to_numpy(float)
    read = rows.iloc[[int(np.abs(own - t).argmin()) for t in at]].reset_index(drop=True)
    arrays = any(c.name in rows for c in schema.of_kind("array"))
    for column in schema.of_kind("metric"):
        if column.name in rows and column.numeric and not (arrays and column.name == subtraction.SCALE):
            values = floats(rows[column.name])
            known = ~np.isnan(values)
            read[column.name] = np.interp(at, own[known], values[known], np.nan, np.nan) if known.any() else np.nan
    return read
