"""A call of an analyzer that does its work in a worker. Wrappers of `run_analyzer` cannot tell it from another, but by its class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..analysis.counters import count_all
from ..analysis.desk import Call, Task
from ..errors import StrobeError
from ..schema import Made
from . import frames, memory
from .answers import Answer
from .memory import Region
from .orders import Mapped, Order
from .passes import SharedPass
from .process import Died, WorkerProcess, size
from .workers import Workers

if TYPE_CHECKING:
    from ..registration.registry import Plugin


class CallFailed(StrobeError):
    """What an analyzer in a worker raised, or died of; `kind` and `text` go into its failure row."""

    def __init__(self, kind: str, message: str, text: str = "", bad: str = "") -> None:
        super().__init__(message)
        self.kind, self.text, self.bad_tensors = kind, text, bad


@dataclass(frozen=True, eq=False)
class IsolatedCall(Call):
    """`milliseconds` (CPU), `bad_tensors` and `notes` say afterwards what the worker told."""

    workers: Workers
    task: Task
    shared: SharedPass | None = None
    families: Sequence[str] = ()
    digest: str = ""
    _said: list[Answer] = field(default_factory=list)
    _notes: list[str] = field(default_factory=list)

    def __call__(self) -> Made:
        plugin = self.workers.registry.get("analyzer", self.name)
        if why := self.workers.quarantine(plugin.package):
            raise CallFailed("quarantined", why)
        answer = self._asked(plugin)
        self._said.append(answer)
        self._notes.extend(self.workers.new_notes(self.name, answer.notes))
        count_all(answer.counts)
        if answer.kind != "made":
            raise CallFailed(answer.kind, _advised(answer, self.workers.isolation.memory), answer.text, answer.bad)
        try:
            return answer.made(self.analyzer.Row)
        except ValueError as e:
            self.workers.strike(plugin.package, "garbage")
            raise CallFailed("garbage", f"what its worker answered is not what it declares: {e}") from e

    def _asked(self, plugin: Plugin) -> Answer:
        regions: list[Region] = []
        try:
            families = [self.workers.registry.get("family", name) for name in self.families]
            return self.workers.ask(plugin, families, lambda worker: self._order(worker, regions))
        except Died as e:
            raise CallFailed(e.kind, f"{e}; mend {plugin.package}, or leave it out", e.text) from e
        finally:
            for region in regions:
                region.close()

    def _order(self, worker: WorkerProcess, regions: list[Region]) -> tuple[Order, list[int]]:
        """The order for this call, with what the worker does not know yet."""
        task, fds = self.task, list[int]()
        recipe = task.recipes[self.name]
        order = Order(next(self.workers.numbers), replace(task, recipes={self.name: recipe}, results={}), self.digest)
        tables = [(name, table) for name, found in task.results.get(self.name, {}).items() for table in found]
        if tables:
            regions.append(memory.share_bytes([frames.ipc(table) for _, table in tables]))
            results = Mapped(f"results {order.number}", _put(fds, regions[-1].fd), spans=regions[-1].spans)
            order = replace(order, results=results, upstream=tuple(name for name, _ in tables))
        if self.shared is not None and recipe.bound.needs_forward:
            arena = self.shared.arena()
            captured = self._mapped(worker, fds, f"captured {self.workers.arenas}", arena)
            about = (self.shared.probe.name, self.shared.probe.table)
            probe = self._mapped(worker, fds, f"probe {self.shared.probe.digest}", self.shared.probe_region(), about)
            order = replace(order, captured=captured, takes=self.shared.plan.takes[self.name], probe=probe)
        return order, fds

    def _mapped(self, worker: WorkerProcess, fds: list[int], name: str, region: Region, extra: Any = None) -> Mapped:
        if name in worker.knows:
            return Mapped(name)
        worker.knows = {n for n in worker.knows if n.partition(" ")[0] != name.partition(" ")[0] or name.startswith("probe")} | {name}
        return Mapped(name, _put(fds, region.fd), region.places, extra=extra)

    @property
    def milliseconds(self) -> float:
        return sum(a.milliseconds for a in self._said)

    @property
    def bad_tensors(self) -> str:
        return "".join(a.bad for a in self._said)

    @property
    def notes(self) -> list[str]:
        return self._notes


def _put(fds: list[int], fd: int) -> int:
    fds.append(fd)
    return len(fds) - 1


def _advised(answer: Answer, most: int) -> str:
    if answer.kind == "memory":
        room = f"it ran out of the {size(most)} of memory it may take ({answer.message})"
        return f"{room}; allow more with --memory, or let it go through its input in parts"
    if answer.kind == "exit":
        return f"{answer.message}; a hook returns rows, or raises"
    return answer.message
