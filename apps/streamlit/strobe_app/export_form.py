"""What shall be written: a report, a section or one panel of it, the format, the place, the size; put into the queue as a job."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from strobe import StrobeError, Workspace
from strobe.animation.sweep import EASINGS
from strobe.export.formats import FORMATS, THEMES
from strobe.export.pages import NONE
from strobe.export.sizes import size_of
from strobe.jobs.worker import ensure_worker
from strobe.panels.cards import Card, Group, cards_of, choices, resolve
from strobe.panels.moments import events_of, opening_step
from strobe.reports.library import find, reports_for
from strobe.runs.labels import unarchived
from strobe.runs.run import Run

FOLDER = "exports"
WHOLE = "The whole report"
DRAWN, MOVING = ("png", "svg", "pdf"), ("gif", "webp", "mp4")
ROUND = "azimuth"
PAGES = {"a4": "A4", "letter": "Letter", NONE: "one, as large as what is on it"}


@dataclass(frozen=True)
class What:
    """A part of a report that can be written: one panel, a section (`title`), or all of it."""

    cards: tuple[Card, ...]
    title: str = ""

    @property
    def panel(self) -> Card | None:
        return None if self.title or self.whole else self.cards[0]

    whole: bool = False

    @property
    def words(self) -> str:
        return WHOLE if self.whole else f"Section: {self.title}" if self.title else f"{self.cards[0].number} {self.cards[0].title}"

    @property
    def name(self) -> str:
        """As a part of a file's name."""
        return "" if self.whole else self.title or f"{self.cards[0].number}-{self.cards[0].title}"


def parts(groups: Sequence[Group]) -> list[What]:
    """The report, its sections, its panels."""
    cards = cards_of(groups)
    sections = [What(tuple(g.cards), title=g.title) for g in groups if g.cards and g.title]
    return [What(tuple(cards), whole=True), *(sections if len(sections) > 1 else []), *(What((card,)) for card in cards)]


def show(workspace: Workspace) -> None:
    """The form. What the session knows of the reader's place is where it begins."""
    runs = {run.name: run for run in unarchived(workspace.runs()) if run.steps}
    if not runs:
        st.info("No run of this workspace has checkpoints yet: there is nothing to export.")
        return
    left, right = st.columns(2)
    name = left.selectbox("Run", list(runs), key="export run", index=_at(list(runs), st.session_state.get("run")))
    titles = reports_for(workspace, name)
    report = right.selectbox("Report", list(titles), key="export report", format_func=lambda n: titles[n])
    try:
        there = {part.words: part for part in parts(resolve(workspace, find(workspace, report, name), name))}
    except StrobeError as e:
        st.error(str(e))
        return
    what = there[left.selectbox("What", list(there), key=f"export panel {name} {report}")]
    known = {suffix: f for suffix, f in FORMATS.items() if f.report}
    suffix = right.selectbox("Format", list(known), key="export format", format_func=lambda s: f"{s.upper()}: {known[s].about}")
    if what.title and suffix not in (*DRAWN, *MOVING):
        st.info(f"A section becomes a picture or an animation; as {suffix.upper()} choose the whole report, or one panel.")
        return
    request = _request(workspace, runs[name], report, what, suffix)
    if st.button("Export", key="export go", type="primary", disabled=request is None) and request is not None:
        _submit(workspace, request)


def _at(names: list[str], wanted: object) -> int:
    return names.index(wanted) if isinstance(wanted, str) and wanted in names else 0


