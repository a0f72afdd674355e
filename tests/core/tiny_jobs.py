"""A worker whose jobs are tiny: each appends what it does to a file that all attempts share. Run as a program, never imported by the product."""

from __future__ import annotations

import os
import time
from pathlib import Path

from strobe.jobs.job import Job
from strobe.jobs.queue import JobStore
from strobe.jobs.worker import Meter, main


def do(store: JobStore, job: Job, meter: Meter) -> None:
    """Count to `n` from where an earlier attempt stopped, a `paced` job only as far as the file `upto` says.

    `fail_at`: raise there unless the file `mended` exists.
    """
    n, folder = job.request["n"], Path(store.root)
    start = counted(folder, job)
    note(folder, job, f"start {start}")
    meter.begin(start, n)
    for k in range(start + 1, n + 1):
        while job.request.get("paced") and k > allowed(folder):
            time.sleep(0.01)
        if k == job.request.get("fail_at") and not (folder / "mended").exists():
            raise ValueError(f"cannot count to {k}")
        meter(k, n, f"counted {k}")
        note(folder, job, f"count {k}")
    print(f"counted to {n}")


def counted(folder: Path, job: Job) -> int:
    """How far earlier attempts have come: their notes are the only place where that is kept, so that a kill cannot fall between two."""
    file = folder / "events"
    lines = file.read_text().splitlines() if file.exists() else []
    return max([0, *(int(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{job.id} ") and " count " in line)])


def allowed(folder: Path) -> int:
    file = folder / "upto"
    return int(file.read_text()) if file.exists() else 0


def note(folder: Path, job: Job, text: str) -> None:
    """One line, in one write: appended whole."""
    with (folder / "events").open("a") as f:
        f.write(f"{job.id} {job.attempt} {os.getpid()} {time.time()} {text}\n")


if __name__ == "__main__":
    raise SystemExit(main(do=do, program=(__file__,)))
