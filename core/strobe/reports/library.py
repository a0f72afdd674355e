"""Where reports come from: the workspace, the run's family, installed packages, and files; found by name, listed, and checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StrobeError, UsageError, did_you_mean
from ..panels.multiples import problem_of
from ..panels.sizes import fitted
from ..renderer import Renderer, bind, check_slots
from ..runs.run import Run
from .default import default_report, fitted_to
from .files import Place, load, read
from .model import Panel, Report
from .requirements import unmet
from .selection import selected

if TYPE_CHECKING:
    from ..workspace import Workspace

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
DEFAULT = "default"
"""The name of a run's own report."""
WORKSPACE = "workspace"
"""The origin of a report that is kept in the workspace."""


def named_reports(workspace: Workspace) -> list[dict[str, str]]:
    """The reports kept in a workspace, `reports/<name>.yaml`: name, title (what is wrong, for one that cannot be read) and file."""
    listing = []
    for file in sorted((workspace.root / "reports").glob("*.yaml")):
        found = read(file)
        listing.append({"name": file.stem, "title": found.report.title if found.report else found.problems[0], "file": str(file)})
    return listing


def reports_for(workspace: Workspace, run: str | Run) -> dict[str, str]:
    """Name -> title of every report one can open for a run: its own, those of its family, of installed packages, and of the workspace."""
    titles = {DEFAULT: "the run's own"}
    for known in [k for k in shelves(workspace, [workspace.run(run).record.family]) if k.name != DEFAULT]:
        told = f"{known.name}: {known.title}" if known.origin == WORKSPACE else known.title
        titles[known.name] = f"{told} (instead of that of {titles[known.name]})" if known.name in titles else told
    return titles


def find(workspace: Workspace, name: str, run: str | Run) -> Report:
    """A report by name: `default` is the run's own, then those of the workspace, of the run's family and of installed packages, then a YAML file.
    Raises `UsageError` with the nearest name.
    """
    run = workspace.run(run)
    if name == DEFAULT:
        return default_report(workspace, run)
    report = load(path_of(workspace, name, [run.record.family]))
    return fitted_to(workspace, run, report)


@dataclass(frozen=True)
class Known:
    """A report that can be named: where it comes from (the workspace, a family, a package), and what is wrong with it. `hides`: the origin of one of
    the same name, which it stands before."""

    name: str
    title: str
    origin: str
    file: str
    requires: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    hides: str = ""


def shelves(workspace: Workspace, families: Iterable[str] | None = None) -> list[Known]:
    """Every report that can be named, those of packages first, then of families (all that are installed, or the given), then of the workspace. Of two
    with one name the later stands before the earlier, and says so."""
    wanted = [p.name for p in workspace.registry.all("family")] if families is None else list(families)
    found = [*_of_packages(workspace), *_of_families(workspace, wanted), *_of_workspace(workspace)]
    listed: list[Known] = []
    for known in found:
        family = known.origin.partition(" ")[0] == "family"
        hidden = [k.origin for k in listed if k.name == known.name and not (family and k.origin.startswith("family "))]
        listed.append(replace(known, hides=", ".join(hidden)))
    return listed


def _known(name: str, origin: str, path: Path) -> Known:
    found = read(path)
    title, requires = (found.report.title, tuple(found.report.requires)) if found.report else (found.problems[0], ())
    return Known(name, title, origin, str(path), requires, tuple(found.problems))


def _of_workspace(workspace: Workspace) -> list[Known]:
    return [_known(r["name"], WORKSPACE, Path(r["file"])) for r in named_reports(workspace)]


def _of_families(workspace: Workspace, families: Iterable[str]) -> list[Known]:
    listed = []
    for name in families:
        try:
            family = workspace.registry.family(name)
        except StrobeError:  # a broken family: `strobe plugins list` says why
            continue
        own = family.report()
        shipped = {**({DEFAULT: own} if isinstance(own, Path) else {}), **family.reports()}
        listed += [_known(report, f"family {name}", path) for report, path in shipped.items()]
    return listed


def _of_packages(workspace: Workspace) -> list[Known]:
    listed = []
    for plugin in workspace.registry.all("report"):
        origin = f"package {plugin.package}"
        try:
            listed.append(_known(plugin.name, origin, plugin.load()))
        except StrobeError as e:
            listed.append(Known(plugin.name, str(e), origin, "", (), (str(e),)))
    return listed


