"""Frames drawn by processes of their own, from files alone: a killed one costs the frame it was at. (A forked process hangs in vl-convert.)

A process reads numbers of frames from its standard input and answers with them; it imports neither torch nor plugins.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

from ..errors import StrobeError
from .painter import Painter


def paint_all(folder: Path, frames: Iterable[int], processes: int | None, tick: Callable[[int], None]) -> None:
    """Paint frames in `processes` processes (0: in this one; None: as many as are worth it). `tick` is called with each that is done.
    Raises `StrobeError` when one of them dies."""
    wanted = list(frames)
    if not wanted:
        return
    painter = Painter.of(folder)
    if processes is None:
        processes = painter.processes(len(wanted))
    if processes == 0:
        for i in wanted:
            painter.paint(i)
            tick(i)
        return
    workers = [_start(folder) for _ in range(min(processes, len(wanted)))]
    try:
        _share(workers, wanted, tick)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
            for pipe in (worker.stdin, worker.stdout, worker.stderr):
                with contextlib.suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]


def _start(folder: Path) -> subprocess.Popen[str]:
    call = [sys.executable, "-P", "-m", "strobe.animation.painters", str(folder)]
    return subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _share(workers: Sequence[subprocess.Popen[str]], wanted: Sequence[int], tick: Callable[[int], None]) -> None:
    """Hand out one frame at a time to whoever is free. Each worker has a thread that waits for it; `tick` runs in this one."""
    todo: SimpleQueue[int] = SimpleQueue()
    answers: SimpleQueue[int | str] = SimpleQueue()
    for i in wanted:
        todo.put(i)
    for worker in workers:
        threading.Thread(target=_converse, args=(worker, todo, answers), daemon=True).start()
    for _ in wanted:
        answer = answers.get()
        if isinstance(answer, str):
            raise StrobeError(answer)
        tick(answer)


def _converse(worker: subprocess.Popen[str], todo: SimpleQueue[int], answers: SimpleQueue[int | str]) -> None:
    assert worker.stdin is not None
    assert worker.stdout is not None
    assert worker.stderr is not None
    while True:
        try:
            i = todo.get_nowait()
        except Empty:
            return
        with contextlib.suppress(OSError):
            worker.stdin.write(f"{i}\n")
            worker.stdin.flush()
        if not worker.stdout.readline():
            said = worker.stderr.read().strip().splitlines()
            answers.put(
                f"the process that draws frame {i} ended: {said[-1] if said else 'killed, or out of memory'}; ask again, and it goes on from here"
            )
            return
        answers.put(i)


def serve(folder: Path) -> None:
    """Paint what is asked for, until nobody asks."""
    painter = Painter.of(folder)
    for line in sys.stdin:
        painter.paint(int(line))
        print(int(line), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
