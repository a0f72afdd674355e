"""What a stranger's code changes around itself, seen from within its worker: global state, which is put back, and traces outside, which are told."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import contextlib
import io
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
TOUCHES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink", "sqlite3.connect")
COARSE = 5
"""Linux's CLOCK_REALTIME_COARSE, by which files get their times: it lags some milliseconds behind the other."""
SIGNALS = tuple(sorted(map(int, signal.valid_signals())))
NAMED = 3
"""Files, ports or variables that a note names before it says how many more."""


@dataclass(frozen=True, eq=False)
class State:
    """Global state of a process that one analyzer could change under another."""

    dtype: torch.dtype
    threads: int
    gradients: bool
    folder: str
    environment: dict[str, str]
    raw_environment: Any
    handlers: tuple[Any, ...]
    torch_numbers: torch.Tensor
    numpy_numbers: Any
    python_numbers: Any

    @classmethod
    def now(cls) -> State:
        return cls(
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            _folder(),
            dict(os.environ),
            dict(_raw_environment()),
            _handlers(),
            torch.random.get_rng_state(),
            np.random.get_state(legacy=False),
            random.getstate(),
        )

    def changed(self) -> list[str]:
        """What is otherwise by now, in words; and puts it back."""
        return [words for words in (self._torch(), self._numbers(), self._folder(), self._environment(), self._handlers()) if words]

    def _torch(self) -> str:
        said = []
        if (dtype := torch.get_default_dtype()) != self.dtype:
            said.append(f"torch's default dtype to {str(dtype).removeprefix('torch.')}")
            torch.set_default_dtype(self.dtype)
        if (threads := torch.get_num_threads()) != self.threads:
            said.append(f"torch's number of threads to {threads}")
            torch.set_num_threads(self.threads)
        if (on := torch.is_grad_enabled()) != self.gradients:
            said.append(f"torch's gradients to {'on' if on else 'off'}")
            torch.set_grad_enabled(self.gradients)
        return " and ".join(said)

    def _numbers(self) -> str:
        """Random state. Every call starts from the same, whoever drew before."""
        said = []
        if not torch.equal(torch.random.get_rng_state(), self.torch_numbers):
            said.append("torch")
            torch.random.set_rng_state(self.torch_numbers)
        if not _same_numbers(np.random.get_state(legacy=False), self.numpy_numbers):
            said.append("numpy")
            np.random.set_state(self.numpy_numbers)
        if random.getstate() != self.python_numbers:
            said.append("random")
            random.setstate(self.python_numbers)
        return f"the random state of {' and '.join(said)} (context.rng is its own generator)" if said else ""

    def _folder(self) -> str:
        if (folder := _folder()) == self.folder:
            return ""
        os.chdir(self.folder)
        return f"the working folder to {folder or 'one that is gone'}"

    def _environment(self) -> str:
        if _raw_environment() == self.raw_environment:
            return ""
        now = dict(os.environ)
        names = sorted(n for n in {*now, *self.environment} if now.get(n) != self.environment.get(n))
        for name in names:
            os.environ.pop(name, None)
        os.environ.update({n: self.environment[n] for n in names if n in self.environment})
        return f"environment variables ({few(names)})"

    def _handlers(self) -> str:
        before = dict(zip(SIGNALS, self.handlers, strict=True))
        numbers = [n for n, now in zip(SIGNALS, _handlers(), strict=True) if now is not before[n] and now != before[n]]
        for n in numbers:
            signal.signal(n, signal.SIG_DFL if before[n] is None else before[n])
        return f"what happens on signals ({few([signal.Signals(n).name for n in numbers])})" if numbers else ""


@contextmanager
def unchanged() -> Iterator[None]:
    """Global state after is as it was before: around the import of a stranger's module in this process."""
    before = State.now()
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            before.changed()


