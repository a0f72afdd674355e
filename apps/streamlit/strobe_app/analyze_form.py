"""The form that starts analyses of the chosen runs: analyzers with their settings, what would be computed, one job per run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from strobe import StrobeError, Workspace
from strobe.jobs.kinds import kind_of
from strobe.jobs.queue import JobStore
from strobe.jobs.worker import ensure_worker
from strobe_app import forms

ISOLATION = "Isolated analyzers run in processes of their own: one that hangs or crashes fails alone, and everything else is computed."


@st.fragment
def show(workspace: Workspace, runs: Sequence[str]) -> None:
    """The form, what it would compute, and the button."""
    if not runs:
        st.info("Choose runs in the table first.")
        return
    ready = {p.name: p for p in workspace.registry.all("analyzer") if p.state == "ready"}
    chosen = st.multiselect(
        "Analyzers",
        sorted(ready),
        key="analyze analyzers",
        placeholder="all that are not opt-in",
        format_func=lambda name: f"{name} ({ready[name].category})",
    )
    settings, fine = _settings(workspace, chosen)
    how = {"isolate": _isolate()}
    requests = (
        [{"runs": names, "analyzers": wanted, "settings": settings, **how} for names, wanted in shares(workspace, runs, chosen)] if fine else []
    )
    try:
        missing = _forecast(workspace, runs, chosen or None, settings) if fine else 0
    except StrobeError as e:
        st.error(str(e))
        return
    label = f"Analyze {len(runs)} run{'' if len(runs) == 1 else 's'}"
    if st.button(label, type="primary", disabled=not missing, key="analyze start", icon=":material/play_arrow:"):
        _start(workspace, requests)


def _isolate() -> str:
    """Whose analyzers run in processes of their own."""
    words = {"third-party": "other packages' analyzers", "all": "all analyzers", "none": "nothing"}
    return str(st.selectbox("Isolate", list(words), key="analyze isolate", format_func=words.__getitem__, help=ISOLATION))


def shares(workspace: Workspace, runs: Sequence[str], chosen: Sequence[str]) -> list[tuple[list[str], list[str] | None]]:
    """Which runs and analyzers make one job: a run each; and analyzers that compare runs look at all of them together."""
    names = list(chosen) or [p.name for p in workspace.registry.all("analyzer") if _default(p)]
    comparing = [name for name in names if workspace.registry.analyzer(name).scope == "runs"]
    alone = [name for name in names if name not in comparing]
    wanted = None if not chosen and not comparing else alone
    return [*([([run], wanted) for run in runs] if alone else []), *([(list(runs), comparing)] if comparing else [])]


def _default(plugin: Any) -> bool:
    """Usable, and not opt-in."""
    try:
        return not plugin.load().opt_in
    except StrobeError:
        return False


def _settings(workspace: Workspace, chosen: Sequence[str]) -> tuple[dict[str, dict[str, Any]] | None, bool]:
    """Analyzer -> its settings that differ from the defaults, and whether all can be read."""
    settings, fine = {}, True
    for name in chosen:
        cls = workspace.registry.analyzer(name)
        if not cls.model_fields:
            continue
        with st.expander(f"Settings of {name}"):
            st.caption(cls.summary())
            form = forms.show(cls, f"analyze {name}", sweep=False)
            form.check()
            if "" in form.problems:
                st.error(form.problems[""])
        fine = fine and not form.problems
        if form.values:
            settings[name] = {setting: values[0] for setting, values in form.values.items()}
    return settings or None, fine


def _forecast(workspace: Workspace, runs: Sequence[str], chosen: Sequence[str] | None, settings: dict[str, dict[str, Any]] | None) -> int:
    """Say what would be computed; returns how many cells."""
    preview = workspace.plan(list(runs), chosen, settings=settings)
    missing = sum(f.missing for f in preview.forecasts)
    excluded = sorted({f"{f.analyzer}: {f.why}" for f in preview.forecasts if f.state == "not applicable"}) if chosen else []
    if missing:
        passes = f"{preview.forwards:,} forward passes" if preview.forwards else "no forward pass"
        cells = sum(f.cells for f in preview.forecasts)
        st.markdown(f"**{missing:,} cells** are missing of {cells:,}: {passes}, {preview.checkpoints_read:,} checkpoints read")
    else:
        st.markdown("Everything asked for is stored already.")
    for why in excluded:
        st.caption(f"Not applicable: {why}")
    return missing


def _start(workspace: Workspace, requests: Sequence[dict[str, Any]]) -> None:
    kind, store = kind_of("analyze"), JobStore(workspace.root)
    try:
        prepared = [kind.prepare(workspace, request) for request in requests]
    except StrobeError as e:
        st.error(str(e))
        return
    for p in prepared:
        if not p.finished:
            store.submit("analyze", p)
    ensure_worker(workspace.root)
    st.rerun(scope="app")
