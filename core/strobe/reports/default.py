"""The default report of a run: its family's, with a panel for every stored result that the family's report does not show."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import StrobeError
from ..renderer import bind
from ..runs.run import Run
from ..storage.origins import stored_names
from .files import load
from .model import Panel, Report, Section

if TYPE_CHECKING:
    from ..registration.registry import Registry
    from ..schema import TableSchema
    from ..storage.store import Address, Store
    from ..workspace import Workspace

MORE = "More results"
STEPWISE, SPREAD, ANYTHING = "line_over_steps", "distribution", "table"
"""The generic renderers, most telling first."""


def default_report(workspace: Workspace, run: str | Run, *, more: bool = True) -> Report:
    """The family's report when it has one, else one made of what is stored; results that no panel shows come last, under "More results",
    unless `more` is off."""
    run = workspace.run(run)
    path = run.family.report()
    if isinstance(path, str):
        path = workspace.registry.get("report", path).load()
    if path is None:
        panels = [generic(workspace, run, table) for table in stored_tables(workspace, run)]
        sections = [Section(title="Results", panels=panels)] if panels else []
        return Report(title=run.name, description=run.family.summary(), sections=sections)
    report = load(path)
    return fitted_to(workspace, run, report.model_copy(update={"more": more}))


def fitted_to(workspace: Workspace, run: Run, report: Report) -> Report:
    """The report as its `more` and `skip_empty` ask: with what else is stored, and without what says nothing of this run."""
    report = with_the_rest(workspace, run, report) if report.more else report
    return without_empty(workspace, run, report) if report.skip_empty else report


def without_empty(workspace: Workspace, run: Run, report: Report) -> Report:
    """The report without panels, and sections, that would have nothing to draw. A panel that is a query stays."""
    telling = functools.cache(functools.partial(says_something, workspace, run))

    def kept(panels: Iterable[Panel]) -> list[Panel]:
        return [panel for panel in panels if panel.sql or not (own := _needed_by(panel, workspace.registry)) or any(telling(*need) for need in own)]

    sections = []
    for section in report.sections:
        groups = [group.model_copy(update={"panels": left}) for group in section.groups if (left := kept(group.panels))]
        if (panels := kept(section.panels)) or groups or section.markdown:
            sections.append(section.model_copy(update={"panels": panels, "groups": groups}))
    return report.model_copy(update={"sections": sections})


def says_something(workspace: Workspace, run: Run, table: str, columns: Sequence[str] = ()) -> bool:
    """Whether a table has a number of this run (in one of `columns`), not only the reason why there is none; rows without numbers, of arrays alone,
    count too."""
    if table == "metrics":
        numbers = run.metrics.drop(columns=["step", "lr", "weight_decay"], errors="ignore")
        return bool(numbers[[c for c in numbers if c in columns or not columns]].notna().any(axis=None))
    try:
        metrics = [column.name for column in workspace.schema(table, run).of_kind("metric") if column.name in columns or not columns]
        return any(_has_numbers(workspace.store, address, metrics) for address in workspace.addresses(table, [run]))
    except StrobeError:  # a broken plugin, or nothing stored
        return False


def _has_numbers(store: Store, address: Address, metrics: list[str]) -> bool:
    entries = store.entries(address)
    if not metrics or not any(entry.rows for entry in entries.values()):
        return any(entry.rows for entry in entries.values())
    last = [step for step in entries if step is not None][-1:]
    parts = (store.read(address, steps, metrics) for steps in (last, None))  # the last step mostly answers it
    return any(rows is not None and any(len(rows) > rows[name].null_count for name in metrics) for rows in parts)


def with_the_rest(workspace: Workspace, run: Run, report: Report) -> Report:
    """The report, with a panel at its end for every stored result that no panel shows."""
    shown = tables_of(report, workspace.registry)
    wanted = [table for table in stored_tables(workspace, run) if table not in shown and not _stands_still(workspace, run, table)]
    rest = [generic(workspace, run, table) for table in wanted]
    return report.model_copy(update={"sections": [*report.sections, Section(title=MORE, panels=rest)]}) if rest else report


def _stands_still(workspace: Workspace, run: Run, table: str) -> bool:
    """Whether a table over steps has arrays, and beside them numbers that never change: what it says is in the arrays, for others to read, and a line
    of its numbers says nothing."""
    try:
        schema = workspace.schema(table, run)
        if not schema.of_kind("array") or not _spans_steps(workspace, run, table, schema):
            return False
        numbers = [column.name for column in schema.of_kind("metric")]
        dims = [column.name for column in schema.of_kind("dim") if column.name not in ("run", "step", "probe")]
        rows = workspace.table(table, runs=run, columns=[*numbers, *dims])
    except StrobeError:
        return False
    series = rows.groupby(dims, dropna=False) if dims else rows.assign(all=0).groupby("all")
    return bool(numbers) and bool((series[numbers].nunique(dropna=False) <= 1).all(axis=None)) and len(rows) > series.ngroups


def stored_tables(workspace: Workspace, run: Run) -> list[str]:
    """Tables with current results of a run, in the order of the listings; `metrics` first when there are any, those of analyzers that are not
    installed last."""
    found = ["metrics"] if len(run.metrics) else []
    listed = [plugin.name for plugin in workspace.registry.all("analyzer")]
    for name in dict.fromkeys([*listed, *stored_names(workspace.store)]):
        try:
            addresses = workspace.addresses(name, [run])
        except StrobeError:  # a broken plugin: it is listed with its reason, and has no result to draw
            continue
        if any(workspace.store.entries(a) for a in addresses):
            found.append(name)
    return found


def tables_of(report: Report, registry: Registry) -> set[str]:
    """Every table some panel reads."""
    return {table for panel in report.panels for table in (panel.table, *_consumed(panel.renderer, registry)) if table}


def _needed_by(panel: Panel, registry: Registry) -> list[tuple[str, tuple[str, ...]]]:
    """The tables that a panel has something to draw of, with the columns that it must find in them (none: any)."""
    if panel.table:
        return [(panel.table, ())]
    needs = _renderer_needs(panel.renderer, registry)
    return [(table, tuple(columns)) for table, columns in needs.items()] or [(table, ()) for table in _consumed(panel.renderer, registry)]


def _renderer_needs(renderer: str, registry: Registry) -> Mapping[str, Sequence[str]]:
    try:
        return registry.renderer(renderer).needs
    except StrobeError:
        return {}


def _consumed(renderer: str, registry: Registry) -> Iterable[str]:
    try:
        return registry.renderer(renderer).tables()
    except StrobeError:
        return ()


def generic(workspace: Workspace, run: Run, table: str) -> Panel:
    """A panel for any table: a renderer made for it when one is installed, else lines over steps, a distribution, or the rows themselves."""
    registry = workspace.registry
    made_for_it = next((p.name for p in registry.all("renderer") if tuple(_consumed(p.name, registry))[:1] == (table,)), "")
    if made_for_it:
        return Panel(renderer=made_for_it)
    schema = workspace.schema(table, run)
    wanted = (STEPWISE, SPREAD) if _spans_steps(workspace, run, table, schema) else (SPREAD,)
    fitting = [name for name in wanted if _draws(name, workspace, run, table, schema)]
    words = table.replace("_", " ")
    return Panel(renderer=fitting[0] if fitting else ANYTHING, table=table, title=words[:1].upper() + words[1:])


def _spans_steps(workspace: Workspace, run: Run, table: str, schema: TableSchema) -> bool:
    """Whether a table has rows of several steps: several cells, or one of all steps (a trajectory)."""
    if "step" not in schema.columns:
        return False
    steps = [step for a in workspace.addresses(table, [run]) for step in workspace.store.entries(a)] if table != "metrics" else [None]
    return None in steps or len(steps) > 1


def _draws(renderer: str, workspace: Workspace, run: Run, table: str, schema: TableSchema) -> bool:
    """Whether a generic renderer finds its columns, and values in them: a number at steps for lines, a number anywhere for a distribution."""
    try:
        bound = bind(workspace.registry.renderer(renderer).slots, schema)
        if bound is None:
            return False
        columns = [bound[slot] for slot in ("x", "y") if slot in bound]
        rows = workspace.table(table, runs=run, columns=None if table == "metrics" else columns)
    except StrobeError:
        return False
    return bool(len(rows[columns].dropna()))
