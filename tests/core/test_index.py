"""The index is what is on disk: whatever happens to the folders, looking again makes it so."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from strobe import Workspace
from strobe.cli import app
from strobe.errors import StrobeError, UsageError
from strobe.jobs.job import Prepared
from strobe.jobs.queue import JobStore
from strobe.storage.database import NAME
from strobe.storage.index import Index

TABLES = ("runs", "last_metrics", "phases", "results")


@pytest.fixture
def workspace(toy: Path) -> Workspace:
    """The run `toy`, analyzed a little."""
    workspace = Workspace(toy)
    workspace.analyze("toy", ["weight_norms", "phases"])
    return workspace


def everything(workspace: Workspace) -> dict[str, list[dict[str, Any]]]:
    index = Index(workspace)
    rows = {name: index.table(name) for name in TABLES}
    return {name: sorted(found, key=lambda row: json.dumps(row, sort_keys=True)) for name, found in rows.items()}


def select(workspace: Workspace, query: str) -> list[Sequence[Any]]:
    """What anyone sees who opens the file."""
    connection = sqlite3.connect(workspace.root / NAME)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_it_says_what_is_there(workspace: Workspace) -> None:
    found = Index(workspace).refresh()
    assert (found.runs, found.results, found.problems) == (1, 2, ())
    ((run, family, state, steps, first, last, parameters),) = select(
        workspace, "select run, family, state, steps, first_step, last_step, parameters from runs"
    )
    assert (run, family, state, steps, first, last) == ("toy", "modular_addition", "complete", 5, 0, 20)
    assert json.loads(parameters)["p"] == 7
    metrics = workspace.run("toy").metrics
    assert dict(select(workspace, "select metric, value from last_metrics where step = 20")) == pytest.approx(
        {name: metrics[name].iloc[-1] for name in metrics.columns if name != "step"}
    )
    happened = workspace.table("phases", runs="toy").dropna(subset="at_step")
    assert sorted(select(workspace, "select event, at_step from phases")) == sorted(zip(happened["event"], happened["at_step"], strict=True))
    stored = {row["analyzer"]: row for row in workspace.stored()}
    for analyzer, key, steps, rows, size in select(workspace, "select analyzer, substr(key, 1, 16), steps, rows, bytes from results"):
        assert {"key": key, "steps": steps, "rows": rows, "bytes": size}.items() <= stored[analyzer].items()


def test_only_what_changed_is_read(workspace: Workspace) -> None:
    assert Index(workspace).refresh().read == 3, "a run and two results"
    assert Index(workspace).refresh().read == 0
    workspace.analyze("toy", ["dominant_frequencies"])
    assert Index(workspace).refresh().read == 1
    workspace.train("toy", training={"epochs": 25})
    assert Index(workspace).refresh().read == 1
    assert Index(workspace).table("runs")[0]["last_step"] == 25


def test_what_is_gone_is_forgotten(workspace: Workspace) -> None:
    Index(workspace).refresh()
    shutil.rmtree(workspace.root / "results" / "phases")
    Index(workspace).refresh()
    assert [row["analyzer"] for row in Index(workspace).table("results")] == ["weight_norms"]
    assert Index(workspace).table("phases") == []
    shutil.rmtree(workspace.root / "runs" / "toy")
    shutil.rmtree(workspace.root / "results")
    found = Index(workspace).refresh()
    assert (found.runs, found.results) == (0, 0)
    assert everything(workspace) == {name: [] for name in TABLES}


def test_of_two_versions_of_the_phases_the_latest_counts(workspace: Workspace) -> None:
    Index(workspace).refresh()
    before = Index(workspace).table("phases")
    assert before
    workspace.analyze("toy", ["phases"], settings={"phases": {"memorised_below": 1e9}})
    Index(workspace).refresh()
    events = {row["event"]: row["at_step"] for row in Index(workspace).table("phases")}
    assert events["memorised"] == 0
    assert len(Index(workspace).table("results")) == 3
    shutil.rmtree(max((workspace.root / "results" / "phases" / "toy" / "_").iterdir(), key=lambda f: f.stat().st_mtime_ns))
    Index(workspace).refresh()
    assert Index(workspace).table("phases") == before


def test_rebuilding_gives_the_same_and_keeps_jobs(workspace: Workspace) -> None:
    job = JobStore(workspace.root).submit("tiny", Prepared({}, "count", "", "a"))
    Index(workspace).refresh()
    before = everything(workspace)
    connection = sqlite3.connect(workspace.root / NAME)
    connection.executescript("update runs set steps = 99; delete from results; insert into last_metrics values('gone', 'train_loss', 1, 0.5);")
    connection.close()
    assert everything(workspace) != before
    found = CliRunner().invoke(app, ["reindex", "--workspace", str(workspace.root)])
    assert (found.exit_code, found.output.strip()) == (0, "1 runs, 2 results")
    assert everything(workspace) == before
    assert [j.id for j in JobStore(workspace.root).all()] == [job.id]


def test_without_the_file_it_is_made_again(workspace: Workspace) -> None:
    Index(workspace).refresh()
    before = everything(workspace)
    for file in workspace.root.glob(f"{NAME}*"):
        file.unlink()
    Index(workspace).refresh()
    assert everything(workspace) == before


@pytest.mark.parametrize(
    ("damage", "says"),
    [("runs/toy/run.json", "run.json"), ("runs/toy/checkpoints/manifest.json", "toy"), ("results/weight_norms/toy/_/*/whole.parquet", "damaged")],
)
def test_what_cannot_be_read_is_named_and_harms_no_other(workspace: Workspace, damage: str, says: str) -> None:
    (file,) = workspace.root.glob(damage)
    file.write_text("{ no")
    found = Index(workspace).refresh()
    assert (found.runs, found.results) == (1, 2)
    (problem,) = found.problems
    assert says in problem
    assert f"cannot be read: {problem}" in CliRunner().invoke(app, ["reindex", "--workspace", str(workspace.root)]).output


def test_sql_sees_runs_jobs_and_results(workspace: Workspace) -> None:
    JobStore(workspace.root).submit("tiny", Prepared({}, "count", "toy", "a"))
    loss = workspace.run("toy").metrics["train_loss"].iloc[-1]
    (run,) = workspace.sql("select run, steps, train_loss, parameters ->> '$.p' as p from runs").to_dict("records")
    assert run == {"run": "toy", "steps": 5, "train_loss": pytest.approx(loss), "p": "7"}
    joined = workspace.sql("select j.title, j.state, r.last_step from jobs j join runs r on j.run = r.run")
    assert joined.to_dict("records") == [{"title": "count", "state": "queued", "last_step": 20}]
    counted = workspace.sql("select analyzer, rows from results order by analyzer").to_dict("records")
    assert counted == [{"analyzer": n, "rows": len(workspace.table(n))} for n in ("phases", "weight_norms")]
    latest = workspace.sql("select max(m.step) as step from metrics m join runs r on m.run = r.run")
    assert latest["step"].tolist() == [20]


def test_sql_of_an_empty_workspace_is_empty(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for name in ("runs", "jobs", "results"):
        assert workspace.sql(f"select * from {name}").empty
    with pytest.raises(UsageError, match="there are: _failures, jobs, metrics, results, runs"):
        workspace.sql("select * from nothing")


def test_an_unknown_table_is_named(workspace: Workspace) -> None:
    with pytest.raises(StrobeError, match="there are runs, last_metrics, phases, results"):
        Index(workspace).table("sources")
