"""Where reports come from: the workspace, the run's family, installed packages, and files; found by name, listed, and checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StrobeError, UsageError, did_you_mean
from ..renderer import Renderer, bind
from ..runs.run import Run
from .default import default_report
from .files import Place, load, read
from .model import Panel, Report

if TYPE_CHECKING:
    from ..workspace import Workspace

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
DEFAULT = "default"
"""The name of a run's own report."""


def named_reports(workspace: Workspace) -> list[dict[str, str]]:
    """The reports kept in a workspace, `reports/<name>.yaml`: name, title (what is wrong, for one that cannot be read) and file."""
    listing = []
    for file in sorted((workspace.root / "reports").glob("*.yaml")):
        found = read(file)
        listing.append({"name": file.stem, "title": found.report.title if found.report else found.problems[0], "file": str(file)})
    return listing


def reports_for(workspace: Workspace, run: str | Run) -> dict[str, str]:
    """Name -> title of every report one can open for a run: its own, those of its family, those of the workspace."""
    titles = {DEFAULT: "the run's own"}
    for name, path in workspace.run(run).family.reports().items():
        found = read(path)
        titles[name] = found.report.title if found.report else found.problems[0]
    return titles | {r["name"]: f"{r['name']}: {r['title']}" for r in named_reports(workspace)}


def find(workspace: Workspace, name: str, run: str | Run) -> Report:
    """A report by name: `default` is the run's own, then those of the workspace and of the run's family, then a YAML file. Raises `UsageError` with
    the nearest name.
    """
    if name == DEFAULT:
        return default_report(workspace, run)
    shipped = workspace.run(run).family.reports()
    if name in shipped and not (NAME.fullmatch(name) and file_of(workspace, name).is_file()):
        return load(shipped[name])
    return load(_file(workspace, name, shipped))


def file_of(workspace: Workspace, name: str) -> Path:
    """Where a report of that name lies, or would lie. Raises `UsageError` for a name that is no file name, or that is taken."""
    if not NAME.fullmatch(name) or name == DEFAULT:
        raise UsageError(f"report name {name!r}: letters, digits, '.', '_' and '-' only, starting with a letter or digit, and not {DEFAULT!r}")
    return workspace.root / "reports" / f"{name}.yaml"


def _file(workspace: Workspace, name: str, others: Iterable[str] = ()) -> Path:
    if NAME.fullmatch(name) and name != DEFAULT and (kept := file_of(workspace, name)).is_file():
        return kept
    if Path(name).suffix in (".yaml", ".yml") and Path(name).is_file():
        return Path(name)
    known = [DEFAULT, *others, *(r["name"] for r in named_reports(workspace))]
    raise UsageError(f"no report {name!r} in {workspace.root / 'reports'}, and no YAML file of that name{did_you_mean(name, known)}")


def check(workspace: Workspace, name: str) -> list[str]:
    """All that is wrong with a report (of the workspace by name, or a file), one sentence each, [] when it is sound.

    Beyond what `load` refuses: unknown renderers, tables and settings, and slots that no column of the table fits.
    """
    found = read(_file(workspace, name))
    if found.report is None:
        return found.problems
    return [f"{found.where(at)}: {what}" for at, what in _unusable(found.report, workspace)]


def _unusable(report: Report, workspace: Workspace) -> Iterator[tuple[Place, str]]:
    for at, panel in report.placed():
        for field, use in (("renderer", _try_renderer), ("sql" if panel.sql else "table", _try_table)):
            try:
                use(workspace, panel)
            except StrobeError as e:
                yield (*at, field), str(e)
                break


def _try_renderer(workspace: Workspace, panel: Panel) -> None:
    workspace.renderer(panel.renderer, panel.settings)


def _try_table(workspace: Workspace, panel: Panel) -> None:
    renderer = workspace.renderer(panel.renderer)
    if panel.sql:
        return _try_query(workspace, renderer, panel)
    table = panel.table or next(iter(renderer.tables()), "")
    if not table:
        raise UsageError(f"{panel.renderer} draws any table: say which, `table: <analyzer>`")
    schema = workspace.schema(table) if table != "metrics" or workspace.runs() else None
    if renderer.slots and schema is not None and bind(renderer.slots, schema, panel.slots) is None:
        raise UsageError(f"{panel.renderer} cannot draw {table!r}: none of its columns fits {', '.join(renderer.slots)}")


def _try_query(workspace: Workspace, renderer: Renderer, panel: Panel) -> None:
    """A query is asked for one row, at any cursor."""
    from ..storage.sql import SECONDS, ask, parameters

    if panel.table:
        raise UsageError(f"a panel draws a table or a query: remove `table: {panel.table}` or `sql`")
    names = parameters(panel.sql)
    run = next(iter(workspace.runs()), None) if {"run", "step"} & set(names) else None
    anywhere = {**dict.fromkeys(names, 0), **({"run": run.name, "step": next(iter(run.steps), 0)} if run else {})}
    answer = ask(workspace, panel.sql, {**anywhere, **panel.cursor}, most=1, seconds=SECONDS)
    if not renderer.slots or bind(renderer.slots, answer.schema, panel.slots) is None:
        raise UsageError(f"{panel.renderer} cannot draw this query: none of its columns fits {', '.join(renderer.slots) or 'it'}")
