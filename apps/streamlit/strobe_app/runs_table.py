"""The list of runs: what they are, how they ended, what happened in them, which analyses are missing. Sorted and searched in the browser."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import streamlit as st

from strobe import StrobeError, Workspace
from strobe.analysis.plan import Forecast
from strobe.runs.labels import Label, label_of
from strobe.runs.run import readable
from strobe.storage.index import Index
from strobe_app.forms import shown

LOSSES = ("train_loss", "test_loss", "test_accuracy")


@dataclass
class Row:
    """A run as the list shows it. `gaps`: analyzers that apply and whose cells are not all stored; None when that cannot be known."""

    name: str
    family: str
    state: str
    parameters: Mapping[str, Any]
    steps: int
    last_step: int | None
    bytes: int
    label: Label
    metrics: Mapping[str, float] = field(default_factory=dict)
    events: Mapping[str, int] = field(default_factory=dict)
    gaps: tuple[str, ...] | None = None
    applicable: int = 0
    problem: str = ""

    def matches(self, words: Sequence[str]) -> bool:
        """Whether every word is found in what the row says; `p=113` means exactly that."""
        pairs = {f"{k}={shown(v)}" for k, v in self.parameters.items()}
        text = " ".join([self.name, self.family, self.state, self.label.label, *self.label.tags, self.label.note, *self.events]).lower()
        return all(word in pairs if "=" in word else word.lower() in text for word in words)


def rows(workspace: Workspace) -> list[Row]:
    """All runs, from the index of `strobe.db`, brought up to date."""
    index = Index(workspace)
    index.refresh()
    metrics, events = {}, {}
    for entry in index.table("last_metrics"):
        metrics.setdefault(entry["run"], {})[entry["metric"]] = entry["value"]
    for entry in sorted(index.table("phases"), key=lambda e: e["at_step"]):
        events.setdefault(entry["run"], {}).setdefault(entry["event"], entry["at_step"])
    found = [_row(workspace, entry, metrics.get(entry["run"], {}), events.get(entry["run"], {})) for entry in index.table("runs")]
    _add_gaps(workspace, [row for row in found if not row.problem])
    return found


def _row(workspace: Workspace, entry: Mapping[str, Any], metrics: Mapping[str, float], events: Mapping[str, int]) -> Row:
    label, problem, parameters = Label(), entry["problem"], json.loads(entry["parameters"] or "{}")
    if not problem:
        try:
            run = workspace.run(entry["run"])
            parameters = readable(run.record.parameters)  # in the family's order
            label = label_of(run)
        except StrobeError as e:
            problem = str(e)
    said = (
        entry["run"],
        entry["family"] or "",
        entry["state"] or "unreadable",
        parameters,
        entry["steps"] or 0,
        entry["last_step"],
        entry["bytes"] or 0,
    )
    return Row(*said, label, metrics, events, problem=problem)


# --- gaps ------------------------------------------------------------------------------------------------------------------------------------


def _add_gaps(workspace: Workspace, found: Sequence[Row]) -> None:
    """What `strobe plan` says of every analyzer that is not opt-in; asked again only for runs of which something was written since."""
    known = _known(str(workspace.root))
    marks = {row.name: _mark(workspace, row.name) for row in found}
    changed = [name for name, mark in marks.items() if name not in known or known[name][0] != mark]
    if changed:
        with st.spinner("Looking which analyses are missing"):
            forecasts = _forecasts(workspace, changed)
        for name in changed:
            of_run = [f for f in forecasts if f.run == name]
            gaps = tuple(sorted(f.analyzer for f in of_run if f.missing)) if of_run else None
            known[name] = (marks[name], gaps, sum(f.state != "not applicable" for f in of_run))
    for row in found:
        _, row.gaps, row.applicable = known[row.name]


@st.cache_resource(show_spinner=False)
def _known(root: str) -> dict[str, tuple[Any, tuple[str, ...] | None, int]]:
    """Run -> its mark when it was looked at, gaps, and how many analyzers apply: shared by all who look at a workspace."""
    return {}


def _forecasts(workspace: Workspace, runs: Sequence[str]) -> Sequence[Forecast]:
    """Of all runs at once; one by one when that fails: a run whose family is not installed must not take the others with it."""
    try:
        return workspace.plan(runs).forecasts
    except StrobeError:
        return [] if len(runs) == 1 else [f for run in runs for f in _forecasts(workspace, [run])]


def _mark(workspace: Workspace, run: str) -> tuple[int, ...]:
    """Changes with whatever the gaps of a run depend on."""
    root = workspace.root
    watched = [
        *root.glob(f"runs/{run}/run.json"),
        *root.glob(f"runs/{run}/checkpoints/manifest.json"),
        *root.glob(f"runs/{run}/metrics/*.parquet"),
        *root.glob(f"results/*/{run}/*/*/*.parquet"),
        *root.glob("results/*/_runs/*/*/*.parquet"),
    ]
    stats = []
    for file in watched:
        try:
            stats.append(file.stat().st_mtime_ns)
        except OSError:  # merged away meanwhile
            continue
    return (len(stats), max(stats, default=0))


# --- on the page -----------------------------------------------------------------------------------------------------------------------------


def show(found: Sequence[Row]) -> list[str]:
    """The filter and the table; returns the names of the chosen runs."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input(
            "Filter", key="runs filter", placeholder="words of names, tags, notes, events; p=113", width=380, icon=":material/search:"
        )
        archived = sum(row.label.archived for row in found)
        every = st.toggle(f"Archived ({archived})", key="runs archived") if archived else False
    listed = [row for row in found if (every or not row.label.archived) and row.matches((words or "").split())]
    for row in listed:
        if row.problem:
            st.error(row.problem)
    if not listed:
        st.info(f"None of {len(found)} runs is shown: change the filter{', or show archived ones' if archived and not every else ''}.")
        return []
    names = [row.name for row in listed]
    _table(listed, names)
    return _chosen(names)


