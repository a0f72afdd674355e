"""What the panels of one page share: the runs of the report, how they are aligned, and the layers and heads that panels are repeated over."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import StrobeError
from ..reports.model import Compare, Panel, Report
from ..reports.selection import selected
from ..runs.run import Run
from .align import Clock, Shift, clocks
from .compare import Together, together
from .layout import Value

if TYPE_CHECKING:
    from ..workspace import Workspace

NOBODY = "?"
"""Stands for the runs of a report that has none, so that its panels are there and say why."""


class Companions:
    """The runs of a report, seen from the page's run. Each thing is read once, when a panel first needs it."""

    def __init__(self, workspace: Workspace, report: Report, run: Run) -> None:
        self.workspace = workspace
        self.report = report
        self.run = run
        self.asked = False
        """Whether some panel is of other runs than the page's."""
        self._together: dict[Compare, Together] = {}

    @cached_property
    def _selection(self) -> tuple[list[Run], StrobeError | None]:
        self.asked = True
        try:
            return selected(self.workspace, self.report, self.run), None
        except StrobeError as e:
            return [], e

    @property
    def runs(self) -> list[Run]:
        """The selected runs. Raises what is wrong with the selection."""
        found, problem = self._selection
        if problem is not None:
            raise problem
        return found

    def values(self, name: str, panels: Sequence[Panel]) -> list[Value]:
        """Runs, layers or heads to repeat panels over; none where no table of theirs has any."""
        if name == "run":
            return [run.name for run in self._selection[0]] or [NOBODY]
        found = set[int]()
        for panel in panels:
            found.update(self._indices(name, panel))
        return [*sorted(found)]

    def _indices(self, name: str, panel: Panel) -> set[int]:
        try:
            table = panel.table or self.workspace.registry.renderer(panel.renderer).tables()[0]
            run = self.workspace.run(str(panel.cursor.get("run", self.run.name)))
            values = self.workspace.table(table, runs=run, steps=run.steps[-1:], columns=[name])[name]
        except (StrobeError, KeyError, IndexError):  # nothing stored, no such column, or a query
            return set()
        return {int(v) for v in values.dropna().unique()}

    def together(self, mode: Compare) -> Together:
        """The runs for a chart of several."""
        if mode not in self._together:
            self._together[mode] = together(self.workspace, self.runs, mode, self.report.align)
        return self._together[mode]

    def shift(self, run: str) -> Shift | None:
        """From the page's steps to those of another run; None where they are the same. Raises `StrobeError` for a run that cannot be aligned."""
        if run == NOBODY:
            raise self._selection[1] or StrobeError("the report has no runs")
        other = self.workspace.run(run)
        self.asked = True
        if run == self.run.name or self.report.align == "step":
            return None
        found = clocks(self.workspace, [self.run, other], self.report.align)
        page, own = found[self.run.name], found[run]
        if isinstance(page, str) or isinstance(own, str):
            who, why = (self.run.name, page) if isinstance(page, str) else (run, own)
            raise StrobeError(f"runs are aligned by {self.report.align}, and {who} {why}")
        assert isinstance(page, Clock)
        return Shift(page, own)

    @property
    def others(self) -> tuple[str, ...]:
        """Names of further runs whose results the page shows."""
        return tuple(r.name for r in self._selection[0] if r.name != self.run.name) if self.asked else ()
