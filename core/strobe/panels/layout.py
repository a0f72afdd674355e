"""The page as it will stand: sections and groups in a row, with what is repeated written out, and runs beside each other given a panel each. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..reports.model import COLUMNS, Panel, PanelGroup, Report, Section

Value = int | str
Values = Callable[[str, Sequence[Panel]], Sequence[Value]]
"""The runs, layers or heads that panels can be repeated over."""
MOST_VALUES = 64
"""Repetitions of one section or panel; a page of more is no page."""
MOST_ACROSS = 3
"""Runs beside each other in a row."""


@dataclass(frozen=True)
class Block:
    """A heading and its panels; `level` 1 for a group within the section before it."""

    title: str
    description: str
    markdown: str
    level: int
    panels: tuple[Panel, ...]


def laid_out(report: Report, values: Values) -> list[Block]:
    """All blocks of a report, in the order of the page."""
    return [block for section in report.sections for copy in _copies(section, values) for block in _blocks(copy, values)]


def _blocks(section: Section, values: Values) -> Iterator[Block]:
    yield Block(section.title, section.description, section.markdown, 0, tuple(_panels(section.panels, values)))
    for group in section.groups:
        for copy in _grouped(group, values):
            yield Block(copy.title, copy.description, copy.markdown, 1, tuple(_panels(copy.panels, values)))


def _copies(section: Section, values: Values) -> Iterator[Section]:
    if section.repeat is None:
        yield section
        return
    name = section.repeat
    for value in _of(name, section.all_panels, values):
        groups = [group.model_copy(update={"panels": _fixed(group.panels, name, value)}) for group in section.groups]
        panels = _fixed(section.panels, name, value)
        yield section.model_copy(update={"title": _titled(section.title, name, value), "panels": panels, "groups": groups, "repeat": None})


def _grouped(group: PanelGroup, values: Values) -> Iterator[PanelGroup]:
    if group.repeat is None:
        yield group
        return
    name = group.repeat
    for value in _of(name, group.panels, values):
        panels = _fixed(group.panels, name, value)
        yield group.model_copy(update={"title": _titled(group.title, name, value), "panels": panels, "repeat": None})


def _panels(panels: Iterable[Panel], values: Values) -> Iterator[Panel]:
    for panel in panels:
        copies = _repeated(panel, values) if panel.repeat else [panel]
        for copy in copies:
            yield from _beside(copy, values) if copy.compare == "side_by_side" else [copy]


def _repeated(panel: Panel, values: Values) -> list[Panel]:
    name = str(panel.repeat)
    title = panel.title or words(panel.table or panel.renderer)
    return [
        copy.model_copy(update={"title": _titled(title, name, value), "repeat": None})
        for value in _of(name, [panel], values)
        for copy in _fixed([panel], name, value)
    ]


def _beside(panel: Panel, values: Values) -> list[Panel]:
    """A panel for each run; three runs and more get a third of the page each, unless the report says how wide."""
    runs = _of("run", [panel], values)
    width = panel.width if "width" in panel.model_fields_set or len(runs) < MOST_ACROSS else COLUMNS // MOST_ACROSS
    title = panel.title or words(panel.table or panel.renderer)
    return [
        copy.model_copy(update={"title": _titled(title, "run", run), "width": width, "compare": None})
        for run in runs
        for copy in _fixed([panel], "run", run)
    ]


def _of(name: str, panels: Sequence[Panel], values: Values) -> list[Value]:
    return list(values(name, panels))[:MOST_VALUES]


def _fixed(panels: Iterable[Panel], name: str, value: Value) -> list[Panel]:
    """The panels with a coordinate pinned; one that a panel pins itself stays. A layer or head is also what their rows are cut at."""
    cut = [] if name == "run" else [name]
    return [p.model_copy(update={"cursor": {name: value, **p.cursor}, "follow": list(dict.fromkeys([*p.follow, *cut]))}) for p in panels]


def _titled(title: str, name: str, value: Value) -> str:
    return f"{title}: {value}" if name == "run" else f"{title}: {name} {value}"


def words(name: str) -> str:
    """`loss_curves` -> `Loss curves`."""
    said = name.rpartition(":")[2].replace("_", " ")
    return said[:1].upper() + said[1:]
