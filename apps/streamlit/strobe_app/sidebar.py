"""The sidebar: which run and report, which step, and the coordinates that some card needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from strobe import Workspace, __version__
from strobe.panels.moments import metrics_at, nearest, opening_step
from strobe.reports.library import DEFAULT, reports_for
from strobe.runs.run import Run

from . import cursor

MANY = 30
"""More values than this are typed, not chosen from a list."""


def choose_run(workspace: Workspace, runs: Sequence[Run]) -> Run:
    """The run to look at; of several, the first unless the address says otherwise."""
    names = [run.name for run in runs]
    cursor.start("run", names, names[0])
    return workspace.run(st.selectbox("Run", names, key="run"))


def choose_report(workspace: Workspace, run: Run) -> str:
    """The name of a report: the run's own, one of its family, or one kept in the workspace."""
    titles = reports_for(workspace, run)
    cursor.start("report", list(titles), DEFAULT)
    return str(st.selectbox("Report", list(titles), key="report", format_func=lambda name: titles[name]))


def choose_step(run: Run, events: Mapping[str, float]) -> int:
    """One step for all cards: a slider over the checkpoints, and a button for each event."""
    steps = run.steps
    cursor.start_number("step", steps, opening_step(steps, events))
    if len(steps) > 1:
        st.select_slider("Step", steps, key="step", format_func=lambda step: f"{step:,}", help="arrow keys move one checkpoint")
    else:
        st.markdown(f"Step **{steps[0]:,}**, the only checkpoint")
    step = int(st.session_state["step"])
    for label, value in metrics_at(run, [step])[0].items():
        st.caption(f"{label}: **{value}**")
    if events:
        st.markdown("Events")
        with st.container(horizontal=True, gap="xsmall", key="events"):
            for event, at in events.items():
                st.button(f"{event} {at:,.0f}", key=f"event {event}", on_click=cursor.go, args=("step", steps[nearest(steps, at)]))
    return step


def choose_coordinates(choices: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Layer, head, neuron, ...: whatever some card is cut at and has more than one value."""
    chosen = {}
    for name, values in choices.items():
        cursor.start_number(name, values, values[0])
        if len(values) > MANY:
            st.number_input(name.capitalize(), values[0], values[-1], step=1, key=name)
        elif len(values) > 1:
            st.selectbox(name.capitalize(), values, key=name)
        chosen[name] = int(st.session_state[name])
    return chosen


def sign(workspace: Workspace) -> None:
    """The version, and the folder."""
    st.caption(f"Strobe {__version__}  \n{workspace.root}")
