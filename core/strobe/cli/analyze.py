"""analyze, plan, results, sql."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..storage.failures import SAID_ONCE
from ..workspace import Workspace
from .output import analyzer_settings, print_json, print_table, progress_bar

if TYPE_CHECKING:
    from ..analysis.engine import Report


def analyze(
    root: Path,
    runs: Sequence[str] | None,
    analyzers: Sequence[str] | None,
    probe: str,
    given: Sequence[str],
    how: Mapping[str, Any],
    as_json: bool,
    quiet: bool,
) -> None:
    workspace = Workspace(root)
    with progress_bar(quiet or as_json, "analyzing") as bar:
        report = workspace.analyze(
            runs or None,
            analyzers or None,
            settings=analyzer_settings(given),
            probe=probe,
            **how,
            progress=lambda p: bar(p.done, p.total, p.what),
        )
    if as_json:
        print_json(report.to_json())
    else:
        print_report(report)
    if not report.ok:
        raise SystemExit(1)


def print_report(report: Report) -> None:
    rows = [{**vars(t), "run": t.run or "(all)"} for t in report.tables]
    print_table(rows, ["analyzer", "category", "run", "state", "computed", "stored", "failed", "why"], "nothing to do")
    counters = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in report.to_json()["counters"].items() if n)
    print(f"{counters or 'nothing computed'}; {report.seconds:.1f} s")
    for warning in report.warnings:
        print(f"warning: {warning}")
    failed = [f for f in report.failures if f.kind not in SAID_ONCE]
    for f in failed[:10]:
        print(f"{f.kind}: {f.analyzer}, run {f.run}{'' if f.step is None else f', step {f.step:,}'}: {f.message}")
    if len(failed) > 10:
        print(f"... {len(failed) - 10} more: strobe sql 'select * from _failures'")


def plan(root: Path, runs: Sequence[str] | None, analyzers: Sequence[str] | None, probe: str, given: Sequence[str], as_json: bool) -> None:
    preview = Workspace(root).plan(runs or None, analyzers or None, settings=analyzer_settings(given), probe=probe)
    if as_json:
        tables = [vars(f) for f in preview.forecasts]
        counts = {"forwards": preview.forwards, "checkpoints_read": preview.checkpoints_read, "captured_bytes": dict(preview.captured)}
        print_json({"tables": tables, **counts})
        return
    print_table([vars(f) for f in preview.forecasts], ["run", "analyzer", "category", "state", "cells", "missing", "why"], "nothing to do")
    captured = f"{preview.bytes_per_forward / 1e6:.1f} MB captured per forward"
    print(f"{preview.forwards} forward passes, {preview.checkpoints_read} checkpoints read, {captured}")
    for site, size in preview.captured.items():
        print(f"  {site}  {size / 1e6:.1f} MB")


def results(root: Path, as_json: bool) -> None:
    rows = Workspace(root).stored()
    if as_json:
        print_json(rows)
    else:
        columns = ["analyzer", "run", "probe", "key", "steps", "rows", "bytes", "package"]
        print_table([{**r, "run": r["run"] or "(all)"} for r in rows], columns, f"{root} has no results: `strobe analyze` computes them")


def sql(root: Path, query: str, as_json: bool) -> None:
    frame = Workspace(root).sql(query)
    if as_json:
        print(frame.to_json(orient="records", indent=1))
    else:
        print(frame.to_string(index=False, max_rows=200, max_colwidth=60))
