"""Workers: processes that claim jobs, run each in a child process of its own, and end the child when the job is cancelled or lost.

`python -m strobe.jobs.worker work DIR` works, `launch DIR` starts a worker in the background and returns; a worker starts `child DIR JOB ATTEMPT`.

Nothing outlives its reason. A child is the leader of its own process group and holds the reading end of a pipe from its worker: when the worker is
gone, or the lease has run out, a thread of the child ends the whole group. Whoever takes a job over ends what is left of the earlier attempt first.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import StrobeError
from .job import Job
from .processes import end_leftover, start_mark
from .queue import LEASE, JobStore, LostJob

POLL = 0.05
"""Seconds between two looks of a worker at its children and at the queue; what a cancellation waits at most before the child is told."""
GRACE = 0.5
"""Seconds a child has after SIGTERM before it is killed."""
IDLE = 10.0
"""Seconds of an empty queue after which a background worker ends."""
ALMOST = 1 - 1e-9
PROGRAM = ("-P", "-m", "strobe.jobs.worker")

Work = Callable[[JobStore, Job, "Meter"], None]


def cores() -> int:
    """How many jobs run at once unless told: one per core this process may use, since each has one thread."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# --- the worker ----------------------------------------------------------------------------------------------------------------------------


@dataclass
class Child:
    """A running attempt."""

    job: Job
    process: subprocess.Popen[bytes]
    ending: str = ""
    """Why it is being ended: `cancelled`, `lost` or `released`; '' while it may run."""
    killed_at: float = 0.0


