"""Jobs, live: what runs and how far it is, what waits, what has ended; cancel, retry, logs."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from strobe import StrobeError, Workspace
from strobe.cli.jobs import duration, percent, state_text
from strobe.jobs.job import Job
from strobe.jobs.queue import JobStore
from strobe.jobs.worker import ensure_worker

EVERY, RARELY = 1.0, 6.0
"""Seconds between two looks: while there are jobs that have not ended, and while nothing moves. At the second look after a click on "Download",
Streamlit throws away what it has made for it, fetched or not."""
RECENT = 600.0
"""What ended at most this many seconds before the page was opened is shown without asking."""
MOST = 12
"""Rows before the others are only counted."""
LINES = 200
"""Lines of a log that are shown, the last ones."""
MARKS = {"done": ":green[done]", "failed": ":red[failed]", "cancelled": ":orange[cancelled]"}


def show(workspace: Workspace) -> None:
    """The jobs of a workspace, nothing when there are none."""
    moving = any(not job.ended for job in JobStore(workspace.root).all())
    st.fragment(_show, run_every=EVERY if moving else RARELY)(workspace)


def _show(workspace: Workspace) -> None:
    store = JobStore(workspace.root)
    jobs = store.all()
    _refresh_page(jobs)
    if not jobs:
        return
    active = sorted((j for j in jobs if not j.ended), key=lambda j: j.state != "running")
    ended = sorted((j for j in jobs if j.ended), key=lambda j: -(j.finished or 0))
    opened = st.session_state.setdefault("jobs since", time.time() - RECENT)
    recent = [j for j in ended if (j.finished or 0) >= opened]
    with st.container(border=True, key="jobs", gap="small"):
        with st.container(gap="small"):  # what comes and goes in it moves no row
            _head(store, active, ended)
        if len(active) + len(recent) <= MOST:  # each row keeps its place: nobody cancels what has just come to stand there
            _rows(store, [job for job in jobs if job in active or job in recent], "")
        else:
            _rows(store, active, "waiting")
            _rows(store, recent, "ended lately")
        _older(store, [j for j in ended if j not in recent])


def _refresh_page(jobs: Sequence[Job]) -> None:
    """The list of runs is drawn anew when a job has started or ended: then there are other runs, or other results."""
    states = {job.id: (job.state, job.attempt) for job in jobs}
    before = st.session_state.get("jobs states")
    st.session_state["jobs states"] = states
    if before is not None and before != states:
        st.rerun(scope="app")


def _head(store: JobStore, active: Sequence[Job], ended: Sequence[Job]) -> None:
    running = sum(job.state == "running" for job in active)
    said = f"**Jobs**: {running} running, {len(active) - running} waiting, {len(ended)} ended"
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(said, width="content")
        if len(active) > 1:
            st.button("Cancel all", key="jobs cancel all", on_click=_cancel, args=(store, [job.id for job in active]), icon=":material/stop:")
    if active and not store.workers():
        with st.container(horizontal=True, vertical_alignment="center"):
            st.warning("No worker lives, so nothing moves.", width="stretch")
            st.button("Start one", key="jobs worker", on_click=ensure_worker, args=(store.root,))


def _rows(store: JobStore, jobs: Sequence[Job], what: str) -> None:
    for job in jobs[:MOST]:
        _row(store, job)
    if len(jobs) > MOST:
        st.caption(f"and {len(jobs) - MOST} more {what}: `strobe jobs list`")


def _older(store: JobStore, jobs: Sequence[Job]) -> None:
    if jobs:
        with st.expander(f"Ended earlier: {len(jobs)}", key="jobs earlier", on_change="rerun") as earlier:
            if earlier.open:
                _rows(store, jobs, "ended earlier")


def _row(store: JobStore, job: Job) -> None:
    with st.container(key=f"job-{job.id}", gap="xsmall"):
        name, bar, action, log = st.columns([4, 5, 1.3, 1], vertical_alignment="center")
        name.markdown(f"{job.title}  \n:small[{MARKS.get(state_text(job), state_text(job))}{_note(job)}]")
        bar.progress(min(1.0, job.progress), text=said(job))
        with action:
            _action(store, job)
        with log:
            _log(store, job)
        if job.error:
            st.error(job.error.strip().splitlines()[-1])


def _note(job: Job) -> str:
    attempt = f", attempt {job.attempt}" if job.attempt > 1 else ""
    return f"{attempt}{f', {job.note}' if job.note and job.state == 'running' else ''}"


def said(job: Job) -> str:
    """Progress in words: `41 %, 310 per second, 2 min 05 s left`; the time it took once it has ended."""
    parts = [percent(job.progress)]
    if job.total and job.done is not None and not job.ended:
        parts.append(f"{min(job.done, job.total):,} of {job.total:,}")
    if job.rate is not None:
        parts.append(f"{job.rate:,.3g} per second")
    if job.seconds_left is not None:
        parts.append(f"{duration(job.seconds_left)} left")
    if job.ended and job.started and job.finished:
        parts.append(f"after {duration(job.finished - job.started)}")
    return ", ".join(parts)


def _action(store: JobStore, job: Job) -> None:
    if not job.ended:
        st.button("Cancel", key=f"cancel {job.id}", on_click=_cancel, args=(store, [job.id]), disabled=bool(job.cancel), width="stretch")
    elif job.state != "done":
        st.button("Retry", key=f"retry {job.id}", on_click=_retry, args=(store, job.id), width="stretch")


def _cancel(store: JobStore, jobs: Sequence[str]) -> None:
    for job in jobs:
        store.cancel(job)


def _retry(store: JobStore, job: str) -> None:
    try:
        store.retry(job)
        ensure_worker(store.root)
    except StrobeError as e:  # another job of the same request, for one
        st.toast(str(e), icon=":material/info:")


def _log(store: JobStore, job: Job) -> None:
    with st.popover("Log", key=f"log {job.id}", on_change="rerun", width="stretch") as log:
        if log.open:
            file = store.log(job.id)
            text = file.read_text("utf-8", errors="replace") if file.is_file() else ""
            lines = text.splitlines()
            if len(lines) > LINES:
                st.caption(f"The last {LINES} of {len(lines):,} lines; all of it: {file}")
            st.code("\n".join(lines[-LINES:]) or "It has printed nothing yet.", language=None, wrap_lines=True)