def _request(workspace: Workspace, run: Run, report: str, what: What, suffix: str) -> dict[str, Any] | None:
    """What the fields ask for; None while something in them cannot be, which stands below its field."""
    fields = _Fields()
    there = choices(workspace, run, what.cards)
    options: dict[str, Any] = {}
    if suffix in MOVING:
        options["over"] = fields.next.selectbox("What runs", _running(there, what), key=f"export over {run.name} {what.name}")
    cursor = _cursor(workspace, run, there, options.get("over", "" if suffix not in MOVING else "step"), fields)
    theme = fields.next.selectbox("Theme", list(THEMES), key="export theme")
    if suffix in MOVING:
        options["fps"] = fields.next.number_input("Frames per second", 1, 60, 8, key="export fps")
        options["ease"] = fields.next.selectbox("Pace", list(EASINGS), key="export ease")
    if suffix == "pdf" and len(what.cards) > 1:
        options["pages"] = fields.next.selectbox("Pages", list(PAGES), key="export pages", format_func=PAGES.__getitem__)
    if suffix in (*DRAWN, *MOVING) and options.get("pages", NONE) == NONE:
        if (width := _width(fields)) is None:
            return None
        options |= {"width": width} if width else {}
    if what.title:
        options["only"] = [what.title]
    output = workspace.root / FOLDER / f"{_file_name(run.name, report, what.name, cursor, _apart(theme, options))}.{suffix}"
    st.caption(f"Written to {output}; carries version, run, step, phases and what is shown.")
    asked = {"report": report, "run": run.name, "output": str(output), "cursor": cursor, "theme": theme, "options": options}
    return asked | ({"panel": what.panel.panel.model_dump(mode="json")} if what.panel is not None else {})


class _Fields:
    """Two columns that are filled in turn."""

    def __init__(self) -> None:
        self.columns, self.count = st.columns(2), 0

    @property
    def next(self) -> Any:
        self.count += 1
        return self.columns[(self.count - 1) % 2]


def _running(there: Mapping[str, Sequence[int]], what: What) -> list[str]:
    """Coordinates that an animation can run over; once around for what is three-dimensional."""
    turns = any("Scene3D" in str(getattr(type(c.view.renderer).render, "__annotations__", {}).get("return", "")) for c in what.cards if c.view)
    return ["step", *(name for name, values in there.items() if len(values) > 1), *([ROUND] if turns else [])]


def _cursor(workspace: Workspace, run: Run, there: Mapping[str, list[int]], over: str, fields: _Fields) -> dict[str, int]:
    """Where the export looks: every coordinate but the one that runs."""
    looking: Mapping[str, Any] = st.session_state.get("cursor", {})
    cursor: dict[str, int] = {}
    if over != "step":
        opens = _nearest(run.steps, looking.get("step", opening_step(run.steps, events_of(workspace, run))))
        cursor["step"] = fields.next.select_slider("Step", run.steps, key=f"export step {run.name}", value=opens, format_func="{:,}".format)
    for name, values in there.items():
        if name != over:
            cursor[name] = fields.next.selectbox(name.capitalize(), values, key=f"export {run.name} {name}", index=_place(values, looking.get(name)))
    return cursor


def _width(fields: _Fields) -> str | None:
    """What was typed; None when it is no width: what is wrong with it stands below."""
    typed: str = fields.next.text_input("Width", key="export width", placeholder="as laid out; or 85mm, 174mm, 3.3in, 1200px").strip()
    try:
        size_of(typed)
    except StrobeError as e:
        st.error(str(e))
        return None
    return typed


def _apart(theme: str, options: Mapping[str, Any]) -> str:
    """What else tells one file from another of the same place."""
    over = options.get("over", "step")
    pages = options.get("pages", "a4")
    said = ("" if over == "step" else f"over-{over}", "" if theme == "light" else theme, "" if pages == "a4" else f"pages-{pages}")
    return "-".join(filter(None, [*said, options.get("width", "")]))


def _nearest(steps: tuple[int, ...], wanted: object) -> int:
    return min(steps, key=lambda s: abs(s - wanted)) if isinstance(wanted, int) else steps[-1]


def _place(values: list[int], wanted: object) -> int:
    return values.index(wanted) if isinstance(wanted, int) and wanted in values else 0


def _file_name(run: str, report: str, what: str, cursor: Mapping[str, int], apart: str = "") -> str:
    """Letters that every file system takes, whatever a title says."""
    place = (f"{name}{value}" for name, value in cursor.items())
    said = "-".join(filter(None, [run, report, what, *place, apart]))
    return re.sub(r"[^A-Za-z0-9._-]+", "_", said)[:120].strip("._")


def _submit(workspace: Workspace, request: dict[str, Any]) -> None:
    try:
        workspace.submit("export", start=False, **request)
        ensure_worker(workspace.root)
    except StrobeError as e:
        st.error(str(e))
    else:
        st.toast("In the queue; it appears below when it is done.")
