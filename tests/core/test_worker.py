"""Workers as processes: each job once, and nothing is lost or written twice when one is killed or stopped."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from strobe import Workspace
from strobe.cli import app
from strobe.jobs.handle import JobHandle
from strobe.jobs.job import Prepared
from strobe.jobs.processes import runs, start_mark
from strobe.jobs.queue import JobStore
from strobe.jobs.worker import ensure_worker

TINY = Path(__file__).with_name("tiny_jobs.py")
PATIENCE = 120.0
"""Seconds a test waits for what should take a fraction of one: machines are slow, and no test is about speed."""


class Event(NamedTuple):
    """A line that a tiny job wrote."""

    job: str
    attempt: int
    pid: int
    at: float
    text: str


Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


@pytest.fixture
def store(root: Path) -> JobStore:
    return JobStore(root)


@pytest.fixture
def start(root: Path) -> Iterator[Start]:
    """`start(parallel=..., lease=...)` starts a worker; whatever is left of them in the end is a failure of the test."""
    workers: list[subprocess.Popen[bytes]] = []

    def one(**options: float) -> subprocess.Popen[bytes]:
        given = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        root.mkdir(exist_ok=True)
        with (root / "workers.log").open("ab") as log:
            call = [sys.executable, str(TINY), "work", str(root), *given]
            workers.append(subprocess.Popen(call, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT))
        return workers[-1]

    yield one
    for worker in workers:
        if worker.poll() is None:
            worker.send_signal(signal.SIGCONT)
            worker.terminate()
        worker.wait(PATIENCE)
    until(lambda: not processes_of(root), "no process is left")


def processes_of(root: Path) -> list[str]:
    """Command lines of the processes that name a workspace."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(root) in line and folder.name != str(os.getpid()):
            found.append(f"{folder.name} {line}")
    return found


