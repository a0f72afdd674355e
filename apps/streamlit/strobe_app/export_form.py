"""What shall be written: a report or one panel of it, the format, the place; put into the queue as a job."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import streamlit as st

from strobe import StrobeError, Workspace
from strobe.export.formats import FORMATS, THEMES
from strobe.jobs.worker import ensure_worker
from strobe.panels.cards import Card, cards_of, choices, resolve
from strobe.reports.library import find, reports_for
from strobe.runs.labels import unarchived
from strobe.runs.run import Run

FOLDER = "exports"
WHOLE = "The whole report"
MOVING = ("gif", "webp", "mp4")


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
        cards = cards_of(resolve(workspace, find(workspace, report, name), name))
    except StrobeError as e:
        st.error(str(e))
        return
    panel = left.selectbox("What", [None, *cards], key=f"export panel {name} {report}", format_func=_called)
    known = {suffix: f for suffix, f in FORMATS.items() if f.report}
    suffix = right.selectbox("Format", list(known), key="export format", format_func=lambda s: f"{s.upper()}: {known[s].about}")
    request = _request(workspace, runs[name], report, panel, cards, suffix)
    if st.button("Export", key="export go", type="primary"):
        _submit(workspace, request)


def _at(names: list[str], wanted: object) -> int:
    return names.index(wanted) if isinstance(wanted, str) and wanted in names else 0


def _called(card: Card | None) -> str:
    return WHOLE if card is None else f"{card.number} {card.title}"


def _request(workspace: Workspace, run: Run, report: str, panel: Card | None, cards: list[Card], suffix: str) -> dict[str, Any]:
    left, right = st.columns(2)
    cursor: dict[str, int] = {}
    looking: Mapping[str, Any] = st.session_state.get("cursor", {})
    if suffix not in MOVING:
        cursor["step"] = left.select_slider("Step", run.steps, key=f"export step {run.name}", value=_nearest(run.steps, looking.get("step")))
    for coordinate, values in choices(workspace, run, [panel] if panel else cards).items():
        where = left if len(cursor) % 2 == 0 else right
        cursor[coordinate] = where.selectbox(coordinate, values, key=f"export {run.name} {coordinate}", index=_place(values, looking.get(coordinate)))
    theme = right.selectbox("Theme", list(THEMES), key="export theme")
    options = {"fps": right.number_input("Frames per second", 1, 60, 8, key="export fps")} if suffix in MOVING else {}
    output = workspace.root / FOLDER / f"{_file_name(run.name, report, panel, cursor)}.{suffix}"
    st.caption(f"Written to {output}; carries version, run, step, phases and what is shown.")
    asked = {"report": report, "run": run.name, "output": str(output), "cursor": cursor, "theme": theme, "options": options}
    return asked | ({"panel": panel.panel.model_dump(mode="json")} if panel is not None else {})


def _nearest(steps: tuple[int, ...], wanted: object) -> int:
    return min(steps, key=lambda s: abs(s - wanted)) if isinstance(wanted, int) else steps[-1]


def _place(values: list[int], wanted: object) -> int:
    return values.index(wanted) if isinstance(wanted, int) and wanted in values else 0


def _file_name(run: str, report: str, panel: Card | None, cursor: Mapping[str, int]) -> str:
    """Letters that every file system takes, whatever a title says."""
    what = report if panel is None else f"{report}-{panel.number}-{panel.title}"
    place = "-".join(f"{name}{value}" for name, value in cursor.items())
    return re.sub(r"[^A-Za-z0-9._-]+", "_", f"{run}-{what}{f'-{place}' if place else ''}")[:120].strip("._")


def _submit(workspace: Workspace, request: dict[str, Any]) -> None:
    try:
        workspace.submit("export", start=False, **request)
        ensure_worker(workspace.root)
    except StrobeError as e:
        st.error(str(e))
    else:
        st.toast("In the queue; it appears below when it is done.")
