"""The index in `strobe.db`: runs, their last metrics and phase events, results.

Copied from the disk, which is the authority; only what changed is read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StrobeError
from .database import INDEXED, TABLES, opened, transaction

if TYPE_CHECKING:
    import pyarrow as pa

    from ..runs.run import Run
    from ..workspace import Workspace
    from .store import Address

PHASES = "phases"
"""The table whose events are copied: core knows its name, and no more than the columns it reads."""


@dataclass(frozen=True)
class Indexed:
    """What a look at the disk found: runs and results in all, how many of them were read because they had changed, and what cannot be read."""

    runs: int
    results: int
    read: int
    problems: tuple[str, ...]


class Index:
    """The index of one workspace. `refresh` before reading: it costs one look at each folder."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.root = workspace.root

    def refresh(self) -> Indexed:
        """Bring the index up to date: read folders that are new or have changed, forget those that are gone."""
        return self._update(afresh=False)

    def rebuild(self) -> Indexed:
        """Forget everything and read the disk. Jobs stay: they are nowhere else."""
        return self._update(afresh=True)

    def table(self, name: str) -> list[dict[str, Any]]:
        """The rows of `runs`, `last_metrics`, `phases` or `results`, as they were at the last refresh."""
        if name not in TABLES:
            raise StrobeError(f"no table {name!r} in the index; there are {', '.join(TABLES)}")
        with opened(self.root) as c:
            return [dict(r) for r in c.execute(f"select * from {name} order by run")]

    def _update(self, *, afresh: bool) -> Indexed:
        runs = {f"runs/{f.parent.name}": f.parent for f in sorted(self.root.glob("runs/*/run.json"))}
        results = {str(f.relative_to(self.root)): f for f in sorted(self.root.glob("results/*/*/*/*")) if any(f.glob("*.parquet"))}
        with opened(self.root) as c:
            known = {} if afresh else {r["path"]: r["signature"] for r in c.execute("select * from sources")}
            signatures = {path: _signature(folder) for path, folder in {**runs, **results}.items()}
            changed = [path for path, signature in signatures.items() if known.get(path) != signature]
            rows = [row for path in changed for row in (self._run(runs[path]) if path in runs else self._result(path, results[path]))]
            with transaction(c):
                if afresh:
                    for table in INDEXED:
                        c.execute(f"delete from {table}")
                for path in {*changed, *(known.keys() - signatures.keys())}:
                    _forget(c, path)
                for table, row in rows:
                    _insert(c, table, row)
                for path in changed:
                    _insert(c, "sources", {"path": path, "signature": signatures[path]})
            return self._found(c, len(changed))

    def _found(self, c: sqlite3.Connection, read: int) -> Indexed:
        count = {t: c.execute(f"select count(*) from {t}").fetchone()[0] for t in ("runs", "results")}
        problems = [r[0] for t in ("runs", "results") for r in c.execute(f"select problem from {t} where problem != ''")]
        return Indexed(count["runs"], count["results"], read, tuple(problems))

    # --- runs ------------------------------------------------------------------------------------------------------------------------------

    def _run(self, folder: Path) -> list[tuple[str, dict[str, Any]]]:
        """The rows of a run; one that cannot be read has a row that says why."""
        from ..runs.run import Run

        try:
            run = Run(folder, self.workspace.registry)
            return [("runs", _run_row(run)), *(("last_metrics", row) for row in _last_metrics(run))]
        except Exception as e:  # a damaged file raises what its reader likes; the others must still be indexed
            return [("runs", {"run": folder.name, "problem": f"{folder}: {e}"})]

    # --- results ---------------------------------------------------------------------------------------------------------------------------

    def _result(self, path: str, folder: Path) -> list[tuple[str, dict[str, Any]]]:
        stats = [s for f in folder.glob("*.parquet") if (s := _stat(f)) is not None]  # an analysis may merge parts meanwhile
        size, written = sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)
        analyzer, run, probe, key = folder.parts[-4:]
        try:
            address = self.workspace.store.address_at(folder)
            if address is None or address.analyzer.startswith("_"):
                return []
            found = [("results", {**self._result_row(address), "path": path, "bytes": size})]
            events = self._events(address) if address.analyzer == PHASES else ()
            return found + [("phase_events", {**row, "path": path, "written": written}) for row in events]
        except (StrobeError, OSError) as e:
            return [("results", {"path": path, "analyzer": analyzer, "key": key, "run": run, "probe": probe, "bytes": size, "problem": str(e)})]

    def _result_row(self, a: Address) -> dict[str, Any]:
        entries = self.workspace.store.entries(a)
        steps = sorted(s for s in entries if s is not None)
        first, last = (steps[0], steps[-1]) if steps else (None, None)
        about = self.workspace.store.about(a)
        return {
            "analyzer": a.analyzer,
            "key": a.key,
            "run": a.run,
            "probe": a.probe,
            "category": about.get("category"),
            "steps": len(steps),
            "first_step": first,
            "last_step": last,
            "rows": sum(e.rows for e in entries.values()),
        }

    def _events(self, address: Address) -> Iterable[Mapping[str, Any]]:
        """Phase events, those included that did not happen."""
        table = self.workspace.store.read(address)
        names = ("run", "signal", "event", "at_step", "interpolated_step", "value")
        for row in [] if table is None else table.to_pylist():
            yield {name: row.get(name) for name in names}


