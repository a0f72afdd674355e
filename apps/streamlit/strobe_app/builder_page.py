"""The page Builder: a report made of panels, and its YAML beside it; either can be edited, the other follows."""

from __future__ import annotations

from typing import Any

import streamlit as st

from strobe import StrobeError, Workspace
from strobe.panels.moments import events_of
from strobe.reports.library import reports_for
from strobe.runs.labels import unarchived
from strobe.runs.run import Run
from strobe_app import builder_outline, builder_panel, cursor, sidebar
from strobe_app.desk import Desk, Taken, free_name, opened

LOOK = """<style>
.st-key-builder-outline button { min-height: 28px; padding: 2px 8px; }
.st-key-builder-outline button, .st-key-builder-outline button div { justify-content: flex-start; text-align: left; }
.st-key-builder-outline [data-testid="stVerticalBlock"] { gap: 2px; }
.st-key-builder-yaml textarea { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 12.5px; line-height: 1.45; white-space: pre; }
</style>"""
OUTLINE, EDITOR = 250, 668
"""Widths, px: what fits beside a sidebar at 1280, the card of half a page."""
TEXT = "builder text"


def show(workspace: Workspace, report: Any = None) -> None:
    """The page. `report` is the page that shows reports, to link to."""
    st.html(LOOK)
    runs = unarchived(workspace.runs())
    if not runs:
        st.title("Builder", anchor=False)
        st.info("A report is drawn from a run, and the workspace has none yet: `strobe demo` makes one.")
        return
    with st.sidebar:
        run = sidebar.choose_run(workspace, runs)
        if not run.steps:
            st.info(f"Run {run.name} has no checkpoints yet: `strobe train {run.name} --resume` makes some.")
            return
        step = sidebar.choose_step(run, events_of(workspace, run))
    desk = _desk(workspace, run)
    st.title("Builder", anchor=False)
    _top(workspace, run, desk, report)
    with st.container(horizontal=True, gap="small"):
        with st.container(width=OUTLINE, key="builder-outline", gap="xsmall"):
            builder_outline.show(workspace, run, desk)
        with st.container(width=EDITOR, gap="small"):
            builder_panel.show(workspace, run, desk, {"run": run.name, "step": step})
        with st.container(width="stretch", key="builder-yaml"):
            _yaml(desk)
    with st.sidebar:
        sidebar.sign(workspace)
    cursor.to_address({"run": run.name, "step": step, **({"report": desk.name} if desk.name else {})})


def _desk(workspace: Workspace, run: Run) -> Desk:
    """What was left here, or the report that the address names, or an empty one."""
    if "desk" not in st.session_state:
        try:
            st.session_state["desk"] = opened(workspace, st.query_params.get("report", ""), run.name)
        except StrobeError as e:
            st.error(str(e))
            st.session_state["desk"] = opened(workspace, "", run.name)
    return st.session_state["desk"]  # type: ignore[no-any-return]


# --- above the columns ---------------------------------------------------------------------------------------------------------------------------


def _top(workspace: Workspace, run: Run, desk: Desk, report: Any) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        titles = {"": "an empty report", **reports_for(workspace, run)}
        st.selectbox("Start from", list(titles), key="builder start", format_func=lambda name: titles[name], width=260)
        st.button("Start", on_click=_start, args=(workspace, run), help="puts a copy here; a report of the workspace is edited itself")
        st.button("Undo", on_click=desk.undo, disabled=not desk.history.past, icon=":material/undo:")
        st.button("Redo", on_click=desk.redo, disabled=not desk.history.undone, icon=":material/redo:")
        wanted = desk.name or free_name(workspace, run.name, "my-report")
        key = f"builder name {desk.name}"
        name = st.text_input("Name", wanted, key=key, width=190, autocomplete="off")
        here = desk.name if desk.name == name else ""
        keep = lambda: _save(workspace, run, st.session_state[key])  # noqa: E731
        st.button(f"Save {here}" if here else "Save as", type="primary", on_click=keep, disabled=desk.saved and bool(here))
        if report is not None and desk.name:
            address = {"run": run.name, "report": desk.name}
            st.page_link(report, label=f"Open {desk.name}", query_params=address, icon=":material/monitoring:")
    _answers(workspace, run, desk)


def _answers(workspace: Workspace, run: Run, desk: Desk) -> None:
    """What the last click led to, and what it asks."""
    if taken := st.session_state.get("builder taken"):
        name, why = taken
        st.warning(f"{why}. Write over it, or choose another name.")
        st.button(f"Write over {name}", on_click=_save, args=(workspace, run, name, True))
    if st.session_state.get("builder starts"):
        st.warning("What is here is not saved.")
        with st.container(horizontal=True):
            st.button("Discard it and start", on_click=_start, args=(workspace, run, True))
            st.button("Keep it", on_click=lambda: None)
    st.session_state["builder taken"] = st.session_state["builder starts"] = None
    if said := st.session_state.pop("builder said", None):
        (st.success if said[0] else st.error)(said[1])
    if not desk.saved and desk.name:
        st.caption(f"reports/{desk.name}.yaml is older than what is here.")


def _start(workspace: Workspace, run: Run, sure: bool = False) -> None:
    desk: Desk = st.session_state["desk"]
    if desk.history.past and not desk.saved and not sure:
        st.session_state["builder starts"] = True
        return
    name = st.session_state["builder start"]
    try:
        new = opened(workspace, name, run.name)
    except StrobeError as e:
        _say(False, str(e))
        return
    new.revision = desk.revision + 1
    st.session_state["desk"] = new


def _save(workspace: Workspace, run: Run, name: str, over: bool = False) -> None:
    try:
        path = st.session_state["desk"].save(workspace, run.name, name, over=over)
        _say(True, f"Saved as {path.relative_to(workspace.root)}.")
    except Taken as e:
        st.session_state["builder taken"] = (name, str(e))
    except (StrobeError, OSError) as e:
        _say(False, str(e))


def _say(well: bool, what: str) -> None:
    st.session_state["builder said"] = (well, what)


# --- beside them ---------------------------------------------------------------------------------------------------------------------------------


def _yaml(desk: Desk) -> None:
    st.session_state[TEXT] = desk.text
    st.text_area("YAML", key=TEXT, height=620, on_change=lambda: desk.type(st.session_state[TEXT]), help="Ctrl+Enter, or a click elsewhere, takes it")
    for problem in desk.problems:
        st.error(problem)
    if desk.problems:
        st.caption("The report is as it was before; the text stays until it is mended or discarded.")
        st.button("Discard the text", on_click=desk.discard)
