"""What lies on the builder's desk: a report with its history, and its YAML as it was typed. No widget in here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from strobe import StrobeError, Workspace
from strobe.checkpoints import write_atomically
from strobe.reports import edit
from strobe.reports.edit import At, History, Holder
from strobe.reports.files import as_yaml, read_text
from strobe.reports.library import file_of, find, reports_for
from strobe.reports.model import Report, Section

EMPTY = Report(title="New report", sections=[Section(title="Section 1")])
TYPED = "the text"


class Taken(StrobeError):
    """Something else lies under the name: to be written over only when that is wanted."""


@dataclass
class Desk:
    """The report that is edited, and which part of it is looked at.

    `name`: under which it is kept in the workspace, "" until it is; `text`: its YAML, also while it has mistakes (`problems`), which leave the report
    as it was; `chosen`: a panel, a section, or () for the report itself; `revision`: changes whenever what the widgets show changes under them.
    """

    history: History
    text: str
    name: str = ""
    chosen: At | Holder = ()
    problems: list[str] = field(default_factory=list)
    revision: int = 0
    on_disk: str | None = None
    """What the file held when it was read or written last."""

    @property
    def report(self) -> Report:
        return self.history.now

    @property
    def panel(self) -> At | None:
        """The chosen panel, None when a section is chosen, or nothing."""
        return self.chosen if self.chosen in edit.places(self.report) else None

    @property
    def saved(self) -> bool:
        """Whether the file holds what lies here."""
        return self.on_disk is not None and self.on_disk == self.text

    # --- edits -----------------------------------------------------------------------------------------------------------------------------

    def do(self, report: Report, chosen: At | Holder | None = None, *, typed_in_form: bool = False) -> None:
        """Another report. Text with mistakes stays as it was typed. `typed_in_form`: the widgets show it already."""
        self._become(self.history.do(report), self.chosen if chosen is None else chosen)
        self.revision -= typed_in_form

    def undo(self) -> None:
        self._become(self.history.undo(), self.chosen)

    def redo(self) -> None:
        self._become(self.history.redo(), self.chosen)

    def choose(self, chosen: At | Holder) -> None:
        self.chosen = chosen
        self.revision += 1

    def type(self, text: str) -> None:
        """What was typed as YAML: the report when it is one, else its mistakes."""
        found = read_text(text, TYPED)
        self.text, self.problems = text, found.problems
        if found.report is not None:
            self.history = self.history.do(found.report)
            self.choose(_nearest(self.report, self.chosen))

    def discard(self) -> None:
        """Give up text with mistakes for the report as it is."""
        self.text, self.problems = as_yaml(self.report), []

    def _become(self, history: History, chosen: At | Holder) -> None:
        changed = history.now != self.history.now
        self.history = history
        if changed and not self.problems:
            self.text = as_yaml(history.now)
        self.choose(_nearest(history.now, chosen))

    # --- files -----------------------------------------------------------------------------------------------------------------------------

    def save(self, workspace: Workspace, run: str, name: str, *, over: bool = False) -> Path:
        """Keep the report as `reports/<name>.yaml` of the workspace, as it was typed.

        Raises `StrobeError` for a name that is no file name or that of a package's report, and `Taken` when that would write over something that was
        not opened here, unless `over`.
        """
        path = file_of(workspace, name)
        if self.problems:
            raise StrobeError("the YAML has mistakes: mend them, or discard the text, before saving")
        if not path.is_file() and name in reports_for(workspace, run):
            raise StrobeError(f"report {name!r} comes with a package and stays as it is: save yours under another name")
        there = path.read_text("utf-8") if path.is_file() else None
        if there is not None and there != self.text and not over:
            if name != self.name:
                raise Taken(f"there is a report {name!r} already")
            if there != self.on_disk:
                raise Taken(f"reports/{name}.yaml was changed by somebody else since it was opened here")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, self.text.encode())
        self.name, self.on_disk = name, self.text
        return path


def opened(workspace: Workspace, name: str, run: str) -> Desk:
    """A report to start from: `""` is an empty one; one of the workspace keeps its name, and its text as it was typed; of others a copy is made."""
    if not name:
        return Desk(History(EMPTY), as_yaml(EMPTY), chosen=(0,))
    report = find(workspace, name, run)
    kept = kept_text(workspace, name)
    text = as_yaml(report) if kept is None else kept
    return Desk(History(report), text, name if kept is not None else "", _nearest(report, (0, 0)), on_disk=kept)


def kept_text(workspace: Workspace, name: str) -> str | None:
    """The YAML of a report of the workspace; None for one that comes with a package or is a run's own."""
    try:
        path = file_of(workspace, name)
    except StrobeError:
        return None
    return path.read_text("utf-8") if path.is_file() else None


def free_name(workspace: Workspace, run: str, wanted: str) -> str:
    """`wanted`, or with a number behind it when there is such a report."""
    names, n = reports_for(workspace, run), 1
    while (name := wanted if n == 1 else f"{wanted}-{n}") in names:
        n += 1
    return name


def _nearest(report: Report, chosen: At | Holder) -> At | Holder:
    """A part that is there: the chosen one, else the panel before it, else the first one, else the report."""
    places, holders = edit.places(report), edit.holders(report)
    if chosen == () or chosen in places or chosen in holders:
        return chosen
    before = [at for at in places if at <= chosen]
    return before[-1] if before else [*places, *holders, ()][0]