def _table(listed: Sequence[Row], names: list[str]) -> None:
    """Clicks on rows and the list of chosen runs are one choice; the table is made anew when the rows or the choice change elsewhere."""
    picked = [names.index(name) for name in st.session_state.get("runs chosen", []) if name in names]
    key = f"runs table {hash(tuple(names))} {st.session_state.get('runs moved', 0)}"
    frame = table(listed)
    st.dataframe(
        frame,
        key=key,
        hide_index=True,
        height=min(38 + 35 * len(frame), 423),
        on_select=lambda: st.session_state.update({"runs chosen": [names[i] for i in st.session_state[key].selection.rows]}),
        selection_mode="multi-row",
        selection_default={"selection": {"rows": picked, "columns": [], "cells": []}},
        column_config=_columns(frame),
    )


def _chosen(names: Sequence[str]) -> list[str]:
    kept = [name for name in st.session_state.get("runs chosen", []) if name in names]
    st.session_state["runs chosen"] = kept
    return list(
        st.multiselect(
            "Chosen runs",
            names,
            key="runs chosen",
            placeholder="none yet: click rows of the table, or type",
            on_change=lambda: st.session_state.update({"runs moved": st.session_state.get("runs moved", 0) + 1}),
        )
    )


def table(listed: Sequence[Row]) -> pd.DataFrame:
    """The rows; parameters in which the listed runs differ have a column each, and columns that say nothing are left out."""
    differing = differing_parameters(listed)
    frame = pd.DataFrame([_cells(row, differing) for row in listed])
    return frame.drop(columns=[c for c in ("label", "tags", "note", "events", "missing analyses") if not frame[c].astype(bool).any()])


def _cells(row: Row, differing: Collection[str]) -> dict[str, Any]:
    return {
        "run": row.name,
        "label": row.label.label,
        "tags": list(row.label.tags),
        **{name: row.parameters.get(name) for name in differing},
        "state": "archived" if row.label.archived else row.state,
        **{name.replace("_", " "): row.metrics.get(name) for name in LOSSES},
        "events": ", ".join(f"{event} {at:,}" for event, at in row.events.items()),
        "missing": None if row.gaps is None else len(row.gaps),
        "of": row.applicable if row.gaps is not None else None,
        "note": row.label.note,
        "steps": row.steps,
        "last step": row.last_step,
        "size": row.bytes,
        "family": row.family,
        "missing analyses": ", ".join(row.gaps or ()),
    }


def differing_parameters(listed: Sequence[Row]) -> list[str]:
    """Parameters with more than one value, in the order of their families."""
    names = dict.fromkeys(name for row in listed for name in row.parameters)
    return [name for name in names if len({json.dumps(row.parameters[name]) for row in listed if name in row.parameters}) > 1]


def _columns(frame: pd.DataFrame) -> dict[str, Any]:
    config = st.column_config
    numbers = {name: config.NumberColumn(name, format="%.3g") for name in ("train loss", "test loss")}
    return {
        **{name: column for name, column in numbers.items() if name in frame},
        "run": config.TextColumn("run", pinned=True),
        "label": config.TextColumn("label", width=170),
        "tags": config.ListColumn("tags", width=150),
        "events": config.TextColumn("events", width=190),
        "note": config.TextColumn("note", width=200),
        "test accuracy": config.NumberColumn("test accuracy", format="percent"),
        "missing analyses": config.TextColumn(
            "missing analyses", width="medium", help="analyzers whose cells are not all stored; double-click to read"
        ),
        "MB": config.NumberColumn("MB", help="of checkpoints"),
    }