@dataclass
class Worker:
    """Runs up to `parallel` jobs at once until it is stopped, or until the queue has been empty for `idle` seconds."""

    root: Path
    parallel: int = 1
    lease: float = LEASE
    idle: float | None = None
    program: Sequence[str] = PROGRAM
    say: Callable[[str], None] = print
    stopping: bool = False
    children: list[Child] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.host = os.uname().nodename
        self.name = f"{self.host}:{os.getpid()}:{uuid.uuid4().hex[:4]}"
        self._beat_at = self._busy_at = 0.0

    def run(self) -> None:
        """Work. On the way out, jobs that still run go back into the queue."""
        with JobStore(self.root) as store:
            store.enter(self.name, self.host, os.getpid(), self.parallel, self.lease)
            self._busy_at = time.monotonic()
            try:
                while not self.stopping and not self._may_go(store):
                    self._beat(store)
                    self._tend(store)
                    self._fill(store)
                    time.sleep(POLL)
            finally:
                self._release(store)
                store.leave(self.name)

    def stop(self, *_: Any) -> None:
        """End soon: what SIGTERM and SIGINT do."""
        self.stopping = True

    def _may_go(self, store: JobStore) -> bool:
        if self.children or self.idle is None or time.monotonic() - self._busy_at < self.idle:
            return False
        self._busy_at = time.monotonic()  # where others still work, look again after another `idle`
        return store.leave(self.name, only_when_idle=True)

    def _beat(self, store: JobStore) -> None:
        """Renew what is leased, four times per lease. What cannot be renewed is lost."""
        if time.monotonic() - self._beat_at < self.lease / 4:
            return
        self._beat_at = time.monotonic()
        store.enter(self.name, self.host, os.getpid(), self.parallel, self.lease)
        for child in self.children:
            if not child.ending and not store.renew(child.job, self.lease):
                self._end(child, "lost")

    def _fill(self, store: JobStore) -> None:
        while len(self.children) < self.parallel and (claimed := store.claim(self.name, self.host, self.lease)):
            before, job = claimed
            end_leftover(before, self.host)
            self.children.append(self._start(store, job))
            self._busy_at = time.monotonic()

    def _start(self, store: JobStore, job: Job) -> Child:
        log = store.log(job.id)
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as output:
            output.write(f"--- attempt {job.attempt}, {time.strftime('%Y-%m-%d %H:%M:%S')}, worker {self.name}: {job.title}\n".encode())
            output.flush()
            process = subprocess.Popen(
                [sys.executable, *self.program, "child", str(self.root.resolve()), job.id, str(job.attempt)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
            )
        store.attach(job, process.pid, start_mark(process.pid))
        self.say(f"{job.id} {job.title}: attempt {job.attempt} started")
        return Child(job, process)

    def _tend(self, store: JobStore) -> None:
        """Look at the children: which have ended, which must."""
        for name in store.cancelling(self.name) if self.children else ():
            for child in self.children:
                if child.job.id == name and not child.ending:
                    self._end(child, "cancelled")
        for child in list(self.children):
            code = child.process.poll()
            if code is None:
                if child.ending and time.monotonic() > child.killed_at + GRACE:
                    _signal_group(child.process.pid, signal.SIGKILL)
                continue
            self._close(child)
            self._settle(store, child, code)
            self._busy_at = time.monotonic()

    def _settle(self, store: JobStore, child: Child, code: int) -> None:
        if child.ending == "released" and code:
            store.release(child.job)
        elif child.ending == "cancelled" and code:
            store.finish(child.job, "cancelled")
        elif child.ending != "lost":
            signalled = f"its process was ended by signal {-code} (killed, out of memory, or a crash in native code); see its log"
            reason = signalled if code < 0 else f"its process ended with status {code}; see its log"
            store.finish(child.job, "failed" if code else "done", reason)
        now = store.get(child.job.id)
        self.say(f"{now.id} {now.title}: {now.state}{f', {now.error}' if now.error else ''}")

    def _end(self, child: Child, why: str) -> None:
        child.ending, child.killed_at = why, time.monotonic()
        _signal_group(child.process.pid, signal.SIGKILL if why == "lost" else signal.SIGTERM)

    def _close(self, child: Child) -> None:
        """Leave nothing of a child: neither what it has started, nor the pipe."""
        _signal_group(child.process.pid, signal.SIGKILL)
        if child.process.stdin is not None:
            child.process.stdin.close()
        self.children.remove(child)

    def _release(self, store: JobStore) -> None:
        for child in self.children:
            if not child.ending:
                self._end(child, "released")
        while self.children:
            self._tend(store)
            time.sleep(POLL / 5)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


# --- the child -----------------------------------------------------------------------------------------------------------------------------


class Meter:
    """Progress of an attempt, from what is stored of earlier ones towards 1, which only the end of the job reaches.

    Each move takes its share of what is left, so progress rises with every report, whatever becomes of the total meanwhile.
    """

    def __init__(self, store: JobStore, job: Job) -> None:
        self.store, self.job = store, job
        self.progress, self._done = job.progress, 0

    def begin(self, done: int, total: int) -> None:
        """Where this attempt starts."""
        self._done = done
        self._write(done, total, "")

    def __call__(self, done: int, total: int, note: str = "") -> None:
        moved = max(done - self._done, 0)
        share = moved / (max(total, done) - done + moved + 1)
        self.progress = min(self.progress + (1 - self.progress) * share, ALMOST)
        self._done = max(done, self._done)
        self._write(done, total, note)

    def still_mine(self) -> bool:
        """Whether this attempt may still write."""
        return self.store.still_mine(self.job.id, self.job.attempt)

    def _write(self, done: int, total: int, note: str) -> None:
        if not self.store.report(self.job.id, self.job.attempt, self.progress, done, total, note):
            raise LostJob(f"job {self.job.id} is not attempt {self.job.attempt}'s any more: it was cancelled, or another worker has it")


def do_kind(store: JobStore, job: Job, meter: Meter) -> None:
    """Do a job of one of Strobe's own kinds, and enter what it made in the index."""
    from ..storage.index import Index
    from ..workspace import Workspace
    from .kinds import kind_of

    workspace = Workspace(store.root)
    kind_of(job.kind).run(workspace, job.request, meter)
    Index(workspace).refresh()


def child(root: Path, name: str, attempt: int, work: Work) -> int:
    """Run one attempt; returns the exit status: 0 done, 1 failed, 3 lost."""
    watch = threading.Thread(target=_end_with_worker, args=(root, name, attempt), daemon=True)
    watch.start()
    with JobStore(root) as store:
        job = store.get(name)
        try:
            if job.attempt != attempt:
                raise LostJob(f"job {name} is at attempt {job.attempt}, this is {attempt}")
            work(store, job, Meter(store, job))
        except LostJob as e:
            print(e, flush=True)
            return 3
        except Exception as e:  # a plugin may raise anything: the job says what
            traceback.print_exc()
            said = str(e) if isinstance(e, StrobeError) else "".join(traceback.format_exception_only(e)).strip()
            store.explain(name, attempt, said)
            return 1
    return 0


def _end_with_worker(root: Path, name: str, attempt: int) -> None:
    """End this process and all it has started once its worker is gone (the pipe closes) or the job is no longer this attempt's."""
    with contextlib.suppress(Exception), JobStore(root) as store:  # a watch that cannot look must not let its child go on
        while not select.select([sys.stdin], [], [], 0.25)[0] and store.still_mine(name, attempt):
            pass
    _signal_group(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


# --- starting ------------------------------------------------------------------------------------------------------------------------------


def ensure_worker(root: Path, parallel: int = 0, idle: float = IDLE, program: Sequence[str] = PROGRAM) -> bool:
    """Start a background worker unless one lives; returns whether one was started. It ends when the queue has been empty for `idle` seconds."""
    if JobStore(root).workers():
        return False
    call = [sys.executable, *program, "launch", str(root.resolve()), "--parallel", str(parallel or cores()), "--idle", str(idle)]
    if (status := subprocess.run(call, stdin=subprocess.DEVNULL).returncode) != 0:
        raise StrobeError(f"no worker could be started in the background (status {status}): jobs stay queued; `strobe worker` does them")
    return True


def _launch(root: Path, parallel: int, lease: float, idle: float | None, program: Sequence[str]) -> None:
    """Start a worker that nobody waits for: this process ends at once, so that it is never anyone's zombie."""
    log = root / "jobs" / "worker.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    call = [sys.executable, *program, "work", str(root), "--parallel", str(parallel), "--lease", str(lease), "--idle", str(idle or IDLE)]
    with log.open("ab") as output:
        subprocess.Popen(call, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    with JobStore(root) as store:
        for _ in range(200):  # until it is seen, or the next submission would start another
            if store.workers():
                return
            time.sleep(0.05)


def work(root: Path, parallel: int = 0, lease: float = LEASE, idle: float | None = None, program: Sequence[str] = PROGRAM) -> None:
    """Be a worker until SIGTERM or Ctrl-C."""
    worker = Worker(root, parallel or cores(), lease, idle, program, say=lambda text: print(text, flush=True))
    before = {number: signal.signal(number, worker.stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        worker.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments: Sequence[str] | None = None, *, do: Work = do_kind, program: Sequence[str] = PROGRAM) -> int:
    """`python -m strobe.jobs.worker`. `do` and `program` let another program run jobs of its own kinds."""
    parser = argparse.ArgumentParser(prog="python -m strobe.jobs.worker")
    parser.add_argument("what", choices=("work", "launch", "child"))
    parser.add_argument("root", type=Path)
    parser.add_argument("job", nargs="?", default="")
    parser.add_argument("attempt", nargs="?", type=int, default=0)
    parser.add_argument("--parallel", type=int, default=0)
    parser.add_argument("--lease", type=float, default=LEASE)
    parser.add_argument("--idle", type=float)
    given = parser.parse_args(arguments)
    if given.what == "child":
        return child(given.root, given.job, given.attempt, do)
    run: Mapping[str, Callable[..., None]] = {"work": work, "launch": _launch}
    run[given.what](given.root, given.parallel, given.lease, given.idle, program)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
