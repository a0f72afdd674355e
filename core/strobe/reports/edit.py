"""Edits of a report: each takes one and gives another, and a history goes back and forth between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from .model import Panel, Report, Section

Holder = tuple[int, ...]
"""What holds panels: `(section,)`, or `(section, group)` for a group in it; counted from 0."""
At = tuple[int, ...]
"""Which panel: what holds it, and its place there: `(section, place)` or `(section, group, place)`."""
MOST = 200
"""States a history remembers."""


# --- panels --------------------------------------------------------------------------------------------------------------------------------------


def holders(report: Report) -> list[Holder]:
    """What panels stand in, in the order of the page: each section, and after it its groups."""
    return [h for i, section in enumerate(report.sections) for h in ((i,), *((i, k) for k in range(len(section.groups))))]


def places(report: Report) -> list[At]:
    """Of every panel, in the order of the page."""
    return [(*holder, j) for holder in holders(report) for j in range(len(held(report, holder)))]


def held(report: Report, holder: Holder) -> list[Panel]:
    """The panels of a section, or of a group in it. Raises `UsageError` when there is none of that number."""
    section = section_at(report, holder[0])
    if len(holder) == 1:
        return section.panels
    if not 0 <= holder[1] < len(section.groups):
        raise UsageError(f"section {holder[0] + 1} has {len(section.groups)} groups, none at {holder[1] + 1}")
    return section.groups[holder[1]].panels


def panel_at(report: Report, at: At) -> Panel:
    """The panel at a place. Raises `UsageError` when there is none."""
    panels = held(report, at[:-1])
    if not 0 <= at[-1] < len(panels):
        raise UsageError(f"section {at[0] + 1} has {len(panels)} panels there, none at {at[-1] + 1}")
    return panels[at[-1]]


def add_panel(report: Report, panel: Panel, at: At) -> Report:
    """The panel at this place; those from there on move down. A place beyond the end is the end."""
    panels = held(report, at[:-1])
    return _with_panels(report, at[:-1], [*panels[: at[-1]], panel, *panels[at[-1] :]])


def remove_panel(report: Report, at: At) -> Report:
    panel_at(report, at)
    panels = held(report, at[:-1])
    return _with_panels(report, at[:-1], [*panels[: at[-1]], *panels[at[-1] + 1 :]])


def duplicate_panel(report: Report, at: At) -> Report:
    """A copy just below."""
    return add_panel(report, panel_at(report, at).model_copy(deep=True), (*at[:-1], at[-1] + 1))


def move_panel(report: Report, at: At, to: At) -> Report:
    """The panel at another place, `to` as it is in the report without it; also into another section."""
    panel = panel_at(report, at)
    return add_panel(remove_panel(report, at), panel, to)


def shifted(report: Report, at: At, by: int) -> At:
    """Where a panel goes that moves up (-1) or down (1) by one: over the edge of its section into the next; the same place at the ends."""
    if 0 <= at[-1] + by < len(held(report, at[:-1])):
        return (*at[:-1], at[-1] + by)
    order = holders(report)
    next_ = order.index(at[:-1]) + by
    if not 0 <= next_ < len(order):
        return at
    return (*order[next_], 0 if by > 0 else len(held(report, order[next_])))


def change_panel(report: Report, at: At, **fields: Any) -> Report:
    """The panel with other fields, validated: `width=4`, `title="..."`, `settings={...}`. Raises pydantic's `ValidationError`."""
    changed = Panel.model_validate({**panel_at(report, at).model_dump(exclude_unset=True), **fields})
    panels = held(report, at[:-1])
    return _with_panels(report, at[:-1], [*panels[: at[-1]], changed, *panels[at[-1] + 1 :]])


# --- sections ------------------------------------------------------------------------------------------------------------------------------------


def section_at(report: Report, at: int) -> Section:
    """The section at a place. Raises `UsageError` when there is none."""
    if not 0 <= at < len(report.sections):
        raise UsageError(f"the report has {len(report.sections)} sections, none at {at + 1}")
    return report.sections[at]


def add_section(report: Report, section: Section, at: int) -> Report:
    return _with_sections(report, [*report.sections[:at], section, *report.sections[at:]])


def remove_section(report: Report, at: int) -> Report:
    """Without the section and its panels."""
    section_at(report, at)
    return _with_sections(report, [*report.sections[:at], *report.sections[at + 1 :]])


def duplicate_section(report: Report, at: int) -> Report:
    """A copy just below, with copies of its panels."""
    return add_section(report, section_at(report, at).model_copy(deep=True), at + 1)


def move_section(report: Report, at: int, to: int) -> Report:
    """The section at another place, `to` as it is in the report without it."""
    return add_section(remove_section(report, at), section_at(report, at), to)


def change_section(report: Report, at: int, **fields: Any) -> Report:
    """The section with other fields, validated. Raises pydantic's `ValidationError`."""
    return _with_section(report, at, Section.model_validate({**section_at(report, at).model_dump(exclude_unset=True), **fields}))


def change_report(report: Report, fields: Mapping[str, Any]) -> Report:
    """The report with other fields (title, description), validated. Raises pydantic's `ValidationError`."""
    return Report.model_validate({**report.model_dump(exclude_unset=True), **fields})


def _with_panels(report: Report, holder: Holder, panels: Sequence[Panel]) -> Report:
    section = report.sections[holder[0]]
    if len(holder) == 1:
        return _with_section(report, holder[0], section.model_copy(update={"panels": list(panels)}))
    groups = list(section.groups)
    groups[holder[1]] = groups[holder[1]].model_copy(update={"panels": list(panels)})
    return _with_section(report, holder[0], section.model_copy(update={"groups": groups}))


def _with_section(report: Report, at: int, section: Section) -> Report:
    return _with_sections(report, [*report.sections[:at], section, *report.sections[at + 1 :]])


def _with_sections(report: Report, sections: Sequence[Section]) -> Report:
    return report.model_copy(update={"sections": list(sections)})


# --- going back ----------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class History:
    """A report, those before it, and those that were undone (the next one last)."""

    now: Report
    past: tuple[Report, ...] = ()
    undone: tuple[Report, ...] = ()

    def do(self, report: Report) -> History:
        """With another report; what was undone is forgotten. An equal report is no step."""
        return self if report == self.now else History(report, (*self.past, self.now)[-MOST:])

    def undo(self) -> History:
        """One step back; itself at the beginning."""
        return History(self.past[-1], self.past[:-1], (*self.undone, self.now)) if self.past else self

    def redo(self) -> History:
        """One step forth again; itself when nothing was undone."""
        return History(self.undone[-1], (*self.past, self.now), self.undone[:-1]) if self.undone else self
