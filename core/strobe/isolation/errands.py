"""What a worker is wanted for: the analyzer of one cell, and the order for it, made for the worker that is to have it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..analysis.desk import Task
from . import frames, memory
from .memory import Region
from .orders import Mapped, Order
from .passes import SharedPass
from .process import WorkerProcess

if TYPE_CHECKING:
    import pyarrow as pa

    from ..registration.registry import Plugin


@dataclass(frozen=True, eq=False)
class Errand:
    """The one cell of `task`, for the worker of the package of `plugin`; `digest` is that of its checkpoint."""

    plugin: Plugin
    families: Sequence[Plugin]
    task: Task
    digest: str = ""
    shared: SharedPass | None = None

    @property
    def imports(self) -> tuple[Plugin, ...]:
        """What a worker must have imported for it."""
        return (*self.families, self.plugin)

    @contextmanager
    def order(self, number: int, worker: WorkerProcess) -> Iterator[tuple[Order, list[int]]]:
        """The order for this worker, with what it does not know yet; to be sent inside."""
        (cell,), fds, given = self.task.cells, list[int](), self._results()
        recipe = self.task.recipes[cell.analyzer]
        order = Order(number, replace(self.task, recipes={cell.analyzer: recipe}, results={}), self.digest)
        if self.shared is not None and recipe.bound.needs_forward:
            order = self._on_pass(order, self.shared, worker, fds)
        if not given:
            yield order, fds
            return
        region = memory.share_bytes([frames.ipc(table) for _, table in given])
        try:
            results = Mapped(f"results {number}", _put(fds, region.fd), spans=region.spans)
            yield replace(order, results=results, upstream=tuple(name for name, _ in given)), fds
        finally:
            region.close()

    def _results(self) -> list[tuple[str, pa.Table]]:
        """What it consumes, as (upstream, table)."""
        (cell,) = self.task.cells
        return [(name, table) for name, found in self.task.results.get(cell.analyzer, {}).items() for table in found]

    def _on_pass(self, order: Order, shared: SharedPass, worker: WorkerProcess, fds: list[int]) -> Order:
        arena = shared.arena()  # which is given its number when it is made
        captured = _mapped(worker, fds, f"captured {shared.workers.arenas}", arena)
        about = (shared.probe.name, shared.probe.table)
        probe = _mapped(worker, fds, f"probe {shared.probe.digest}", shared.probe_region(), about)
        return replace(order, captured=captured, takes=shared.plan.takes[self.task.cells[0].analyzer], probe=probe)


def _mapped(worker: WorkerProcess, fds: list[int], name: str, region: Region, extra: Any = None) -> Mapped:
    """A region by its name alone for a worker that has it, else with its file descriptor."""
    if name in worker.knows:
        return Mapped(name)
    kind = name.partition(" ")[0]
    worker.knows = {n for n in worker.knows if n.partition(" ")[0] != kind or kind == "probe"} | {name}
    return Mapped(name, _put(fds, region.fd), region.places, extra=extra)


def _put(fds: list[int], fd: int) -> int:
    fds.append(fd)
    return len(fds) - 1