RUNS = """
select r.run, family, state, steps, first_step, last_step, bytes, parameters, training, identity, problem,
  max(case when metric = 'train_loss' then value end) train_loss, max(case when metric = 'test_loss' then value end) test_loss,
  max(case when metric = 'train_accuracy' then value end) train_accuracy, max(case when metric = 'test_accuracy' then value end) test_accuracy
from runs r left join last_metrics m on m.run = r.run group by r.run order by r.run"""
RESULTS = "select analyzer, key, run, probe, category, steps, first_step, last_step, rows, bytes, problem from results order by analyzer, run, key"
JOBS = """
select id, kind, title, run, state, progress, done, total, note, attempt, error, request, created, started, finished
from jobs order by created, rowid"""

WHOLE = ("steps", "first_step", "last_step", "bytes", "rows", "done", "total", "attempt")
REAL = ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "progress", "created", "started", "finished")


def arrow(workspace: Workspace, name: str) -> pa.Table:
    """`runs` (with the last value of each metric), `results` or `jobs` (times in seconds since 1970) as an Arrow table, as of now."""
    import pyarrow as pa

    if name != "jobs":
        Index(workspace).refresh()
    with opened(workspace.root) as c:
        found = c.execute({"runs": RUNS, "results": RESULTS, "jobs": JOBS}[name])
        names = [column[0] for column in found.description]
        columns = list(zip(*found.fetchall(), strict=True)) or [()] * len(names)
    types = {**dict.fromkeys(WHOLE, pa.int64()), **dict.fromkeys(REAL, pa.float64())}
    return pa.table({n: pa.array(values, types.get(n, pa.string())) for n, values in zip(names, columns, strict=True)})


def _run_row(run: Run) -> dict[str, Any]:
    steps, record = run.steps, run.record
    first, last = (steps[0], steps[-1]) if steps else (None, None)
    return {
        "run": run.name,
        "family": record.family,
        "state": record.state,
        "identity": record.identity,
        "parameters": json.dumps(record.parameters, sort_keys=True),
        "training": json.dumps(record.training, sort_keys=True),
        "steps": len(steps),
        "first_step": first,
        "last_step": last,
        "bytes": sum(entry["bytes"] for entry in run.manifest.values()),
    }


def _last_metrics(run: Run) -> Iterable[dict[str, Any]]:
    frame = run.metrics
    for metric in frame.columns:
        known = frame[["step", metric]].dropna()
        if metric != "step" and not known.empty:
            last = known.iloc[-1]
            yield {"run": run.name, "metric": str(metric), "step": int(known["step"].iloc[-1]), "value": float(last[metric])}


def _signature(folder: Path) -> str:
    """Changes with the files of a folder: everything is written under another name and renamed, so a write leaves its mark in time or size."""
    watched = [
        folder / "run.json",
        folder / "checkpoints" / "manifest.json",
        *sorted((folder / "metrics").glob("*.parquet")),
        *sorted(folder.glob("*.parquet")),
    ]
    stats = [(f.name, s.st_mtime_ns, s.st_size) for f in watched if (s := _stat(f)) is not None]
    return json.dumps(stats)


def _stat(file: Path) -> Any:
    try:
        return file.stat()
    except OSError:
        return None


def _forget(c: sqlite3.Connection, path: str) -> None:
    top, *rest = path.split("/")
    if top == "runs":
        for table in ("runs", "last_metrics"):
            c.execute(f"delete from {table} where run = ?", (rest[0],))
    else:
        c.execute("delete from results where path = ?", (path,))
        c.execute("delete from phase_events where path = ?", (path,))
    c.execute("delete from sources where path = ?", (path,))


def _insert(c: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> None:
    c.execute(f"insert or replace into {table}({', '.join(row)}) values({', '.join('?' * len(row))})", tuple(row.values()))
