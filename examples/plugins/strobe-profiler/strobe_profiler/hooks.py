"""The hook `profiler`: a wrapper around every analyzer call, and three observers."""

from __future__ import annotations

import atexit
import csv
import os
import resource
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from strobe import hookimpl

from .summary import summary

FIELDS = ("time", "event", "analyzer", "category", "run", "step", "cpu_seconds", "wall_seconds", "peak_bytes", "rows", "where", "note")


class Profiler:
    """CPU and wall time, peak memory and rows of every analyzer call, one line each in the CSV file that `$STROBE_PROFILE` names.

    Without that variable it does nothing. CPU is that of this process and of the worker when the analyzer ran in one; the peak is the highest
    resident size of this process so far, so that the call at which it jumps is the one that needed it. When the process ends, a summary is printed.
    """

    def __init__(self) -> None:
        name = os.environ.get("STROBE_PROFILE", "")
        self.file = Path(name) if name else None
        self.pid = os.getpid()
        if self.file is not None:
            atexit.register(self._farewell)

    @hookimpl(wrapper=True)
    def run_analyzer(self, call: Any) -> Generator[None, Any, Any]:
        if self.file is None:
            return (yield)
        wall, cpu = time.perf_counter(), time.thread_time()
        rows: int | None = None
        try:
            made = yield  # everything inside: other wrappers, then the call itself, here or in a worker
            rows = len(made.table)
            return made
        finally:
            elsewhere = getattr(call, "milliseconds", 0.0) / 1e3  # a call that ran in a worker tells what it took there
            self._write(
                event="call",
                analyzer=call.name,
                category=call.hook.removeprefix("analyze_"),
                cpu_seconds=round(time.thread_time() - cpu + elsewhere, 6),
                wall_seconds=round(time.perf_counter() - wall, 6),
                peak_bytes=peak_bytes(),
                rows=rows,
                where="worker" if hasattr(call, "milliseconds") else "here",
                note="" if rows is not None else "it raised",
            )

    @hookimpl
    def checkpoint_done(self, run: str, step: int, seconds: float) -> None:
        self._write(event="checkpoint", run=run, step=step, wall_seconds=round(seconds, 6))

    @hookimpl
    def analyzer_failed(self, run: str, step: int | None, analyzer: str, kind: str, message: str) -> None:
        self._write(event="failed", run=run, step=step, analyzer=analyzer, note=f"{kind}: {message}".splitlines()[0])

    @hookimpl
    def table_written(self, analyzer: str, run: str, rows: int, path: str) -> None:
        self._write(event="written", run=run, analyzer=analyzer, rows=rows, note=path)

    def _write(self, **said: Any) -> None:
        """One line, appended at once: a crash loses none, and worker processes of an executor write to the same file."""
        if self.file is None:
            return
        new = not self.file.exists()
        with self.file.open("a", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, FIELDS)
            if new:
                writer.writeheader()
            writer.writerow({"time": round(time.time(), 3), **said})

    def _farewell(self) -> None:
        if os.getpid() == self.pid and self.file is not None and self.file.exists():
            print(summary(self.file), file=sys.stderr)


def peak_bytes() -> int:
    """The highest resident size of this process so far."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024