def file_of(workspace: Workspace, name: str) -> Path:
    """Where a report of that name lies, or would lie. Raises `UsageError` for a name that is no file name, or that is taken."""
    if not NAME.fullmatch(name) or name == DEFAULT:
        raise UsageError(f"report name {name!r}: letters, digits, '.', '_' and '-' only, starting with a letter or digit, and not {DEFAULT!r}")
    return workspace.root / "reports" / f"{name}.yaml"


def path_of(workspace: Workspace, name: str, families: Iterable[str] | None = None) -> Path:
    """The file of a report: of the workspace, of one of the families (all, when none are given), of a package, or a YAML file by its path. Raises
    `UsageError` with the nearest name, and for a report that two packages bring."""
    if NAME.fullmatch(name) and name != DEFAULT and (kept := file_of(workspace, name)).is_file():
        return kept
    if Path(name).suffix in (".yaml", ".yml") and Path(name).is_file():
        return Path(name)
    known = shelves(workspace, families)
    match = next((k for k in reversed(known) if k.name == name and name != DEFAULT), None)
    if match is None:
        there = [DEFAULT, *(k.name for k in known)]
        raise UsageError(f"no report {name!r} in {workspace.root / 'reports'}, and no YAML file of that name{did_you_mean(name, there)}")
    if not match.file:
        raise UsageError(match.problems[0])
    return Path(match.file)


def check(workspace: Workspace, name: str) -> list[str]:
    """All that is wrong with a report (of the workspace by name, or a file), one sentence each, [] when it is sound.

    Beyond what `load` refuses: unknown renderers, tables and settings, and slots that no column of the table fits.
    """
    found = read(path_of(workspace, name))
    if found.report is None:
        return found.problems
    return [f"{found.where(at)}: {what}" for at, what in _unusable(found.report, workspace)]


def _unusable(report: Report, workspace: Workspace) -> Iterator[tuple[Place, str]]:
    yield from _missing_runs(report, workspace)
    missing = unmet(report.requires)
    yield from ((("requires", i), f"{line} is not installed: `pip install '{line}'`") for i, line in enumerate(report.requires) if line in missing)
    for at, panel in report.placed():
        for field, use in (("renderer", _try_renderer), ("sql" if panel.sql else "table", _try_table), ("compare", _try_compare)):
            try:
                use(workspace, panel)
            except StrobeError as e:
                yield (*at, field), str(e)
                break


def _missing_runs(report: Report, workspace: Workspace) -> Iterator[tuple[Place, str]]:
    if isinstance(report.runs, str):
        try:
            if report.runs and (first := next(iter(workspace.runs()), None)):
                selected(workspace, report, first)
        except StrobeError as e:
            yield ("runs",), str(e)
        return
    pinned = [((*at, "cursor", "run"), panel.cursor["run"]) for at, panel in report.placed() if "run" in panel.cursor]
    for at, name in [*((("runs", i), name) for i, name in enumerate(report.runs)), *pinned]:
        try:
            workspace.run(str(name))
        except StrobeError as e:
            yield at, str(e)


def _try_renderer(workspace: Workspace, panel: Panel) -> None:
    if ".py:" in panel.renderer:
        raise UsageError(f"{panel.renderer!r} is a file, and a report brings no code: install it as a package, and name its renderer")
    fitted(workspace.renderer(panel.renderer, panel.settings), panel)


def _try_compare(workspace: Workspace, panel: Panel) -> None:
    if panel.compare and panel.compare != "side_by_side" and (problem := problem_of(workspace.renderer(panel.renderer), panel.compare)):
        raise UsageError(problem)


def _try_table(workspace: Workspace, panel: Panel) -> None:
    renderer = workspace.renderer(panel.renderer)
    if panel.sql:
        return _try_query(workspace, renderer, panel)
    table = panel.table or next(iter(renderer.tables()), "")
    if not table:
        raise UsageError(f"{panel.renderer} draws any table: say which, `table: <analyzer>`")
    schema = workspace.schema(table) if table != "metrics" or workspace.runs() else None
    if schema is not None:
        check_slots(type(renderer), schema, panel.slots)
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