def few(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def _raw_environment() -> Any:
    """What `os.environ` decodes, a variable at a time: comparing that costs more than anything else here."""
    return os.environ._data  # type: ignore[attr-defined]


def _handlers() -> tuple[Any, ...]:
    return tuple(map(_signal.getsignal, SIGNALS))  # `signal.getsignal` makes enums of them, 2 us each


def _same_numbers(a: Any, b: Any) -> bool:
    return bool(a["state"]["pos"] == b["state"]["pos"] and np.array_equal(a["state"]["key"], b["state"]["key"]))


@dataclass
class Trace:
    """What code left outside of its memory: files, ports, processes, threads, output streams. `install` once per process, `begin`, call, `end`."""

    workspace: Path
    files: dict[str, None] = field(default_factory=dict)
    ports: dict[str, None] = field(default_factory=dict)
    forks: int = 0
    _on: bool = False

    def install(self) -> None:
        self._inside = f"{self.workspace}{os.sep}"
        self._streams = {1: os.dup(1), 2: os.dup(2)}
        self._inodes = {n: os.fstat(fd).st_ino for n, fd in self._streams.items()}
        sys.addaudithook(self._heard)

    def begin(self) -> None:
        self.files, self.ports, self.forks, self._on = {}, {}, 0, True
        self._since = time.clock_gettime_ns(COARSE)
        self._written, self._threads = _written(), threading.active_count()

    def end(self) -> tuple[list[str], bool]:
        """What was left, in words; and whether this worker is not to be used any more."""
        self._on = False
        found = list(self.files) or (self._files_since() if _written() != self._written else [])
        notes = [f"it changed files of the workspace: {few(found)}; restore them, and write results by yielding rows"] if found else []
        if self.ports:
            notes.append(f"it opened a port ({few(list(self.ports))}); its worker was ended, and the port with it")
        left, extra = _children(), threading.active_count() - self._threads
        if self.forks or left:
            notes.append(f"it forked; {left or 'no'} process{'' if left == 1 else 'es'} of its own {'was' if left == 1 else 'were'} left, and ended")
        if extra > 0:
            notes.append(f"it left {extra} thread{'' if extra == 1 else 's'} running; its worker was ended, and they with it")
        if streams := self._reopened():
            notes.append(f"it closed {streams}; opened again")
        return notes, bool(self.ports or left or extra > 0)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Python tells of every file it opens, port it binds and process it forks; C code does not."""
        if not self._on:
            return
        if event == "open":
            path, mode, flags = arguments
            if (set("wax+") & set(mode) if mode else (flags or 0) & WRITES) and not isinstance(path, int):
                self._touched(path)
        elif event in TOUCHES:
            for path in arguments[: 2 if event in ("os.rename", "os.link", "os.symlink") else 1]:
                self._touched(path)
        elif event == "socket.bind":
            self.ports[_port(arguments[1])] = None
        elif event in ("os.fork", "os.forkpty"):
            self.forks += 1

    def _touched(self, path: Any) -> None:
        with contextlib.suppress(OSError, TypeError, ValueError):
            whole = os.path.realpath(os.fsdecode(path))
            if whole.startswith(self._inside):
                self.files[whole.removeprefix(self._inside)] = None

    def _files_since(self) -> list[str]:
        """Files of the runs and reports that changed while it ran, found by their times: what C code wrote."""
        found = []
        for top in ("runs", "reports"):
            for folder, _, names in os.walk(self.workspace / top):
                for name in names:
                    path = os.path.join(folder, name)
                    with contextlib.suppress(OSError):
                        if os.stat(path).st_ctime_ns >= self._since:
                            found.append(path.removeprefix(self._inside))
        return sorted(found)

    def _reopened(self) -> str:
        """Which output streams it closed or sent elsewhere: they are put back."""
        said = []
        for number, name in ((1, "stdout"), (2, "stderr")):
            stream = getattr(sys, name)
            if not _is(number, self._inodes[number]):
                os.dup2(self._streams[number], number)
                said.append(name)
            if stream is None or stream.closed or stream is not getattr(sys, f"__{name}__"):
                said.append(name)
                fresh = io.TextIOWrapper(io.FileIO(number, "w", closefd=False), line_buffering=True)
                setattr(sys, name, fresh)
                setattr(sys, f"__{name}__", fresh)
        return " and ".join(dict.fromkeys(said))


def _is(number: int, inode: int) -> bool:
    try:
        return os.fstat(number).st_ino == inode
    except OSError:
        return False


def _port(address: Any) -> str:
    return f"{address[0] or '*'}:{address[1]}" if isinstance(address, tuple) else os.fsdecode(address)


def _written() -> int:
    """Bytes this process has written so far, to whatever; 0 where the kernel does not count."""
    try:
        with open("/proc/self/io", "rb") as f:
            return int(f.read().split(b"wchar: ")[1].split()[0])
    except (OSError, IndexError):
        return 0


def _children() -> int:
    """How many processes it left running. Ends them: every one, by number, is this worker's own or has been left to it."""
    from .server import children, end

    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        left = children()
        for pid in left:
            end(pid)
        return len(left)
    return 0
