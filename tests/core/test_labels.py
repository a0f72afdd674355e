"""What people say about runs is kept beside them and moves nothing; what a deletion takes is listed first, and nothing else goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from strobe import Workspace
from strobe.cli import app
from strobe.errors import StrobeError, UsageError
from strobe.jobs.job import Prepared
from strobe.jobs.queue import JobStore
from strobe.runs import labels
from strobe.training.trainer import held


def files(root: Path) -> dict[str, int]:
    return {str(f.relative_to(root)): f.stat().st_size for f in root.rglob("*") if f.is_file()}


def say(root: Path, *words: str) -> str:
    done = CliRunner().invoke(app, [*words, "--workspace", str(root)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_what_is_said_about_a_run_is_kept_and_moves_nothing_else(toy: Path) -> None:
    before = files(toy)
    run = Workspace(toy).run("toy")
    assert labels.label_of(run) == labels.Label()
    labels.relabel(run, label=" the first ", tags=("b", "a", "b ", ""))
    labels.relabel(run, note="groks late")
    assert labels.label_of(Workspace(toy).run("toy")) == labels.Label(label="the first", tags=("a", "b"), note="groks late")
    assert {name: size for name, size in files(toy).items() if not name.endswith(labels.FILE)} == before


def test_a_wrong_value_and_a_broken_file_are_named(toy: Path) -> None:
    run = Workspace(toy).run("toy")
    with pytest.raises(UsageError, match="run toy: tags: tag 'a,b': a tag has no comma"):
        labels.relabel(run, tags=("a,b",))
    (run.folder / labels.FILE).write_text('{"labl": 1}')
    with pytest.raises(StrobeError, match=r"label\.json cannot be read \(labl: Extra inputs"):
        labels.label_of(run)
    assert labels.unarchived([run]) == [run]


def test_archived_runs_are_listed_only_when_asked_for(toy: Path) -> None:
    assert '"archived": true' in say(toy, "label", "toy", "--archive", "--tag", "old", "--json")
    assert "1 archived: `strobe runs --all`" in say(toy, "runs")
    assert json.loads(say(toy, "runs", "--json")) == []
    assert json.loads(say(toy, "runs", "--json", "--all"))[0]["tags"] == ["old"]
    say(toy, "label", "toy", "--unarchive", "--untag", "old", "--label", "mine")
    listed = json.loads(say(toy, "runs", "--json"))[0]
    assert (listed["tags"], listed["label"], listed["archived"]) == ([], "mine", False)


def test_a_deletion_takes_what_it_listed_and_nothing_else(toy: Path) -> None:
    workspace = Workspace(toy)
    other = workspace.train("modular_addition", name="other", training={"epochs": 2, "schedule": "every:1"}, p=5, d_model=8, n_heads=2, d_mlp=8)
    workspace.analyze(None, ["weight_norms", "phases"])
    (workspace.root / "strobe.db").unlink(missing_ok=True)
    before = files(toy)
    parts = labels.footprint(workspace, other)
    listed = {str(f.relative_to(toy)) for part in parts for f in ([*part.path.rglob("*")] if part.path != other.folder else part.path.iterdir())}
    labels.delete(workspace, other)
    gone = {name: size for name, size in before.items() if name not in files(toy)}
    assert gone.keys() == {name for name in listed if (name in before)}
    assert all("/other/" in name for name in gone)
    assert (sum(p.files for p in parts), sum(p.bytes for p in parts)) == (len(gone), sum(gone.values()))
    assert [r.name for r in workspace.runs()] == ["toy"]
    assert not list(toy.rglob("*other*"))


def test_a_run_that_something_works_on_is_not_deleted(toy: Path) -> None:
    workspace = Workspace(toy)
    run, store = workspace.run("toy"), JobStore(toy)
    with held(run), pytest.raises(StrobeError, match=r"run toy is being trained by process \d+ on"):
        labels.delete(workspace, run)
    job = store.submit("analyze", Prepared({"runs": ["x", "toy"]}, "analyze 2 runs: all analyzers", "", "key"))
    with pytest.raises(UsageError, match=f"strobe jobs cancel {job.id}"):
        labels.delete(workspace, run)
    store.cancel(job.id)
    labels.delete(workspace, run)
    assert workspace.runs() == []


def test_the_command_asks_before_it_deletes(toy: Path) -> None:
    refused = CliRunner().invoke(app, ["delete", "toy", "--workspace", str(toy)], input="n\n")
    assert "checkpoints" in refused.output
    assert (toy / "runs" / "toy" / "run.json").is_file()
    assert "toy is deleted" in say(toy, "delete", "toy", "--yes")
    assert not (toy / "runs" / "toy").exists()
