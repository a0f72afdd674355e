"""Which runs a report is about, and what is known of each: parameters, training, labels, events, and its row of `run_summary`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import StrobeError, UsageError
from ..panels.align import PHASES
from ..panels.moments import events_of
from ..runs.labels import label_of, unarchived
from ..runs.run import Run, readable
from .model import Report
from .query import parse

if TYPE_CHECKING:
    from ..workspace import Workspace

SUMMARIES = ("run_summary", "run_profile")
"""Tables with a row per run, the first first: what it lacks, the next may have."""
Facts = dict[str, Any]


def selected(workspace: Workspace, report: Report, run: Run) -> list[Run]:
    """The runs that a report compares: by name, those that its query holds for, or all of the family of the page's run; archived ones only by name.

    Raises `UsageError` for a name that is no run, and for a query that fits none.
    """
    if isinstance(report.runs, list) and report.runs:
        return [workspace.run(name) for name in dict.fromkeys(report.runs)]
    candidates = sorted(unarchived(workspace.runs()), key=_naturally)
    if not report.runs:
        return [r for r in candidates if r.record.family == run.record.family] or [run]
    query = parse(str(report.runs))
    known = facts(workspace, candidates, query.names)
    if found := [r for r in candidates if query.holds(known[r.name])]:
        return found
    raise UsageError(f"no run of {len(candidates)} fits {query.text!r}{_unknown(known, query.names)}")


def _naturally(run: Run) -> list[tuple[int, str]]:
    """p7 before p11."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", run.name) if part]


def facts(workspace: Workspace, runs: Sequence[Run], names: Iterable[str] | None = None) -> dict[str, Facts]:
    """Run -> what is known of it, the same names for all, None where it is not known. `names`: what is asked for, so that no more is read."""
    wanted = None if names is None else set(names)
    found = {run.name: _own(run) for run in runs}
    rest = None if wanted is None else wanted - {name for own in found.values() for name in own}
    if rest is None or rest:
        for name, row in _summaries(workspace, runs).items():
            found[name] = row | found[name]
    for run in runs:
        own = found[run.name]
        if (rest is None or rest & set(PHASES)) and any(own.get(event) is None for event in PHASES):
            own.update({event: at for event, at in events_of(workspace, run).items() if own.get(event) is None})
    for name, said in varying(runs).items():
        found[name]["varying"] = said
    every = dict.fromkeys(name for own in found.values() for name in own) | dict.fromkeys(_declared(workspace)) | dict.fromkeys(PHASES)
    return {run: {fact: own.get(fact) for fact in every} for run, own in found.items()}


def varying(runs: Sequence[Run]) -> dict[str, str]:
    """Run -> the parameters in which these runs differ, with its own values: `p=113, seed=3`; '' where nothing tells them apart."""
    own = {run.name: {**run.record.training, **readable(run.record.parameters)} for run in runs}
    names = dict.fromkeys(name for parameters in own.values() for name in parameters)
    differing = [n for n in names if len({repr(parameters.get(n)) for parameters in own.values()}) > 1]
    return {run: ", ".join(f"{n}={parameters[n]}" for n in differing if n in parameters) for run, parameters in own.items()}


def _own(run: Run) -> Facts:
    """What run.json and label.json say."""
    try:
        said = label_of(run)
        label = {"label": said.label, "tags": said.tags, "note": said.note, "archived": said.archived}
    except StrobeError:
        label = {}
    record = run.record
    known = {"run": run.name, "family": record.family, "state": record.state, "interventions": tuple(record.interventions), **label}
    return {**record.training, **readable(record.parameters), **known}


def _summaries(workspace: Workspace, runs: Sequence[Run]) -> dict[str, Facts]:
    """Run -> its row of the summary tables, as plain values."""
    import pandas as pd

    found: dict[str, Facts] = {run.name: {} for run in runs}
    for table in reversed(SUMMARIES):
        try:
            rows = workspace.table(table, runs=list(runs)).to_dict("records") if runs else []
        except StrobeError:
            continue
        for row in rows:
            known = {str(name): None if pd.api.types.is_scalar(value) and pd.isna(value) else value for name, value in row.items()}
            if str(row["run"]) in found:
                found[str(row["run"])].update({n: v for n, v in known.items() if v is not None or n not in found[str(row["run"])]})
    return found


def _declared(workspace: Workspace) -> list[str]:
    """The columns that the summary tables would have: a query may ask for one before it is computed."""
    names: list[str] = []
    for table in SUMMARIES:
        try:
            names += workspace.schema(table).columns
        except StrobeError:  # no such analyzer is installed
            continue
    return names


def _unknown(known: Mapping[str, Facts], names: Iterable[str]) -> str:
    """What a query asks for that no run has."""
    missing = [name for name in names if all(own[name] is None for own in known.values())]
    if not missing or not known:
        return ""
    return f"; {', '.join(missing)} is known of none: `strobe analyze {' '.join(known)} -a {SUMMARIES[0]}` computes what is said of whole runs"
