"""The fork server: a process that has imported what analyzers need, runs none of them, and forks a worker when it is told to.

`python -P -m strobe.isolation.server FD`. It ends with its parent (the socket closes), or when nobody has wanted anything of it for a while; with it
end its workers, and whatever these have started: it is the reaper of all orphans below it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import select
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

from . import frames

IDLE = 120.0
"""Seconds without a worker and without a wish, after which it ends."""
PRELOADED = ("torch", "numpy", "pandas", "pyarrow.compute", "pyarrow.parquet", "safetensors.torch", "pydantic", "strobe.isolation.worker")
BROKEN = 70
"""Exit status of a worker whose own code failed."""
SET_PDEATHSIG, SET_CHILD_SUBREAPER = 1, 36


def prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def serve(control: socket.socket, idle: float = IDLE) -> None:
    """Fork and end workers until there is nobody left to ask for it."""
    prctl(SET_CHILD_SUBREAPER, 1)
    workers: set[int] = set()
    try:
        while select.select([control], [], [], None if workers else idle)[0]:
            wish = frames.receive(control)
            if wish is None:
                return
            body, fds = wish
            if body == b"fork":
                pid = _fork(control, fds)
                workers.add(pid)
                reply = pid
            else:
                pid = int(body)
                reply = end(pid) if pid in workers else signal.SIGKILL
                workers.discard(pid)
                end_orphans(workers)
            for fd in fds:
                os.close(fd)
            frames.send(control, str(int(reply)).encode())
    finally:
        for pid in workers:
            end(pid)
        end_orphans(set())


def _fork(control: socket.socket, fds: list[int]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = BROKEN
    try:
        parent = os.getppid()
        control.close()
        os.setsid()
        prctl(SET_PDEATHSIG, signal.SIGKILL)
        prctl(SET_CHILD_SUBREAPER, 1)
        if os.getppid() == parent:
            from .worker import work

            work(*fds)
            status = 0
    except BaseException:  # a mistake of the worker itself, not of what it runs: said where its last words are looked for
        os.write(fds[-1], traceback.format_exc().encode())
    finally:
        os._exit(status)


def end(pid: int) -> int:
    """End a worker and its process group; returns its exit status as `waitpid` gives it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, 0)[1]
    return 0


def end_orphans(workers: set[int]) -> None:
    """End what workers have left behind: children of this process that it did not make."""
    until = time.monotonic() + 1.0
    while (left := children() - workers) and time.monotonic() < until:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def children() -> set[int]:
    """Processes whose parent is this one."""
    own = Path(f"/proc/self/task/{os.getpid()}/children")
    return set(map(int, own.read_text().split())) if own.exists() else _children_by_search()


def _children_by_search() -> set[int]:
    """The same from a kernel that keeps no list of them."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_bytes().rpartition(b")")[2].split()[1]) == os.getpid():
                found.add(int(stat.parent.name))
    return found


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    for module in PRELOADED:
        __import__(module)
    import torch

    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        serve(control)


if __name__ == "__main__":
    main()
