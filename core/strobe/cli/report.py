"""report new, list, check, render, schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..workspace import Workspace
from .output import parse_value, print_json, print_table, progress_bar

SCHEMA = "report.schema.json"
"""Lies beside the reports that `report new` makes, so that editors find it without a network."""


def new(root: Path, name: str, source: str, run: str, title: str) -> None:
    """A copy of a report, kept in the workspace under a new name."""
    from ..checkpoints import write_atomically
    from ..reports.default import default_report
    from ..reports.files import as_yaml, load
    from ..reports.library import file_of, path_of

    workspace = Workspace(root)
    path = file_of(workspace, name)
    if path.exists():
        raise UsageError(f"there is a report {name!r} already: {path}; choose another name, or edit it")
    if source == "default":
        report = default_report(workspace, _run(workspace, [run] if run else []), more=False)
    else:
        report = load(path_of(workspace, source, [workspace.run(run).record.family] if run else None))
    report = report.model_copy(update={"title": title}) if title else report
    write_atomically(path.parent / SCHEMA, _schema_text().encode())
    write_atomically(path, f"# yaml-language-server: $schema={SCHEMA}\n{as_yaml(report)}".encode())
    print(path)
    print(f"next: strobe report check {name}, strobe app")


def listing(root: Path, as_json: bool) -> None:
    from ..reports.library import shelves

    found = shelves(Workspace(root))
    if as_json:
        print_json([asdict(known) for known in found])
        return
    rows = [{**asdict(k), "requires": ", ".join(k.requires), "hides": k.hides, "problems": len(k.problems) or ""} for k in found]
    more = [c for c in ("requires", "hides", "problems") if any(row[c] for row in rows)]
    print_table(rows, ["name", "title", "origin", *more], "no reports are installed, and the workspace has none")


def check(root: Path, name: str) -> None:
    """Every mistake on a line of its own; exit status 2 when there is one."""
    from ..reports.library import check as problems_of

    problems = problems_of(Workspace(root), name)
    for problem in problems:
        print(problem)
    if problems:
        raise SystemExit(2)
    print(f"{name}: good")


def render(root: Path, name: str, runs: Sequence[str], output: Path, at: str, theme: str, options: Mapping[str, Any], quiet: bool) -> None:
    """The first run is the page's; several are those that the report compares."""
    from ..export import write_report
    from ..reports.library import DEFAULT, find, path_of

    workspace = Workspace(root)
    if name != DEFAULT:
        path_of(workspace, name)
    run = _run(workspace, runs)
    report = find(workspace, name, run)
    if len(runs) > 1:
        report = report.model_copy(update={"runs": [workspace.run(r).name for r in runs]})
    cursor = {**report.cursor, **parse_cursor(at)}
    looking = {n: v for n, v in cursor.items() if n != "run"} or None
    with progress_bar(quiet, output.name) as bar:
        written = write_report(
            workspace, report, run, output, cursor=looking, theme=theme, progress=lambda done, total: bar(done, total, ""), **options
        )
    print(written)


def schema() -> None:
    print(_schema_text(), end="")


def _schema_text() -> str:
    from ..reports.model import schema as made

    return json.dumps(made(), indent=1) + "\n"


def _run(workspace: Workspace, runs: Sequence[str]) -> str:
    names = [r.name for r in workspace.runs()]
    if not runs and len(names) != 1:
        raise UsageError(f"which run? --run NAME, one of {', '.join(names)}" if names else f"{workspace.root} has no runs; `strobe demo` makes one")
    return workspace.run(runs[0] if runs else names[0]).name


def parse_cursor(at: str) -> dict[str, Any]:
    cursor = {}
    for item in filter(None, at.split(",")):
        name, equals, text = item.partition("=")
        if not equals:
            raise UsageError(f"--at {at!r}: write NAME=VALUE pairs, for example --at step=5000,neuron=12")
        cursor[name.strip()] = parse_value(text)
    return cursor
