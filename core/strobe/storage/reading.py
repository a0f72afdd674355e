"""Results by name: where they lie, their rows and their columns, also of analyzers that are not installed any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..analysis import request as analysis
from ..errors import PluginError, StrobeError, UsageError
from ..schema import TableSchema
from . import failures, origins
from .origins import Origin
from .tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from ..analysis.desk import Recipe
    from ..runs.run import Run
    from ..workspace import Workspace
    from .store import Address

METRICS = "metrics"
FAILURES = "_failures"


def table(
    workspace: Workspace,
    name: str,
    *,
    runs: str | Run | Iterable[str | Run] | None = None,
    steps: int | Iterable[int] | None = None,
    probe: str = "",
    settings: Mapping[str, Any] | None = None,
    columns: Sequence[str] | None = None,
) -> ResultTable:
    """See `Workspace.table`."""
    chosen = workspace.chosen(runs)
    at = None if steps is None else [steps] if isinstance(steps, int) else list(steps)
    if name == FAILURES:
        return ResultTable(failures.frame(workspace.store, [*(r.name for r in chosen), None]))
    if name == METRICS:
        return ResultTable(_metrics(chosen, at))
    tables = [t for _, t in _read(workspace, name, chosen, at, probe, settings, columns) if t is not None]
    if not tables:
        names = " ".join(r.name for r in chosen)
        raise StrobeError(f"no results of {name!r} for {names}; compute them with `strobe analyze {names} -a {name}`")
    return ResultTable.of(tables)


def _read(
    workspace: Workspace,
    name: str,
    runs: Sequence[Run],
    steps: Sequence[int] | None,
    probe: str,
    settings: Mapping[str, Any] | None,
    columns: Sequence[str] | None,
) -> list[tuple[Address, pa.Table | None]]:
    addresses = workspace.addresses(name, runs, probe, settings)
    return [(a, workspace.store.read(a, steps, columns)) for a in addresses]


def addresses(workspace: Workspace, name: str, runs: Sequence[Run], probe: str = "", settings: Mapping[str, Any] | None = None) -> list[Address]:
    """See `Workspace.addresses`."""
    try:
        bound = _bound(workspace, name, settings)
    except (UsageError, PluginError):
        found = [] if settings and usable(workspace, name) else origins.latest(workspace.store, name, [run.name for run in runs], probe, settings)
        if not found:
            raise
        return found
    if bound[name].scope == "runs":
        return [analysis.address(bound, name, None)]
    return [analysis.address(bound, name, analysis.facts(run, probe, metrics=False)) for run in runs]


def usable(workspace: Workspace, name: str) -> bool:
    """Whether an analyzer is installed and can be loaded."""
    try:
        workspace.registry.analyzer(name)
    except (UsageError, PluginError):
        return False
    return True


def origin(workspace: Workspace, name: str) -> Origin | None:
    """See `Workspace.origin`."""
    return origins.stored_origin(workspace.store, name)


def spans_runs(workspace: Workspace, table: str) -> bool:
    """See `Workspace.spans_runs`."""
    if table == METRICS:
        return False
    try:
        return workspace.registry.analyzer(table).scope == "runs"
    except (UsageError, PluginError):
        if (origin := workspace.origin(table)) is None:
            raise
        return origin.scope == "runs"


def _bound(workspace: Workspace, name: str, settings: Mapping[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Recipe] = analysis.recipes(workspace.registry, [name], {name: settings} if settings else None)
    return {n: r.bound for n, r in found.items()}


def schema(workspace: Workspace, name: str, run: str | Run | None = None) -> TableSchema:
    """See `Workspace.schema`."""
    from ..schema import ENGINE_SCHEMA, Column, declared

    if name == METRICS:
        names = [str(n) for n in _metrics(workspace.chosen(run), None)]
        columns = [Column(n, "metric", n.replace("_", " "), "float64", unit=_metric_unit(n)) for n in names if n not in ENGINE_SCHEMA]
        return TableSchema({"run": ENGINE_SCHEMA["run"], "step": ENGINE_SCHEMA["step"], **{c.name: c for c in columns}})
    try:
        cls = workspace.registry.analyzer(name)
    except (UsageError, PluginError):
        if (stored := origins.stored_schema(workspace.store, name)) is None:
            raise
        return stored
    return TableSchema({**{n: ENGINE_SCHEMA[n] for n in cls.engine_columns()}, **declared(cls.Row)})


def stored(workspace: Workspace) -> list[dict[str, Any]]:
    """See `Workspace.stored`."""
    listing = []
    for a in workspace.store.addresses():
        if a.analyzer != FAILURES:
            entries = workspace.store.entries(a)
            size = sum(f.stat().st_size for f in a.folder(workspace.store.root).glob("*.parquet"))
            steps = sorted(s for s in entries if s is not None)
            rows = sum(e.rows for e in entries.values())
            listing.append(
                {"analyzer": a.analyzer, "key": a.key[:16], "run": a.run, "probe": a.probe, "steps": len(steps), "rows": rows, "bytes": size}
                | {"package": origins.origin_of(workspace.store, a).made_by}
            )
    return listing


def _metrics(runs: Sequence[Run], steps: Sequence[int] | None) -> pd.DataFrame:
    import pandas as pd

    frames = []
    for run in runs:
        frame = run.metrics
        frame.insert(0, "run", run.name)
        frames.append(frame if steps is None else frame[frame["step"].isin(list(steps))])
    return pd.concat(frames, ignore_index=True)


def _metric_unit(name: str) -> str:
    return "nats" if name.endswith("loss") else "1"
