"""One worker, seen from the process it works for: asked, waited for, given up on, and explained when it has died."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import re
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from linecache import getline
from typing import TYPE_CHECKING

from ..errors import StrobeError
from . import frames
from .answers import Answer
from .launcher import launcher
from .limits import Isolation
from .orders import Import, Order, Settled
from .server import BROKEN

if TYPE_CHECKING:
    from typing import Self

LOOK = 0.1
"""Seconds between two looks at how much memory a worker takes."""
STACK = 2.0
"""Seconds a worker that is out of time has at most to say where it is: it does at once, where the machine lets it."""
LARGEST = 4 * 2**30
"""Bytes of the largest answer."""
KEPT = 8 * 1024
"""Bytes of what a call prints that are kept; all of it is read."""
PAGE = os.sysconf("SC_PAGE_SIZE")
FRAME = re.compile(r'^  File "(.+)", line (\d+) in (.+)$', re.MULTILINE)
SIGNALS: dict[int, str] = {signal.SIGSEGV: "segmentation fault", signal.SIGBUS: "bus error", signal.SIGABRT: "abort"}
READ_ONLY = "what hooks are given is read-only: if that line writes to it, let it write to a copy (`tensor.clone()`)"


class Died(StrobeError):
    """A worker that will not answer any more: `kind` is `crash`, `exit`, `deadline`, `memory` or `garbage`; `text` the stack it died with."""

    def __init__(self, kind: str, message: str, text: str = "") -> None:
        super().__init__(message)
        self.kind, self.text = kind, text


class WorkerProcess:
    """A worker and the ends of what connects it: a socket for orders and answers, a pipe of what it prints, a memory file for its last words."""

    def __init__(self, pid: int, connection: socket.socket, output: int, crash: int) -> None:
        self.pid, self.connection, self.output, self.crash = pid, connection, output, crash
        self.knows: set[str] = set()
        self.bytes_printed = self._inherited = self._number = 0
        self._inherited = self._memory()
        self._kept = bytearray()
        self._gone = os.pidfd_open(pid)
        self._poll = select.poll()
        for fd in (connection.fileno(), output, self._gone):
            self._poll.register(fd, select.POLLIN)

    @classmethod
    def start(cls, package: str, isolation: Isolation) -> Self:
        """A new worker, told what it needs to know of this process."""
        here, there = socket.socketpair()
        output, printing = os.pipe()
        os.set_blocking(output, False)
        with contextlib.suppress(OSError):  # fewer turns for who prints much
            fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, 2**20)
        crash = os.memfd_create(f"strobe-{package}", os.MFD_CLOEXEC)
        try:
            with there:
                pid = launcher().fork([there.fileno(), printing, crash])
        except BaseException:
            here.close()
            for fd in (output, crash):
                os.close(fd)
            raise
        finally:
            os.close(printing)
        worker = cls(pid, here, output, crash)
        settled = Settled(tuple(sys.path), dict(os.environ), os.getcwd(), isolation.workspace, isolation.memory)
        with contextlib.suppress(OSError):  # one that is dead already is found so when it is asked
            frames.send(here, pickle.dumps(settled))
        return worker

    def ask(self, order: Order | Import, fds: Sequence[int], deadline: float, memory: int) -> Answer:
        """Send an order and wait for its answer. Raises `Died`."""
        self.begin(order, fds, deadline)
        return self.answer(deadline, memory)

    def begin(self, order: Order | Import, fds: Sequence[int], deadline: float) -> None:
        """Send an order to one that has nothing to do. That it is dead is found when its answer is waited for."""
        self.bytes_printed = 0
        self._number = order.number
        self.connection.settimeout(deadline)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
            frames.send(self.connection, pickle.dumps(order), fds)
        self.connection.setblocking(False)

    def answer(self, deadline: float, memory: int) -> Answer:
        """What it says to the order it works on; from now on, it has `deadline` seconds. Raises `Died`."""
        incoming = frames.Incoming(LARGEST)
        try:
            self._wait(incoming, deadline, memory)
            return Answer.of(self._number, *incoming.parts())
        except ValueError as e:
            raise Died("garbage", f"what its worker answered cannot be read: {e}; nothing but the rows may be written to its connection") from e
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            raise self._autopsy() from None
        finally:
            self._drain()

    def _wait(self, incoming: frames.Incoming, deadline: float, memory: int) -> None:
        """Until its answer is there, or its time or its memory is used up."""
        looked = time.monotonic()
        until = looked + deadline
        while not self._arrived(incoming):
            if (now := time.monotonic()) > until:
                late = f"it took longer than {deadline:g} s and was ended{self._where()}; allow more with --deadline"
                raise Died("deadline", late, self._stack())
            if now - looked < LOOK:
                continue
            looked = now
            if memory and (taken := self._memory()) > memory:
                raise Died("memory", f"it took more than {size(memory)} of memory ({size(taken)}) and was ended; allow more with --memory")

    def _arrived(self, incoming: frames.Incoming) -> bool:
        """Wait a little; whether the answer is there."""
        ready = {fd for fd, _ in self._poll.poll(LOOK * 1000)}
        if self.output in ready:
            self._drain(1)
        if self.connection.fileno() in ready:
            data = self.connection.recv(2**20)
            if not data:
                raise ConnectionResetError
            return incoming.feed(data)
        if self._gone in ready:
            raise ConnectionResetError
        return False

    def _drain(self, most: int = 1024) -> None:
        """Read what it has printed; keep the beginning."""
        with contextlib.suppress(BlockingIOError):
            while most and (data := os.read(self.output, 2**16)):
                most -= 1
                self.bytes_printed += len(data)
                self._kept += data[: max(KEPT - len(self._kept), 0)]

    def printed(self, most: int) -> bytes:
        """What it has printed since this was last asked, up to `most` bytes; the rest is gone."""
        text, self._kept = bytes(self._kept[: max(most, 0)]), bytearray()
        return text

    def end(self) -> None:
        """End it and all it has started."""
        launcher().end(self.pid)
        self._close()

    def _close(self) -> None:
        self.connection.close()
        for fd in (self.output, self.crash, self._gone):
            with contextlib.suppress(OSError):
                os.close(fd)

    def _memory(self) -> int:
        """Bytes that it has taken since it was started; what it was forked with, or shares, does not count."""
        with contextlib.suppress(OSError, ValueError), open(f"/proc/{self.pid}/statm") as f:
            _, resident, shared, *_ = map(int, f.read().split())
            return (resident - shared) * PAGE - self._inherited
        return 0

    # --- why it died -----------------------------------------------------------------------------------------------------------------------

    def _autopsy(self) -> Died:
        status = launcher().end(self.pid)
        if os.WIFEXITED(status):
            code = os.WEXITSTATUS(status)
            if code == BROKEN and "Traceback" in self._stack():
                return Died("crash", f"Strobe's own worker broke ({self._stack().splitlines()[-1]}): please report this", self._stack())
            return Died("exit", f"it ended its process (os._exit({code}), or the like); a hook returns rows, or raises", self._stack())
        number = os.WTERMSIG(status)
        if number == signal.SIGKILL and not self._stack():
            return Died("crash", "its process was killed, most likely by the system for want of memory, or it cut its connection; see --memory")
        name = SIGNALS.get(number) or signal.Signals(number).name
        hint = f"; {READ_ONLY}" if number in (signal.SIGSEGV, signal.SIGBUS) else ""
        return Died("crash", f"it crashed in native code ({name}){self._place()}{hint}", self._stack())

    def _where(self) -> str:
        """Where a worker that still lives is: it writes its stack on a signal, from C code as well."""
        before = os.fstat(self.crash).st_size
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGUSR1)
        until = time.monotonic() + STACK
        while os.fstat(self.crash).st_size == before and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.01)  # the innermost lines come first
        return self._place()

    def _stack(self) -> str:
        return os.pread(self.crash, 2**16, 0).decode("utf-8", errors="replace")

    def _place(self) -> str:
        """The innermost line of its stack that is neither Python's, nor a library's, nor ours."""
        places = [m for m in FRAME.findall(self._stack()) if not _library(m[0])]
        if not places:
            return ""
        file, line, function = places[0]
        code = getline(file, int(line)).strip()
        return f" at {file}:{line}, in {function}{f': `{code}`' if code else ''}"


LIBRARIES = ("torch", "numpy", "pandas", "pyarrow", "scipy", "strobe")


def _library(file: str) -> bool:
    parts = file.split(os.sep)
    return (
        file.startswith("<")
        or f"python{sys.version_info.major}.{sys.version_info.minor}" == (parts[-2] if len(parts) > 1 else "")
        or any(name in parts for name in LIBRARIES)
    )


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.0f} MB"
