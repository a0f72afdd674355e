"""Processes by number and time of start: a number may be another process's by now."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .job import Job


def start_mark(pid: int) -> str:
    """When a process started, '' where the system does not say: a number may be another process's by now."""
    try:
        fields_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields_[0] in "ZX" else fields_[19]


def runs(pid: int, mark: str | None) -> bool:
    """Whether a process still runs, and is the one that was meant."""
    if mark:
        return start_mark(pid) == mark
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def end_leftover(job: Job, host: str, patience: Callable[[float], None] = time.sleep) -> None:
    """End the child of an earlier attempt that still runs on this machine, with everything it started."""
    if job.pid and job.mark and job.host == host and runs(job.pid, job.mark):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(job.pid, signal.SIGKILL)
        for _ in range(100):
            if not runs(job.pid, job.mark):
                return
            patience(0.01)
