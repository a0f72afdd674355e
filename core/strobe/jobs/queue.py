"""Jobs: what is to be done, who does it, how far it is. Rows of `strobe.db`, each with a lease and an attempt number.

A worker claims a job: the attempt number rises, and the job is leased to the worker for some seconds, again and again while the worker lives. A lease
that has run out is anyone's to claim. Every write of progress and of the end carries the attempt number and needs a lease that still holds, so that
a worker that was stopped for too long cannot write into what another one has taken over.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StrobeError, UsageError
from ..storage.database import NAME, connect, guarded, opened, transaction
from .job import STATES, Job, Prepared, job_of
from .processes import runs, start_mark

if TYPE_CHECKING:
    from types import TracebackType


LEASE = 15.0
"""Seconds after which the job of a worker that shows no life is anyone's."""
MOST_LOST = 5
"""A job that costs this many workers in a row their lives, without progress, has failed."""


class LostJob(StrobeError):
    """What runs is not the job's owner any more: nothing more may be written."""


class JobStore:
    """The jobs of one workspace. Each call opens and closes the database; inside `with store:` one connection stays open (of one thread)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._held: sqlite3.Connection | None = None

    def __enter__(self) -> JobStore:
        self._held = connect(self.root)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        if self._held is None:
            with opened(self.root) as connection:
                yield connection
        else:
            with guarded(self.root):
                yield self._held

    def _write(self, statement: str, *values: Any) -> int:
        """Rows changed."""
        with self._database() as c:
            return c.execute(statement, values).rowcount

    @property
    def _absent(self) -> bool:
        """Whether nobody has written yet: to look must not make a folder where there is none."""
        return self._held is None and not (self.root / NAME).exists()

    def log(self, job: str) -> Path:
        """Where the output of a job lies."""
        return self.root / "jobs" / f"{job}.log"

    # --- what people do --------------------------------------------------------------------------------------------------------------------

    def submit(self, kind: str, prepared: Prepared) -> Job:
        """Queue a job, or return the one of the same request that is queued, running, or done (as long as what it made is still there)."""
        now = time.time()
        with self._database() as c, transaction(c):
            same = c.execute(
                "select * from jobs where fingerprint = ? and state in ('queued', 'running', 'done')", (f"{kind}:{prepared.fingerprint}",)
            ).fetchone()
            if same is not None:
                if same["state"] != "done" or prepared.finished:
                    return job_of(same)
                c.execute("update jobs set fingerprint = null where id = ?", (same["id"],))
            values = (
                uuid.uuid4().hex[:8],
                kind,
                json.dumps(prepared.request),
                prepared.title,
                prepared.run,
                f"{kind}:{prepared.fingerprint}",
                now,
                now,
            )
            row = c.execute(
                "insert into jobs(id, kind, request, title, run, fingerprint, created, updated, state)"
                " values(?, ?, ?, ?, ?, ?, ?, ?, 'queued') returning *",
                values,
            ).fetchone()
            return job_of(row)

    def all(self, states: Sequence[str] = STATES) -> list[Job]:
        """Jobs in the order in which they were submitted."""
        if self._absent:
            return []
        with self._database() as c:
            self._bury(c)
            marks = ", ".join("?" * len(states))
            return [job_of(r) for r in c.execute(f"select * from jobs where state in ({marks}) order by created, rowid", tuple(states))]

    def get(self, name: str) -> Job:
        """A job by its id or the beginning of it. Raises `UsageError`."""
        if self._absent or not name:
            found = []
        else:
            with self._database() as c:
                self._bury(c)
                found = c.execute("select * from jobs where substr(id, 1, length(?)) = ? order by created", (name, name)).fetchall()
        if len(found) == 1:
            return job_of(found[0])
        if found:
            raise UsageError(f"job {name!r} could be {', '.join(r['id'] for r in found)}: write more of it")
        raise UsageError(f"no job {name!r} in {self.root}; `strobe jobs list` shows them")

    def _bury(self, c: sqlite3.Connection) -> None:
        """What is to be cancelled and has lost its worker is cancelled, also when no other worker ever comes."""
        gone = "state = 'running' and cancel = 1 and lease < ?1"
        if c.execute(f"select 1 from jobs where {gone}", (now := time.time(),)).fetchone():
            c.execute(f"update jobs set state = 'cancelled', finished = ?1, updated = ?1, lease = null where {gone}", (now,))

    def cancel(self, name: str) -> Job:
        """End a job: at once when nobody runs it, else its worker ends the child. A job that has ended stays as it is."""
        job, now = self.get(name), time.time()
        self._write(
            "update jobs set cancel = 1, updated = ?1, finished = case when state = 'queued' or lease < ?1 then ?1 end,"
            " state = case when state = 'queued' or lease < ?1 then 'cancelled' else state end where id = ?2 and state in ('queued', 'running')",
            now,
            job.id,
        )
        return self.get(job.id)

    def retry(self, name: str) -> Job:
        """Queue a failed or cancelled job again: it goes on from what is on disk. Raises `UsageError` in any other state."""
        job = self.get(name)
        if job.state not in ("failed", "cancelled"):
            raise UsageError(f"job {job.id} is {job.state}; only a failed or cancelled one can be retried")
        with self._database() as c, transaction(c):
            active = "state in ('queued', 'running', 'done') and fingerprint = (select fingerprint from jobs where id = ?)"
            same = c.execute(f"select id, state from jobs where {active}", (job.id,)).fetchone()
            if same is not None:
                raise UsageError(f"job {same['id']}, which is {same['state']}, is of the same request as {job.id}")
            c.execute(
                "update jobs set state = 'queued', cancel = 0, lost = 0, error = '', owner = null, lease = null, finished = null, updated = ?"
                " where id = ? and state in ('failed', 'cancelled')",
                (time.time(), job.id),
            )
        return self.get(job.id)

    # --- what workers do -------------------------------------------------------------------------------------------------------------------

    def claim(self, owner: str, host: str, lease: float) -> tuple[Job, Job] | None:
        """The next job as it was and as it is now, leased to `owner` under a new attempt number; None when there is none."""
        with self._database() as c:
            ready = "cancel = 0 and (state = 'queued' or (state = 'running' and lease < ?))"
            if c.execute("select 1 from jobs where state = 'queued' or (state = 'running' and lease < ?)", (time.time(),)).fetchone() is None:
                return None
            with transaction(c):
                now = time.time()
                self._give_up(c, now)
                before = c.execute(f"select * from jobs where {ready} order by created, rowid limit 1", (now,)).fetchone()
                if before is None:
                    return None
                after = c.execute(
                    "update jobs set state = 'running', attempt = attempt + 1, lost = lost + (state = 'running'), owner = ?, host = ?, pid = null,"
                    " mark = null, error = '', lease = ?, began = null, began_done = null, started = coalesce(started, ?), updated = ?"
                    " where id = ? returning *",
                    (owner, host, now + lease, now, now, before["id"]),
                ).fetchone()
                return job_of(before), job_of(after)

    def _give_up(self, c: sqlite3.Connection, now: float) -> None:
        self._bury(c)
        over = "finished = ?1, updated = ?1, lease = null where state = 'running' and lease < ?1"
        why = f"its worker was lost {MOST_LOST} times without progress (killed, or out of memory)"
        c.execute(f"update jobs set state = 'failed', error = ?2, {over} and lost >= ?3", (now, why, MOST_LOST - 1))

    def attach(self, job: Job, pid: int, mark: str) -> bool:
        """Note which process runs an attempt."""
        return self._fenced("pid = ?, mark = ?", job.id, job.attempt, pid, mark)

    def renew(self, job: Job, lease: float) -> bool:
        """Keep a job for another lease; False when it is lost."""
        return self._fenced("lease = ?", job.id, job.attempt, time.time() + lease)

    def release(self, job: Job) -> bool:
        """Put a job back into the queue: its worker ends in good order."""
        return self._fenced("state = 'queued', owner = null, pid = null, lease = null", job.id, job.attempt)

    def finish(self, job: Job, state: str, error: str = "") -> bool:
        """The end of an attempt; False when it was another's by then. What the attempt itself has explained stands before `error`."""
        progress, why = ("1.0", "''") if state == "done" else ("progress", "case when error = '' then ? else error end")
        values = () if state == "done" else (error,)
        change = f"state = ?, finished = ?, lease = null, progress = {progress}, error = {why}"
        return self._fenced(change, job.id, job.attempt, state, time.time(), *values)

    def cancelling(self, owner: str) -> set[str]:
        """Jobs of a worker that someone wants ended."""
        with self._database() as c:
            return {r["id"] for r in c.execute("select id from jobs where owner = ? and state = 'running' and cancel = 1", (owner,))}

    # --- what the running job does ---------------------------------------------------------------------------------------------------------

    def still_mine(self, job: str, attempt: int) -> bool:
        """Whether an attempt may still write."""
        with self._database() as c:
            found = c.execute("select 1 from jobs where id = ? and attempt = ? and state = 'running' and lease >= ?", (job, attempt, time.time()))
            return found.fetchone() is not None

    def report(self, job: str, attempt: int, progress: float, done: int, total: int, note: str) -> bool:
        """Progress, which never falls; False when the attempt has lost the job."""
        change = (
            "lost = case when ? > progress then 0 else lost end, progress = max(progress, ?), done = ?, total = ?, note = ?,"
            " began = coalesce(began, ?), began_done = coalesce(began_done, ?)"
        )
        return self._fenced(change, job, attempt, progress, progress, done, total, note, time.time(), done)

    def explain(self, job: str, attempt: int, error: str) -> bool:
        """Say why an attempt is about to fail."""
        return self._fenced("error = ?", job, attempt, error)

    def _fenced(self, change: str, job: str, attempt: int, *values: Any) -> bool:
        """A change by whoever holds the job, and by nobody else."""
        now = time.time()
        where = "id = ? and attempt = ? and state = 'running' and lease >= ?"
        return self._write(f"update jobs set {change}, updated = ? where {where}", *values, now, job, attempt, now) == 1

    # --- who works -------------------------------------------------------------------------------------------------------------------------

    def enter(self, worker: str, host: str, pid: int, parallel: int, lease: float) -> None:
        """A worker shows that it lives."""
        values = (worker, host, pid, start_mark(pid), parallel, time.time() + lease)
        self._write("insert or replace into workers(id, host, pid, mark, parallel, expires) values(?, ?, ?, ?, ?, ?)", *values)

    def leave(self, worker: str, *, only_when_idle: bool = False) -> bool:
        """A worker goes. Atomic with the look into the queue, so that no job is left to a worker that is about to go."""
        with self._database() as c, transaction(c):
            if only_when_idle and c.execute("select 1 from jobs where state in ('queued', 'running')").fetchone():
                return False
            c.execute("delete from workers where id = ? or expires < ?", (worker, time.time() - 3600))
            return True

    def workers(self) -> list[dict[str, Any]]:
        """Workers that live."""
        if self._absent:
            return []
        with self._database() as c:
            rows = [dict(r) for r in c.execute("select * from workers where expires >= ?", (time.time(),))]
        here = os.uname().nodename
        return [r for r in rows if r["host"] != here or runs(r["pid"], r["mark"])]
