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
    print_folded(rows, ["analyzer", "category", "run", "state", "computed", "stored", "failed", "why"])
    counters = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in report.to_json()["counters"].items() if n)
    print(f"{counters or 'nothing computed'}; {report.seconds:.1f} s")
    for warning in report.warnings:
        print(f"warning: {warning}")
    failed = [f for f in report.failures if f.kind not in SAID_ONCE]
    for f in failed[:10]:
        print(f"{f.kind}: {f.analyzer}, run {f.run}{'' if f.step is None else f', step {f.step:,}'}: {f.message}")
    if len(failed) > 10:
        print(f"... {len(failed) - 10} more: strobe sql 'select * from _failures'")


MANY = 3
"""Analyzers that do not apply for one reason and are told in one line."""


def print_folded(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """A table of analyzers; those that do not apply for one and the same reason in a line of their own, below it."""
    alike: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row["state"] == "not applicable":
            alike.setdefault((row["run"], _reason(row["why"])), []).append(row["analyzer"])
    many = {key: names for key, names in alike.items() if len(names) > MANY}
    told = {(run, name) for (run, _), names in many.items() for name in names}
    print_table([r for r in rows if (r["run"], r["analyzer"]) not in told], columns, "nothing to do" if not rows else "nothing applies")
    for (run, why), names in many.items():
        print(f"{run}: {len(names)} do not apply, {why}: {', '.join(names)}")


def _reason(why: str) -> str:
    """Why something does not apply, whatever it reads, and whichever families it is made for."""
    why = why.rpartition("which does not apply: ")[2]
    return f"they are made for other families, {why.rpartition(', ')[2]}" if why.startswith("made for ") and ", this run is " in why else why


def plan(root: Path, runs: Sequence[str] | None, analyzers: Sequence[str] | None, probe: str, given: Sequence[str], as_json: bool) -> None:
    preview = Workspace(root).plan(runs or None, analyzers or None, settings=analyzer_settings(given), probe=probe)
    if as_json:
        tables = [vars(f) for f in preview.forecasts]
        counts = {"forwards": preview.forwards, "checkpoints_read": preview.checkpoints_read, "captured_bytes": dict(preview.captured)}
        print_json({"tables": tables, **counts})
        return
    print_folded([vars(f) for f in preview.forecasts], ["run", "analyzer", "category", "state", "cells", "missing", "why"])
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
