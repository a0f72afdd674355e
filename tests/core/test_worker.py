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


def let(store: JobStore, upto: int) -> None:
    """Paced jobs may count so far."""
    temporary = store.root / "upto.new"
    temporary.write_text(str(upto))
    temporary.replace(store.root / "upto")


def counting(store: JobStore, job: JobHandle, upto: int = 1, attempt: int = 1) -> Event:
    """Let a paced job count, and wait until it has, in this attempt; the attempt's first count."""
    let(store, upto)
    until(lambda: any((e.attempt, e.text) == (attempt, f"count {upto}") for e in events(store, job.id)), f"attempt {attempt} counts {upto}")
    return next(e for e in events(store, job.id) if e.attempt == attempt and e.text.startswith("count"))


def run_out(store: JobStore) -> None:
    """Leases end now: nobody waits for them here, and a machine that is slow ends none by itself."""
    store._write("update jobs set lease = 0 where state = 'running'")
    store._write("update workers set expires = 0")


def test_four_workers_sixty_jobs_each_runs_exactly_once(store: JobStore, start: Start) -> None:
    jobs = [submit(store, str(i), n=2, paced=True) for i in range(60)]
    workers = [start(parallel=1, idle=0.3) for _ in range(4)]
    until(lambda: len(events(store)) == 4, "all of them work")
    let(store, 2)
    for job in jobs:
        assert job.wait(PATIENCE) == "done"
    assert Counter(e.job for e in events(store) if e.text == "start 0") == {job.id: 1 for job in jobs}
    assert Counter((e.job, e.text) for e in events(store) if e.text == "count 2") == {(job.id, "count 2"): 1 for job in jobs}
    assert {(job.job.attempt, job.progress) for job in jobs} == {(1, 1.0)}
    assert len({job.job.owner for job in jobs}) == 4
    assert [worker.wait(PATIENCE) for worker in workers] == [0, 0, 0, 0], "they end when the queue stays empty"
    assert store.workers() == []


def test_progress_rises_with_every_count_and_ends_at_one(store: JobStore, start: Start) -> None:
    job = submit(store, n=6, paced=True)
    start(parallel=1)
    for k in range(1, 6):
        let(store, k)
        until(lambda k=k: job.job.done == k, f"it has counted {k}")
        assert job.progress == pytest.approx(k / 7)
    let(store, 6)
    assert job.wait(PATIENCE) == "done"
    assert (job.state, job.progress, job.job.done, job.job.total) == ("done", 1.0, 6, 6)
    assert "counted to 6" in job.logs()
    assert "attempt 1" in job.logs()


def test_the_job_of_a_killed_worker_is_taken_over_and_goes_on(store: JobStore, start: Start) -> None:
    job = submit(store, n=12, paced=True)
    first = start(parallel=1)
    child = counting(store, job, upto=4)
    mark = start_mark(child.pid)
    first.kill()
    first.wait(PATIENCE)
    until(lambda: not runs(child.pid, mark), "the child of a killed worker ends")
    assert job.progress == pytest.approx(4 / 13)
    run_out(store)
    start(parallel=1)
    counting(store, job, upto=5, attempt=2)
    assert job.progress > 4 / 13
    let(store, 12)
    assert job.wait(PATIENCE) == "done"
    second = [e for e in events(store, job.id) if e.attempt == 2]
    assert second[0].text == "start 4", "from where the first one stopped"
    assert [e.text for e in events(store, job.id) if e.text.startswith("count")] == [f"count {k}" for k in range(1, 13)], (
        "nothing twice, nothing left out"
    )
    assert (job.job.attempt, job.progress) == (2, 1.0)


