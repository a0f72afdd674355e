"""The fork server's client. One server serves a whole process; it is started when a worker is first wanted, and again if it has gone."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence

from ..errors import StrobeError
from . import frames

READY = 120.0
"""Seconds that the server may take to import torch and the rest, on the slowest disk."""


class Launcher:
    """Starts a fork server and asks it for workers. Safe to use from several threads."""

    def __init__(self) -> None:
        self.forks = 0
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Start the server unless it lives; does not wait for it: importing torch takes it a second or two."""
        with self._lock:
            self._started()

    def fork(self, fds: Sequence[int]) -> int:
        """A new worker that has these file descriptors; returns its process id."""
        self.forks += 1
        return self._ask(b"fork", fds)

    def end(self, pid: int) -> int:
        """End a worker and all it has started; returns its exit status as `waitpid` gives it."""
        return self._ask(str(pid).encode())

    def close(self) -> None:
        """End the server, and with it all workers."""
        with self._lock:
            self._stop()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def _ask(self, wish: bytes, fds: Sequence[int] = ()) -> int:
        with self._lock:
            if wish != b"fork" and self._control is None:
                return signal.SIGKILL
            try:
                return self._asked(wish, fds)
            except OSError:
                self._stop()  # it has gone, idle or killed, and its workers with it
            if wish != b"fork":
                return signal.SIGKILL
            try:
                return self._asked(wish, fds)
            except OSError as e:
                self._stop()
                raise StrobeError(f"no worker for isolated analyzers could be started ({e}); --isolate none runs them in this process") from e

    def _asked(self, wish: bytes, fds: Sequence[int]) -> int:
        control = self._started()
        frames.send(control, wish, fds)
        reply = frames.receive(control)
        if reply is None:
            raise ConnectionResetError("its fork server ended")
        return int(reply[0])

    def _started(self) -> socket.socket:
        if self._control is None:
            here, there = socket.socketpair()
            here.settimeout(READY)
            with there:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "strobe.isolation.server", str(there.fileno())],
                    pass_fds=[there.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                    env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                )
            self._control = here
        return self._control

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self._process.kill()
            self._process.wait()
        self._control = self._process = None


_launchers: dict[int, Launcher] = {}


def launcher() -> Launcher:
    """This process's own: one that was inherited by a fork belongs to the parent."""
    if os.getpid() not in _launchers:
        _launchers.clear()
        _launchers[os.getpid()] = Launcher()
        atexit.register(_launchers[os.getpid()].close)
    return _launchers[os.getpid()]
