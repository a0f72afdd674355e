"""A worker: takes orders from a socket, calls analyzers, and answers with JSON and Arrow. Forked from the server, for one package."""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import os
import pickle
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..analysis import counters
from ..analysis.desk import Call, Desk, Handed, explained
from ..arguments import Probe
from ..checkpoints import read_tensor
from ..registration.registry import Plugin, Registry
from ..runs.run import Run
from ..schema import Made
from ..weights import Weights
from . import frames, memory
from .limits import WORKER
from .orders import Import, Mapped, Order, Portable, Settled
from .watch import State, Trace


def work(connection: int, output: int, crash: int) -> None:
    """Take orders until the other side is gone. `output` takes what analyzers print, `crash` the stack of a crash or a hang."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(output)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 (for as long as the process lives)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable(file=crash, all_threads=False)
    faulthandler.register(signal.SIGUSR1, file=crash, all_threads=False)
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        _Worker(socket.socket(fileno=connection)).run()


@dataclass
class _Said:
    """An answer in the making."""

    kind: str = "made"
    message: str = ""
    text: str = ""
    made: Made | None = None
    bad: str = ""
    counts: Mapping[str, int] | None = None
    milliseconds: float = 0.0


class _Worker:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.pid = os.getpid()
        self.plugins: dict[tuple[str, str], Plugin] = {}
        self.registry = Registry(())
        self.runs: dict[Path, Run] = {}
        self.weights: dict[tuple[Path, int, str], Weights] = {}
        self.regions: dict[str, tuple[Any, Any]] = {}
        os.register_at_fork(after_in_child=connection.close)

    def run(self) -> None:
        first = frames.receive(self.connection)
        if first is None:
            return
        self._settle(pickle.loads(first[0]))
        while (frame := frames.receive(self.connection)) is not None:
            self._do(pickle.loads(frame[0]), frame[1])

    def _settle(self, settled: Settled) -> None:
        sys.path[:] = settled.path
        os.environ.clear()
        os.environ.update({**settled.environment, WORKER: "1"})
        with contextlib.suppress(OSError):
            os.chdir(settled.folder)
        torch.set_num_threads(1)
        from ..analysis.executors import keep_freed_memory

        keep_freed_memory()
        self.trace = Trace(settled.workspace)
        self.trace.install()
        if settled.memory:
            limit = _data() + settled.memory
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        self.state = State.now()

    def _do(self, order: Order | Import, fds: list[int]) -> None:
        said = _Said()
        self.trace.begin()
        start = time.thread_time()
        try:
            if isinstance(order, Import):
                self._import(order.plugins)
            else:
                self._call(order, fds, said)
        except Exception as e:  # the plugin boundary
            said.kind, said.message, said.text = _memory(e) or explained(e)
        except BaseException as e:
            said.kind, said.message, said.text = "exit", _left(e), "".join(traceback.format_exception(e))
        said.milliseconds = (time.thread_time() - start) * 1e3
        if os.getpid() != self.pid:
            os._exit(0)  # a copy of this worker that the analyzer has forked: only the original answers
        self._answer(order.number, said)
        del said

    def _answer(self, number: int, said: _Said) -> None:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        notes, spent = self.trace.end()
        notes = [f"it changed {what}; put back" for what in self.state.changed()] + notes
        answer = {
            "number": number,
            "kind": said.kind,
            "message": said.message,
            "text": said.text,
            "not_finite": dict(said.made.not_finite) if said.made else {},
            "bad": said.bad,
            "counts": dict(said.counts or {}),
            "milliseconds": said.milliseconds,
            "notes": notes,
            "spent": spent,
        }
        frames.answer(self.connection, answer, frames.ipc(said.made.table) if said.made else b"")

    # --- one call --------------------------------------------------------------------------------------------------------------------------

    def _import(self, plugins: tuple[Portable, ...]) -> None:
        for coming in plugins:
            key = (coming.kind, coming.name)
            if key not in self.plugins:
                self.plugins[key] = self.registry.put(coming.plugin())
            self.plugins[key].load()

    def _call(self, order: Order, fds: list[int], said: _Said) -> None:
        (cell,), task = order.task.cells, order.task
        self._take(order, fds)
        recipe = task.recipes[cell.analyzer]
        analyzer = recipe.make(self.registry)
        with counters.counting() as counted, counters.landscape() if recipe.bound.category == "landscape" else contextlib.nullcontext():
            handed = self._handed(order)
            call = Call(cell.analyzer, analyzer, f"analyze_{recipe.bound.category}", handed.arguments(recipe.bound.arguments))
            try:
                said.made = call()
            finally:
                said.bad = handed.bad_tensors()
                known = {} if task.step is None else {"checkpoints_read": 0}  # of a step, the checkpoint is counted where its task is
                said.counts = {**counted, **known}

    def _handed(self, order: Order) -> Handed:
        task = replace(order.task, results={order.task.cells[0].analyzer: self._results(order)})
        (cell,) = task.cells
        if task.step is None:  # what was read of a run is counted for each of these
            return Desk(task, [Run(folder, self.registry) for folder in task.runs], self._open).derived(cell)
        runs = [self._run(folder) for folder in task.runs]
        desk, category = Desk(task, runs, self._open), task.recipes[cell.analyzer].bound.category
        weights = self._weights(runs[0], task.step, order.digest)
        if category == "weights":
            return desk.weights(cell, weights.view())
        if category == "landscape":
            return desk.landscape(cell, weights.view(), lambda: runs[0].probe(task.probe))
        assert order.captured is not None
        assert order.probe is not None
        _, captured = self.regions[order.captured.name]
        given = {site: captured[site, where] for site, where in order.takes.items()}
        return desk.on_pass(cell, weights.view(), given, self.regions[order.probe.name][1])

    def _run(self, folder: Path) -> Run:
        """A run as it was when its first checkpoint was in hand."""
        if folder not in self.runs:
            self.runs[folder] = Run(folder, self.registry)
        return self.runs[folder]

    def _weights(self, run: Run, step: int, digest: str) -> Weights:
        """The weights of the checkpoint in hand: read once for all calls on it, into memory that none of them can change."""
        key = (run.folder, step, digest)
        if key not in self.weights:
            self.weights = {key: self._open(run, step)}
        return self.weights[key]

    @staticmethod
    def _open(run: Run, step: int) -> Weights:
        weights, path = run.weights(step), run.path(step)
        read = functools.partial(read_tensor, path, copy=memory.locked)
        return Weights(names=list(weights), read=read, source=weights.source, buffers=lambda: weights.buffers)

    # --- what is shared --------------------------------------------------------------------------------------------------------------------

    def _take(self, order: Order, fds: list[int]) -> None:
        """Map what comes with an order; let go of what an earlier pass captured."""
        wanted = {m.name for m in (order.captured, order.probe) if m is not None}
        if order.captured is not None:
            self.regions = {n: r for n, r in self.regions.items() if n in wanted or n.startswith("probe")}
        for coming in (order.captured, order.probe, order.results):
            if coming is not None and coming.fd >= 0:
                self.regions[coming.name] = _mapped(coming, fds[coming.fd])
        for fd in fds:
            os.close(fd)

    def _results(self, order: Order) -> dict[str, list[Any]]:
        """Upstream analyzer -> its tables."""
        import pyarrow as pa

        found: dict[str, list[Any]] = {name: [] for name in order.task.recipes[order.task.cells[0].analyzer].bound.upstream}
        if order.results is not None:
            whole = pa.py_buffer(self.regions.pop(order.results.name)[0])
            for name, (at, size) in zip(order.upstream, order.results.spans, strict=True):
                with pa.ipc.open_stream(whole.slice(at, size)) as stream:
                    found[name].append(stream.read_all())
        return found


def _mapped(coming: Mapped, fd: int) -> tuple[Any, Any]:
    """A region and what is in it: the inputs of a probe, or what a pass captured, which are inference tensors."""
    mapped = memory.mapped(fd)
    if coming.extra is not None:
        name, table = coming.extra
        found = memory.tensors(mapped, coming.places)
        splits = {str(split): mask for (what, split), mask in found.items() if what == "split"}
        return mapped, Probe(name, found["inputs", ""], found["targets", ""], splits, table)
    with torch.inference_mode():
        return mapped, memory.tensors(mapped, coming.places)


def _memory(e: Exception) -> tuple[str, str, str] | None:
    """Whether it is memory that ran out: in Python, numpy or torch."""
    if isinstance(e, MemoryError) or "can't allocate memory" in str(e):
        return "memory", f"{type(e).__name__}: {str(e)[:200]}", "".join(traceback.format_exception(e))
    return None


def _left(e: BaseException) -> str:
    return f"it called sys.exit({e.code!r})" if isinstance(e, SystemExit) else f"it raised {type(e).__name__}, which ends a program"


def _data() -> int:
    """Bytes of private memory mapped so far."""
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmData"))