def until(true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"in {PATIENCE:g} s it did not happen that {what}"
        time.sleep(0.02)


def submit(store: JobStore, name: str = "a", **request: object) -> JobHandle:
    return JobHandle(store, store.submit("tiny", Prepared({"n": 3, **request}, f"count {name}", "", name)).id)


def events(store: JobStore, job: str = "") -> list[Event]:
    file = store.root / "events"
    lines = [line.split(" ", 4) for line in file.read_text().splitlines()] if file.exists() else []
    return [Event(i, int(attempt), int(pid), float(at), text) for i, attempt, pid, at, text in lines if job in ("", i)]


def counting(store: JobStore, job: JobHandle, attempt: int = 1) -> Event:
    """Wait until an attempt has begun to count; its first count."""
    until(lambda: any(e.attempt == attempt and e.text.startswith("count") for e in events(store, job.id)), f"attempt {attempt} of {job.id} counts")
    return next(e for e in events(store, job.id) if e.attempt == attempt and e.text.startswith("count"))


def test_four_workers_sixty_jobs_each_runs_exactly_once(store: JobStore, start: Start) -> None:
    jobs = [submit(store, str(i), n=2) for i in range(60)]
    workers = [start(parallel=1, idle=0.3) for _ in range(4)]
    for job in jobs:
        assert job.wait(PATIENCE) == "done"
    assert Counter(e.job for e in events(store) if e.text == "start 0") == {job.id: 1 for job in jobs}
    assert Counter((e.job, e.text) for e in events(store) if e.text == "count 2") == {(job.id, "count 2"): 1 for job in jobs}
    assert {(job.job.attempt, job.progress) for job in jobs} == {(1, 1.0)}
    assert len({job.job.owner for job in jobs}) == 4, "all of them worked"
    assert [worker.wait(PATIENCE) for worker in workers] == [0, 0, 0, 0], "they end when the queue stays empty"
    assert store.workers() == []


def test_progress_rises_with_every_count_and_ends_at_one(store: JobStore, start: Start) -> None:
    job = submit(store, n=6, seconds=0.1)
    start(parallel=1)
    seen = [0.0]
    while not (now := job.job).ended:
        seen.append(now.progress)
        time.sleep(0.01)
    assert seen == sorted(seen)
    assert {round(p, 6) for p in seen} <= {round(k / 7, 6) for k in range(7)}
    assert len(set(seen)) > 3, "it was seen to move"
    assert (job.state, job.progress, job.job.done, job.job.total) == ("done", 1.0, 6, 6)
    assert "counted to 6" in job.logs()
    assert "attempt 1" in job.logs()


def test_the_job_of_a_killed_worker_is_taken_over_and_goes_on(store: JobStore, start: Start) -> None:
    job = submit(store, n=12, seconds=0.1)
    first = start(parallel=1, lease=2)
    child = counting(store, job)
    mark = start_mark(child.pid)
    first.kill()
    first.wait(PATIENCE)
    until(lambda: not runs(child.pid, mark), "the child of a killed worker ends")
    reached = events(store, job.id)[-1]
    before = job.progress
    start(parallel=1, lease=2)
    counting(store, job, attempt=2)
    assert job.progress > before
    assert job.wait(PATIENCE) == "done"
    second = [e for e in events(store, job.id) if e.attempt == 2]
    assert second[0].text == reached.text.replace("count", "start"), "from where the first one stopped"
    assert [e.text for e in events(store, job.id) if e.text.startswith("count")] == [f"count {k}" for k in range(1, 13)], (
        "nothing twice, nothing left out"
    )
    assert (job.job.attempt, job.progress) == (2, 1.0)


@pytest.mark.parametrize("both", [False, True], ids=["the worker", "the worker and its child"])
def test_what_is_stopped_longer_than_its_lease_loses_the_job(store: JobStore, start: Start, both: bool) -> None:
    job = submit(store, n=20, seconds=0.2)  # longer than a lease
    first = start(parallel=1, lease=2)
    child = counting(store, job)
    mark = start_mark(child.pid)
    first.send_signal(signal.SIGSTOP)
    if both:
        os.kill(child.pid, signal.SIGSTOP)
    start(parallel=1, lease=2)
    taken = counting(store, job, attempt=2)
    assert not runs(child.pid, mark), "whoever takes over ends what is left"
    first.send_signal(signal.SIGCONT)
    assert job.wait(PATIENCE) == "done"
    assert (job.job.attempt, job.progress) == (2, 1.0)
    assert [e for e in events(store, job.id) if e.attempt == 1 and e.at > taken.at] == [], "it wrote nothing afterwards"
    after = submit(store, "b")
    assert after.wait(PATIENCE) == "done"
    until(lambda: len(store.workers()) == 2, "the first worker is back at work")


def test_a_child_whose_worker_is_stopped_ends_by_itself(store: JobStore, start: Start) -> None:
    job = submit(store, n=200, seconds=0.1)
    worker = start(parallel=1, lease=2)
    child = counting(store, job)
    mark = start_mark(child.pid)
    worker.send_signal(signal.SIGSTOP)
    until(lambda: not runs(child.pid, mark), "the child ends with its lease, though nobody has taken the job")
    assert job.job.abandoned
    job.cancel()
    assert job.state == "cancelled"
    worker.send_signal(signal.SIGCONT)
    assert submit(store, "b").wait(PATIENCE) == "done"
    assert job.state == "cancelled"


def test_cancelling_ends_the_child_soon(store: JobStore, start: Start) -> None:
    job = submit(store, n=1000, seconds=0.1)
    start(parallel=1)
    child = counting(store, job)
    mark = start_mark(child.pid)
    before = time.monotonic()
    job.cancel()
    assert job.wait(PATIENCE) == "cancelled"
    assert not runs(child.pid, mark)
    assert time.monotonic() - before < 5, "within a second on an idle machine"
    assert job.progress < 1
    assert submit(store, "b").wait(PATIENCE) == "done", "the worker goes on"


def test_a_failed_job_says_why_and_a_retry_goes_on(store: JobStore, start: Start) -> None:
    job = submit(store, n=4, fail_at=3)
    start(parallel=1)
    assert job.wait(PATIENCE) == "failed"
    assert job.job.error == "ValueError: cannot count to 3"
    assert "Traceback" in job.logs()
    assert 0 < job.progress < 1
    (store.root / "mended").touch()
    job.retry()
    assert job.wait(PATIENCE) == "done"
    assert [e.text for e in events(store, job.id)] == ["start 0", "count 1", "count 2", "start 2", "count 3", "count 4"]
    assert (job.progress, job.job.error) == (1.0, "")


def test_a_child_that_is_killed_is_a_failure_that_names_the_signal(store: JobStore, start: Start) -> None:
    job = submit(store, n=1000, seconds=0.1)
    start(parallel=1)
    os.kill(counting(store, job).pid, signal.SIGKILL)
    assert job.wait(PATIENCE) == "failed"
    assert "signal 9" in job.job.error


def test_a_worker_that_is_told_to_end_puts_its_job_back(store: JobStore, start: Start) -> None:
    job = submit(store, n=6, seconds=0.1)
    first = start(parallel=1)
    child = counting(store, job)
    mark = start_mark(child.pid)
    first.terminate()
    assert first.wait(PATIENCE) == 0
    assert job.state == "queued"
    assert not runs(child.pid, mark)
    start(parallel=1)
    assert job.wait(PATIENCE) == "done"
    assert job.job.attempt == 2


def test_one_worker_runs_several_at_once(store: JobStore, start: Start) -> None:
    jobs = [submit(store, str(i), n=5, seconds=0.2) for i in range(3)]
    start(parallel=3)
    for job in jobs:
        assert job.wait(PATIENCE) == "done"
    spans = [(min(e.at for e in events(store, j.id)), max(e.at for e in events(store, j.id))) for j in jobs]
    assert max(begin for begin, _ in spans) < min(end for _, end in spans)


def test_a_background_worker_is_started_once_and_goes_when_there_is_nothing_to_do(store: JobStore, root: Path) -> None:
    job = submit(store, n=2, seconds=0.2)
    assert ensure_worker(root, parallel=1, idle=0.5, program=(str(TINY),))
    assert not ensure_worker(root, parallel=1, idle=0.5, program=(str(TINY),)), "one lives already"
    assert job.wait(PATIENCE) == "done"
    until(lambda: not processes_of(root), "the worker ends")
    assert store.workers() == []
    assert "done" in (root / "jobs" / "worker.log").read_text()


# --- the real kinds ------------------------------------------------------------------------------------------------------------------------

TOY = {"p": 7, "d_model": 8, "n_heads": 2, "d_mlp": 16, "fraction": 0.5}


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Workspace, Start]]:
    """A workspace of its own and `start`, which starts `strobe worker` there."""
    workspace, workers = Workspace(tmp_path / "real"), []

    def one(lease: float = 15) -> subprocess.Popen[bytes]:
        call = [sys.executable, "-m", "strobe.jobs.worker", "work", str(workspace.root), "--parallel", "1", "--lease", str(lease)]
        workers.append(subprocess.Popen(call, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
        return workers[-1]

    yield workspace, one
    for worker in workers:
        worker.terminate()
        worker.wait(PATIENCE)
    until(lambda: not processes_of(workspace.root), "no process is left")


@pytest.mark.slow
def test_train_analyze_and_export_as_jobs(real: tuple[Workspace, Start], tmp_path: Path) -> None:
    workspace, start = real
    training = {"epochs": 20, "schedule": "every:5", "lr": 1e-2}
    train = workspace.submit("train", start=False, target="modular_addition", name="toy", training=training, **TOY)
    start()
    assert train.wait(PATIENCE) == "done", train.logs()
    assert workspace.run("toy").steps == (0, 5, 10, 15, 20)
    assert (train.progress, train.job.done, train.job.total) == (1.0, 20, 20)
    analyze = workspace.submit("analyze", start=False, runs="toy", analyzers=["weight_norms", "loss_and_accuracy", "phases"])
    assert analyze.wait(PATIENCE) == "done", analyze.logs()
    assert len(workspace.table("loss_and_accuracy", runs="toy")["step"].unique()) == 5
    assert (analyze.progress, analyze.job.done, analyze.job.total) == (1.0, 11, 11), "two step tables of five, and one derived"
    report = tmp_path / "small.yaml"
    report.write_text("title: Small\nsections:\n  - title: All\n    panels:\n      - renderer: loss_curves\n")
    export = workspace.submit("export", start=False, report=str(report), run="toy", output=str(tmp_path / "toy.html"))
    assert export.wait(PATIENCE) == "done", export.logs()
    assert "Small" in (tmp_path / "toy.html").read_text("utf-8")
    (row,) = workspace.sql("select state, steps from runs").to_dict("records")
    assert row == {"state": "complete", "steps": 5}
    assert list(workspace.sql("select state from jobs")["state"]) == ["done", "done", "done"]


@pytest.mark.slow
def test_a_training_whose_worker_is_killed_comes_out_bitwise_the_same(real: tuple[Workspace, Start], tmp_path: Path) -> None:
    workspace, start = real
    training = {"epochs": 200, "schedule": "every:20", "lr": 1e-2}
    job = workspace.submit("train", start=False, target="modular_addition", name="long", training=training, **TOY)
    first = start(lease=2)
    seen = []
    until(lambda: seen.append(job.progress) or seen[-1] > 0.2, "it is under way")
    first.kill()
    start(lease=2)
    while not job.job.ended:
        seen.append(job.progress)
        time.sleep(0.1)
    assert job.state == "done", job.logs()
    assert job.job.attempt == 2 or seen[-1] > 0.9, "unless it was done before the worker was killed"
    assert seen == sorted(seen)
    whole = Workspace(tmp_path / "whole").train("modular_addition", name="long", training=training, **TOY)
    assert workspace.run("long").digests == whole.digests
    assert workspace.run("long").metrics.equals(whole.metrics)


@pytest.mark.slow
def test_an_analysis_with_failures_is_a_failed_job_whose_results_are_stored(real: tuple[Workspace, Start], toy: Path, tmp_path: Path) -> None:
    workspace, start = real
    toy.rename(workspace.root)
    file = tmp_path / "moody.py"
    file.write_text(MOODY)
    job = workspace.submit("analyze", start=False, runs="toy", analyzers=[f"{file}:Moody"])
    start()
    assert job.wait(PATIENCE) == "failed"
    assert "1 of its cells failed, the rest is stored; the first: " in job.job.error
    assert "step 10" in job.job.error
    assert 0 < job.progress < 1
    assert workspace.sql("select steps from results where analyzer like '%oody%'")["steps"].tolist() == [4]


MOODY = '''
from strobe import Analyzer, Row, hookimpl, metric


class Moody(Analyzer):
    """Fails at step 10."""

    class Row(Row):
        value: float = metric("nothing much", unit="1")

    @hookimpl
    def analyze_weights(self, weights, context):
        if context.step == 10:
            raise ValueError("not today")
        yield self.Row(value=1.0)
'''


@pytest.mark.slow
def test_detach_makes_one_job_per_run_and_skips_what_is_done(tmp_path: Path) -> None:
    """One worker in the background, seen from a terminal: it is started, does the rest of the sweep, and goes."""
    workspace, where = Workspace(tmp_path / "sweep"), ["--workspace", str(tmp_path / "sweep")]
    sets = [text for name, value in TOY.items() if name != "p" for text in ("--set", f"{name}={value}")]
    command = ["train", "modular_addition", *where, *sets, "--epochs", "10", "--schedule", "every:5", "--quiet"]
    assert CliRunner().invoke(app, [*command, "--set", "p=7"]).exit_code == 0
    (done,) = workspace.runs()
    sweep = CliRunner().invoke(app, [*command, "--set", "p=7,11", "--detach"])
    assert sweep.exit_code == 0, sweep.output
    (job,) = workspace.jobs()
    assert f"strobe jobs logs {job.id}" in sweep.output
    assert sweep.output.count("complete already, skipped") == 1
    assert job.wait(PATIENCE) == "done"
    (worker,) = job.store.workers()
    os.kill(worker["pid"], signal.SIGTERM)
    until(lambda: not processes_of(workspace.root), "the worker ends")
    assert {run.name for run in workspace.runs()} == {done.name, job.job.run}
    again = CliRunner().invoke(app, [*command, "--set", "p=7,11", "--detach"])
    assert again.output.count("complete already, skipped") == 2
    assert JobStore(workspace.root).workers() == [], "nothing to do, no worker"


def test_workers_start_without_torch() -> None:
    """A worker only starts processes: sixty of its children cost what sixty bare ones do."""
    code = "import sys, strobe.jobs.worker; sys.exit(any(name in sys.modules for name in ('torch', 'pandas', 'pyarrow', 'pydantic')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert importlib.util.find_spec("strobe.jobs.worker") is not None
