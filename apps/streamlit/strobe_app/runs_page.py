"""The page Runs: jobs, the list of runs, and what can be done with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from strobe import StrobeError, Workspace
from strobe_app import analyze_form, edit_runs, jobs_panel, runs_table, sidebar, train_form

TABS = ("Train", "Analyze", "Describe", "Delete")


def show(workspace: Workspace, report: Any = None) -> None:
    """The page. `report` is the page that shows the report of a run, to link to."""
    with st.sidebar:
        sidebar.sign(workspace)
    st.title("Runs", anchor=False)
    jobs_panel.show(workspace)
    found = runs_table.rows(workspace) if workspace.root.is_dir() else []
    if found:
        chosen = runs_table.show(found)
    else:
        st.info(f"The workspace {workspace.root} has no runs yet: train some below.")
        chosen = []
    if report is not None and len(chosen) == 1:
        st.page_link(report, label=f"Report of {chosen[0]}", query_params={"run": chosen[0]}, icon=":material/monitoring:")
    _actions(workspace, [row.name for row in found if row.name in chosen and not row.problem])


def _actions(workspace: Workspace, chosen: list[str]) -> None:
    actions: tuple[Callable[[], None], ...] = (
        lambda: train_form.show(workspace),
        lambda: analyze_form.show(workspace, chosen),
        lambda: edit_runs.describe(workspace, chosen),
        lambda: edit_runs.delete(workspace, chosen),
    )
    for name, tab, action in zip(TABS, st.tabs(TABS, key="runs action", on_change="rerun"), actions, strict=True):
        if tab.open or name == "Train":  # what was typed there outlives a look at another tab
            with tab:
                try:
                    action()
                except StrobeError as e:
                    st.error(str(e))
