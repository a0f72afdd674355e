"""Try an analyzer on a run: a job of one step, and what came of it as a chart and a table."""

from __future__ import annotations

import streamlit as st

from strobe import StrobeError, Workspace
from strobe.hookspecs import STEP
from strobe.jobs.job import Job
from strobe.jobs.kinds import kind_of
from strobe.jobs.queue import JobStore
from strobe.jobs.worker import ensure_worker
from strobe.panels.cards import cards_of, resolve
from strobe.panels.moments import events_of, opening_step
from strobe.registration.registry import Plugin
from strobe.reports.default import generic
from strobe.reports.model import Report, Section
from strobe.runs.labels import unarchived
from strobe.runs.run import Run
from strobe_app import panels
from strobe_app.look import theme

EVERY = 1.0
"""Seconds between two looks at the job."""
ROWS = 500
"""Rows of the table that are shown."""


def show(workspace: Workspace, plugin: Plugin) -> None:
    """The run, the step, the button, and the result."""
    runs = [run for run in unarchived(workspace.runs()) if run.steps] if workspace.root.is_dir() else []
    st.markdown("**Try it**")
    if not runs:
        st.caption("There is no run with checkpoints to try it on: `strobe demo` makes one.")
        return
    key = f"try {plugin.name}"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("On run", [run.name for run in runs], key=f"{key} run", width=260)
        run = next(run for run in runs if run.name == name)
        step = None
        if plugin.category in STEP:
            first = run.steps.index(opening_step(run.steps, events_of(workspace, run)))
            step = st.selectbox("At step", run.steps, first, key=f"{key} step {name}", format_func=lambda s: f"{s:,}", width=140)
        label = "Try at one step" if step is not None else "Try on all steps"
        if st.button(label, type="primary", key=f"{key} go", icon=":material/play_arrow:"):
            _submit(workspace, plugin, run, step)
    _outcome(workspace, plugin, run, step)


def _submit(workspace: Workspace, plugin: Plugin, run: Run, step: int | None) -> None:
    request = {"runs": [run.name], "analyzers": [plugin.name], **({"steps": [step]} if step is not None else {})}
    store = JobStore(workspace.root)
    try:
        prepared = kind_of("analyze").prepare(workspace, request)
        job = store.submit("analyze", prepared)
        if job.ended and not prepared.finished:  # done before, failed or cancelled, and its results are not there
            job = store.retry(job.id)
    except StrobeError as e:
        st.session_state[_kept(plugin, run, step)] = str(e)
        return
    st.session_state[_kept(plugin, run, step)] = job.id
    ensure_worker(workspace.root)


def _kept(plugin: Plugin, run: Run, step: int | None) -> str:
    return f"tried {plugin.name} {run.name} {step}"


@st.fragment(run_every=EVERY)
def _waiting(workspace: Workspace, id: str) -> None:
    """The job while it lasts; then the page is drawn again."""
    job = JobStore(workspace.root).get(id)
    if job.ended:
        st.rerun(scope="app")
    st.progress(min(1.0, job.progress), text=f"{job.title}: {job.state}{f', {job.note}' if job.note else ''}")


def _outcome(workspace: Workspace, plugin: Plugin, run: Run, step: int | None) -> None:
    id = st.session_state.get(_kept(plugin, run, step))
    if id is None:
        return
    try:
        job = JobStore(workspace.root).get(id)
    except StrobeError:  # it was never queued, and this is why
        st.error(str(id))
        return
    if not job.ended:
        _waiting(workspace, job.id)
        return
    _failed(workspace, job)
    _drawn(workspace, plugin, run, step)


def _failed(workspace: Workspace, job: Job) -> None:
    if job.state != "done":
        st.error(job.error.strip().splitlines()[-1] if job.error else f"The job was {job.state}.")
        log = JobStore(workspace.root).log(job.id)
        if log.is_file():
            with st.expander("What it printed"):
                st.code("\n".join(log.read_text("utf-8", errors="replace").splitlines()[-100:]), language=None, wrap_lines=True)


def _drawn(workspace: Workspace, plugin: Plugin, run: Run, step: int | None) -> None:
    """The chart that fits the table, and its rows."""
    try:
        rows = workspace.table(plugin.name, runs=run, steps=step)
        panel = generic(workspace, run, plugin.name)
    except StrobeError as e:
        st.info(str(e))
        return
    cursor = {"run": run.name, "step": step if step is not None else run.steps[-1]}
    (card,) = cards_of(resolve(workspace, Report(title="x", sections=[Section(title="x", panels=[panel])]), run))
    drawing = None if card.problem else card.draw(cursor, theme())
    problem = card.problem if drawing is None else drawing.problem
    if drawing is not None and not problem:
        with st.container(border=True, key="card-try"):
            st.markdown(f"**{card.title}**")
            st.vega_lite_chart(panels.for_streamlit(drawing), theme=None, width="content", key="try chart")
            st.caption(card.footnote)
    elif problem:
        st.warning(problem, icon=":material/info:")
    flat = card.rows(cursor) if not problem else rows[[c for c in rows if rows[c].dtype != object or rows[c].map(lambda v: isinstance(v, str)).all()]]
    st.dataframe(flat.head(ROWS), hide_index=True)
    st.caption(f"{len(rows):,} rows{'' if step is None else f' at step {step:,}'}; the table is `{plugin.name}`")
