"""A job that was submitted, for whoever waits for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .job import Job
from .queue import JobStore

if TYPE_CHECKING:
    from ..workspace import Workspace


class JobHandle:
    """A job that was submitted: `.state`, `.progress` (0 to 1), `.wait(timeout)`, `.cancel()`, `.retry()`, `.logs()`."""

    def __init__(self, store: JobStore, id: str) -> None:
        self.store, self.id = store, id

    def __repr__(self) -> str:
        return f"JobHandle({self.id!r}, {self.state})"

    @property
    def job(self) -> Job:
        """Everything about it, as of now."""
        return self.store.get(self.id)

    @property
    def state(self) -> str:
        """queued, running, done, failed or cancelled."""
        return self.job.state

    @property
    def progress(self) -> float:
        """0 to 1, exactly 1 when done."""
        return self.job.progress

    def wait(self, timeout: float | None = None, poll: float = 0.05) -> str:
        """Wait until it has ended; returns the state. Raises `TimeoutError` after `timeout` seconds: the job goes on."""
        until = None if timeout is None else time.monotonic() + timeout
        with self.store.__class__(self.store.root) as store:
            while not (job := store.get(self.id)).ended:
                if until is not None and time.monotonic() > until:
                    raise TimeoutError(f"job {self.id} is {job.state} at {job.progress:.0%} after {timeout:g} s; it goes on")
                time.sleep(poll)
        return job.state

    def cancel(self) -> None:
        """End it; what it has stored stays."""
        self.store.cancel(self.id)

    def retry(self) -> None:
        """Queue it again after it failed or was cancelled."""
        self.store.retry(self.id)

    def logs(self) -> str:
        """What it has printed, in all its attempts."""
        file = self.store.log(self.id)
        return file.read_text("utf-8", errors="replace") if file.is_file() else ""


def submit(workspace: Workspace, kind: str, request: dict[str, Any]) -> JobHandle:
    """Check a request and queue it. Starts no worker."""
    from .kinds import kind_of

    store = JobStore(workspace.root)
    return JobHandle(store, store.submit(kind, kind_of(kind).prepare(workspace, request)).id)
