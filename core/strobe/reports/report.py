"""Reports: sections of panels, each a renderer bound to a result, as a YAML file; and the default report of a run.

```yaml
schema_version: 1
title: Grokking
sections:
  - title: The turn
    panels:
      - renderer: loss_curves
        how_to_read: Test falls only after train is low for long.
        settings: {height: 300}
      - renderer: line_over_steps          # a generic renderer: say which table
        table: weight_norms
        slots: {y: frobenius, color: parameter}
        cursor: {step: 5000}               # pinned: does not follow the page
        width: full
```
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import StrobeError, UsageError, did_you_mean
from ..renderer import bind
from ..runs.run import Run

if TYPE_CHECKING:
    import yaml

    from ..registration.registry import Registry
    from ..schema import TableSchema
    from ..workspace import Workspace

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
DEFAULT = "default"
"""The name of a run's own report."""
MORE = "More results"
STEPWISE, SPREAD, ANYTHING = "line_over_steps", "distribution", "table"
"""The generic renderers, most telling first."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Panel(_Part):
    """One chart: a renderer and what it draws."""

    renderer: str = Field(min_length=1, description="a renderer's name")
    table: str = Field("", description="the table it draws; a renderer made for a table needs none")
    title: str = Field("", description="of the card; made from the renderer's and the table's name when empty")
    how_to_read: str = Field("", description="at most two lines; the first line of the renderer's description when empty")
    settings: dict[str, Any] = Field(default_factory=dict, description="settings of the renderer")
    slots: dict[str, str] = Field(default_factory=dict, description="slot -> column, for a generic renderer")
    follow: list[str] = Field(default_factory=list, description="coordinates it is cut at besides those its renderer names: head, neuron, ...")
    cursor: dict[str, Any] = Field(default_factory=dict, description="coordinates that stay fixed: step, layer, head, neuron, ...")
    width: Literal["half", "full"] = Field("half", description="of the card")


class Section(_Part):
    """Panels that belong together."""

    title: str = Field(min_length=1)
    description: str = ""
    panels: list[Panel] = Field(default_factory=list)


class Report(_Part):
    """What the YAML holds."""

    schema_version: Literal[1] = 1
    title: str = Field(min_length=1)
    description: str = ""
    sections: list[Section] = Field(default_factory=list)

    @property
    def panels(self) -> list[Panel]:
        return [panel for section in self.sections for panel in section.panels]


# --- files -------------------------------------------------------------------------------------------------------------------------------------


def load(path: str | Path) -> Report:
    """A report from a YAML file. Raises `UsageError` with every wrong field: file, line, path, and the nearest known key.

    Renderers and tables that are not there are no reason to fail: their cards say what is missing. `check` names them beforehand.
    """
    report, problems, _ = _read(Path(path))
    if report is None:
        raise UsageError("\n".join(problems))
    return report


def check(workspace: Workspace, name: str) -> list[str]:
    """All that is wrong with a report (of the workspace by name, or a file), one sentence each, [] when it is sound.

    Beyond what `load` refuses: unknown renderers, tables and settings, and slots that no column of the table fits.
    """
    path = _file(workspace, name)
    report, problems, root = _read(path)
    if report is None:
        return problems
    return [f"{_where(path, root, at)}: {what}" for at, what in _unusable(report, workspace)]


def save(report: Report, path: str | Path) -> Path:
    """Write a report as YAML, leaving out what is default."""
    import yaml

    from ..checkpoints import write_atomically

    content = {"schema_version": 1, **report.model_dump(exclude_defaults=True)}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(Path(path), yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100).encode())
    return Path(path)


def named_reports(workspace: Workspace) -> list[dict[str, str]]:
    """The reports kept in a workspace, `reports/<name>.yaml`: name, title (what is wrong, for one that cannot be read) and file."""
    listing = []
    for file in sorted((workspace.root / "reports").glob("*.yaml")):
        report, problems, _ = _read(file)
        listing.append({"name": file.stem, "title": report.title if report else problems[0], "file": str(file)})
    return listing


def reports_for(workspace: Workspace, run: str | Run) -> dict[str, str]:
    """Name -> title of every report one can open for a run: its own, those of its family, those of the workspace."""
    found = {DEFAULT: "the run's own"}
    for name, path in workspace.run(run).family.reports().items():
        report, problems, _ = _read(path)
        found[name] = report.title if report else problems[0]
    return found | {r["name"]: f"{r['name']}: {r['title']}" for r in named_reports(workspace)}


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


def _read(path: Path) -> tuple[Report | None, list[str], yaml.Node | None]:
    import yaml

    try:
        text = path.read_text("utf-8")
        root = yaml.compose(text, yaml.SafeLoader)
        content = yaml.safe_load(text)
    except OSError as e:
        return None, [f"{path}: cannot be read: {e.strerror}"], None
    except UnicodeDecodeError:
        return None, [f"{path}: is not UTF-8 text"], None
    except yaml.MarkedYAMLError as e:
        line = e.problem_mark.line + 1 if e.problem_mark else 1
        return None, [f"{path}, line {line}: is no YAML: {e.problem}"], None
    if not isinstance(content, dict):
        return None, [f"{path}: a report is a mapping with title and sections, not {type(content).__name__}"], root
    try:
        return Report.model_validate(content), [], root
    except ValidationError as e:
        errors = sorted(e.errors(), key=lambda error: error["type"] == "missing")  # a misspelt key first: it is why another is missing
        return None, [f"{_where(path, root, error['loc'])}: {_said(error)}" for error in errors], root


def _where(path: Path, root: yaml.Node | None, at: Sequence[str | int]) -> str:
    """`reports/mine.yaml, line 7, sections[0].panels[1].renderer`."""
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at).removeprefix(".")
    return f"{path}, line {_line(root, at)}{f', {name}' if name else ''}"


def _line(node: yaml.Node | None, at: Sequence[str | int]) -> int:
    """The line of a field, or of the nearest enclosing one that is there; counted from 1."""
    import yaml

    line = node.start_mark.line + 1 if node is not None else 1
    for part in at:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _said(error: Any) -> str:
    """What pydantic found, in words; an unknown key with the nearest known one."""
    if error["type"] == "extra_forbidden":
        depth = len([part for part in error["loc"] if part in ("sections", "panels")])
        model = (Report, Section, Panel)[min(depth, 2)]
        return f"unknown key {error['loc'][-1]!r}{did_you_mean(str(error['loc'][-1]), model.model_fields)}"
    if error["type"] == "missing":
        return "is missing"
    message = str(error["msg"])
    return f"{message[:1].lower()}{message[1:]}, not {error['input']!r}"


def _unusable(report: Report, workspace: Workspace) -> Iterator[tuple[Sequence[str | int], str]]:
    for i, section in enumerate(report.sections):
        for j, panel in enumerate(section.panels):
            for field, use in (("renderer", _try_renderer), ("table", _try_table)):
                try:
                    use(workspace, panel)
                except StrobeError as e:
                    yield ("sections", i, "panels", j, field), str(e)
                    break


def _try_renderer(workspace: Workspace, panel: Panel) -> None:
    workspace.renderer(panel.renderer, panel.settings)


def _try_table(workspace: Workspace, panel: Panel) -> None:
    renderer = workspace.renderer(panel.renderer)
    table = panel.table or next(iter(renderer.tables()), "")
    if not table:
        raise UsageError(f"{panel.renderer} draws any table: say which, `table: <analyzer>`")
    schema = workspace.schema(table) if table != "metrics" or workspace.runs() else None
    if renderer.slots and schema is not None and bind(renderer.slots, schema, panel.slots) is None:
        raise UsageError(f"{panel.renderer} cannot draw {table!r}: none of its columns fits {', '.join(renderer.slots)}")


# --- the default report ------------------------------------------------------------------------------------------------------------------------


def default_report(workspace: Workspace, run: str | Run, *, more: bool = True) -> Report:
    """The family's report when it has one, else one made of what is stored; results that no panel shows come last, under "More results",
    unless `more` is off."""
    run = workspace.run(run)
    path = run.family.report()
    stored = stored_tables(workspace, run)
    if path is None:
        panels = [generic(workspace, run, table) for table in stored]
        sections = [Section(title="Results", panels=panels)] if panels else []
        return Report(title=run.name, description=run.family.summary(), sections=sections)
    report = load(path)
    shown = tables_of(report, workspace.registry)
    rest = [generic(workspace, run, table) for table in stored if table not in shown] if more else []
    return report.model_copy(update={"sections": [*report.sections, Section(title=MORE, panels=rest)]}) if rest else report


def stored_tables(workspace: Workspace, run: Run) -> list[str]:
    """Tables with current results of a run, in the order of the listings; `metrics` first when there are any."""
    found = ["metrics"] if len(run.metrics) else []
    for plugin in workspace.registry.all("analyzer"):
        try:
            addresses = workspace.addresses(plugin.name, [run])
        except StrobeError:  # a broken plugin: it is listed with its reason, and has no result to draw
            continue
        if any(workspace.store.entries(a) for a in addresses):
            found.append(plugin.name)
    return found


def tables_of(report: Report, registry: Registry) -> set[str]:
    """Every table some panel reads."""
    return {table for panel in report.panels for table in (panel.table, *_consumed(panel.renderer, registry)) if table}


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
