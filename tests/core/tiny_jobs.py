"""A worker whose jobs are tiny: each appends what it does to a file that all attempts share. Run as a program, never imported by the product."""

from __future__ import annotations

import os
import time
from pathlib import Path

from strobe.jobs.job import Job
from strobe.jobs.queue import JobStore
from strobe.jobs.worker import Meter, main


def do(store: JobStore, job: Job, meter: Meter) -> None:
    """Count to `n`, `seconds` apart, from where an earlier attempt stopped. `fail_at`: raise there unless the file `mended` exists."""
    n, folder = job.request["n"], Path(store.root)
    kept = folder / f"{job.id}.kept"
    start = int(kept.read_text()) if kept.exists() else 0
    note(folder, job, f"start {start}")
    meter.begin(start, n)
    for k in range(start + 1, n + 1):
        time.sleep(job.request.get("seconds", 0))
        if k == job.request.get("fail_at") and not (folder / "mended").exists():
            raise ValueError(f"cannot count to {k}")
        meter(k, n, f"counted {k}")
        note(folder, job, f"count {k}")
        write(kept, str(k))
    print(f"counted to {n}")


def write(file: Path, text: str) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    temporary.write_text(text)
    os.replace(temporary, file)


def note(folder: Path, job: Job, text: str) -> None:
    """One line, in one write: appended whole."""
    with (folder / "events").open("a") as f:
        f.write(f"{job.id} {job.attempt} {os.getpid()} {time.time()} {text}\n")


if __name__ == "__main__":
    raise SystemExit(main(do=do, program=(__file__,)))