@pytest.mark.parametrize("both", [False, True], ids=["the worker", "the worker and its child"])
def test_what_is_stopped_longer_than_its_lease_loses_the_job(store: JobStore, start: Start, both: bool) -> None:
    job = submit(store, n=9, paced=True)
    first = start(parallel=1, lease=6)  # after a quarter of it, it is seen again
    child = counting(store, job, upto=3)
    mark = start_mark(child.pid)
    first.send_signal(signal.SIGSTOP)
    if both:
        os.kill(child.pid, signal.SIGSTOP)
    run_out(store)
    start(parallel=1)
    taken = counting(store, job, upto=6, attempt=2)
    assert not runs(child.pid, mark), "whoever takes over ends what is left"
    first.send_signal(signal.SIGCONT)
    let(store, 9)
    assert job.wait(PATIENCE) == "done"
    assert (job.job.attempt, job.progress) == (2, 1.0)
    assert [e for e in events(store, job.id) if e.attempt == 1 and e.at > taken.at] == [], "it wrote nothing afterwards"
    after = submit(store, "b")
    assert after.wait(PATIENCE) == "done"
    until(lambda: len(store.workers()) == 2, "the first worker is back at work")


def test_a_child_whose_worker_is_stopped_ends_by_itself(store: JobStore, start: Start) -> None:
    job = submit(store, n=9, paced=True)
    worker = start(parallel=1)
    child = counting(store, job)
    mark = start_mark(child.pid)
    worker.send_signal(signal.SIGSTOP)
    run_out(store)
    until(lambda: not runs(child.pid, mark), "the child ends with its lease, though nobody has taken the job")
    assert job.job.abandoned
    job.cancel()
    assert job.state == "cancelled"
    worker.send_signal(signal.SIGCONT)
    assert submit(store, "b").wait(PATIENCE) == "done"
    assert job.state == "cancelled"


def test_cancelling_ends_the_child(store: JobStore, start: Start) -> None:
    job = submit(store, n=9, paced=True)
    start(parallel=1)
    child = counting(store, job)
    mark = start_mark(child.pid)
    job.cancel()
    assert job.wait(PATIENCE) == "cancelled"
    assert not runs(child.pid, mark)
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
    job = submit(store, n=9, paced=True)
    start(parallel=1)
    os.kill(counting(store, job).pid, signal.SIGKILL)
    assert job.wait(PATIENCE) == "failed"
    assert "signal 9" in job.job.error


def test_a_worker_that_is_told_to_end_puts_its_job_back(store: JobStore, start: Start) -> None:
    job = submit(store, n=6, paced=True)
    first = start(parallel=1)
    child = counting(store, job)
    mark = start_mark(child.pid)
    first.terminate()
    assert first.wait(PATIENCE) == 0
    assert job.state == "queued"
    assert not runs(child.pid, mark)
    let(store, 6)
    start(parallel=1)
    assert job.wait(PATIENCE) == "done"
    assert job.job.attempt == 2


def test_one_worker_runs_several_at_once(store: JobStore, start: Start) -> None:
    jobs = [submit(store, str(i), n=2, paced=True) for i in range(3)]
    start(parallel=3)
    until(lambda: {e.job for e in events(store) if e.text == "start 0"} == {job.id for job in jobs}, "all have begun, and none has ended")
    let(store, 2)
    for job in jobs:
        assert job.wait(PATIENCE) == "done"


def test_a_background_worker_is_started_once_and_goes_when_there_is_nothing_to_do(store: JobStore, root: Path) -> None:
    job = submit(store, n=2, paced=True)
    assert ensure_worker(root, parallel=1, idle=0.5, program=(str(TINY),))
    assert not ensure_worker(root, parallel=1, idle=0.5, program=(str(TINY),)), "one lives already"
    let(store, 2)
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

    def one() -> subprocess.Popen[bytes]:
        call = [sys.executable, "-m", "strobe.jobs.worker", "work", str(workspace.root), "--parallel", "1"]
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
    first = start()
    seen = []
    until(lambda: seen.append(job.progress) or seen[-1] > 0.2, "it is under way")
    first.kill()
    first.wait(PATIENCE)
    over = job.job.ended
    run_out(job.store)
    start()
    while not job.job.ended:
        seen.append(job.progress)
        time.sleep(0.1)
    assert job.state == "done", job.logs()
    assert job.job.attempt == (1 if over else 2), "unless it was done before the worker was killed"
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
