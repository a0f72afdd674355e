"""The workers of one analysis: one per package, started when it is first needed, replaced when it dies, ended with the analysis."""

from __future__ import annotations

import itertools
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..registration.registry import Plugin, Registry
from .answers import Answer
from .limits import STRIKES, SUPPORTED, Isolation, importing
from .memory import Arena, Region
from .orders import Import, portable
from .process import Died, WorkerProcess

if TYPE_CHECKING:
    import torch

    from ..analysis.desk import Recipe
    from .errands import Errand

MOST = 16
"""Workers alive at a time; the one that was used longest ago makes room."""
PASSED_ON = 8 * 1024
"""Bytes of what a package prints that are passed on to stderr."""
MUCH = 2**20
"""Bytes printed by one call that are worth a note."""


class Workers:
    """Who runs isolated, and where."""

    def __init__(self, registry: Registry, isolation: Isolation) -> None:
        self.registry, self.isolation = registry, isolation
        self.probes: dict[str, Region] = {}
        self.arenas = 0
        self._arena: Arena | None = None
        self.numbers = itertools.count(1)
        self._alive: dict[str, WorkerProcess] = {}
        self._under_way: dict[str, Errand] = {}
        self._strikes: dict[str, list[str]] = defaultdict(list)
        self._printed: Counter[str] = Counter()
        self._noted: set[tuple[str, str]] = set()

    def takes(self, recipe: Recipe) -> bool:
        """Whether an analyzer runs in a worker. One that was defined in this session cannot travel."""
        if self.isolation.mode == "none" or not SUPPORTED:
            return False
        if recipe.file:
            return True
        plugin = self.registry.get("analyzer", recipe.bound.name)
        return plugin.entry is not None and (self.isolation.mode == "all" or plugin.package != "strobe")

    def quarantine(self, package: str) -> str:
        """Why a package is not tried again in this analysis, '' while it is."""
        strikes = self._strikes[package]
        if len(strikes) < STRIKES:
            return ""
        return (
            f"{package} is not tried again in this analysis: it has cost {len(strikes)} workers ({', '.join(strikes)}); "
            f"mend it, or leave it out (`strobe plugins disable NAME`)"
        )

    def ask(self, errand: Errand, following: Errand | None = None) -> Answer:
        """Have the worker of a plugin's package run an errand, and begin with what follows. Raises `Died`; the next call has a new one."""
        package, said = errand.plugin.package, tuple[str, ...]()
        if self._under_way.get(package) is not errand:
            self.interrupt(package)
            worker = self._worker(package)
            wanted = tuple(p for p in errand.imports if p.who not in worker.knows)
            if wanted:  # an import has a deadline of its own: torch extensions take seconds, and it happens once
                answer = self._imported(worker, package, wanted)
                if answer.kind != "made" or answer.spent:
                    return replace(answer, kind="error" if answer.spent else answer.kind, message=answer.message or f"importing it: {answer.notes}")
                said = answer.notes
            self._begin(worker, errand)
        answer = self._answered(self._alive[package], package, self.isolation.deadline)
        if following is not None and (ready := self._ready(following)):
            self._begin(ready, following)
        return replace(answer, notes=(*said, *answer.notes))

    def interrupt(self, package: str = "") -> None:
        """End workers that are on an errand nobody will ask about: all, or that of one package. A cell that is tried again comes to this."""
        for name in [package] if package else list(self._under_way):
            if name in self._under_way:
                self._drop(name)

    def _begin(self, worker: WorkerProcess, errand: Errand) -> None:
        with errand.order(next(self.numbers), worker) as (order, fds):
            worker.begin(order, fds, self.isolation.deadline)
        self._under_way[errand.plugin.package] = errand

    def _ready(self, errand: Errand) -> WorkerProcess | None:
        """The worker for an errand, if it lives and has imported what that needs."""
        worker = self._alive.get(errand.plugin.package)
        return worker if worker is not None and all(p.who in worker.knows for p in errand.imports) else None

    def _imported(self, worker: WorkerProcess, package: str, plugins: Sequence[Plugin]) -> Answer:
        worker.begin(Import(next(self.numbers), tuple(map(portable, plugins))), (), importing())
        answer = self._answered(worker, package, importing())
        worker.knows |= {p.who for p in plugins} if answer.kind == "made" else set()
        return answer

    def _answered(self, worker: WorkerProcess, package: str, deadline: float) -> Answer:
        try:
            answer = worker.answer(deadline, self.isolation.memory)
        except Died as e:
            self._pass_on(package, worker)
            self.strike(package, e.kind)
            raise
        except BaseException:  # interrupted: whatever it answers now, nobody reads
            self._drop(package)
            raise
        self._under_way.pop(package, None)
        self._pass_on(package, worker)
        if answer.kind in ("exit", "memory"):
            self.strike(package, answer.kind)
        if worker.bytes_printed > MUCH:
            note = f"it printed {worker.bytes_printed:,} bytes; the first {PASSED_ON:,} of its package were passed on"
            answer = replace(answer, notes=(*answer.notes, note))
        if answer.spent:
            self._drop(package)
        return answer

    def room(self, keys: Iterable[Any]) -> dict[Any, torch.Tensor]:
        """Where what a pass captures may be written at once: as the arena of the checkpoint before has it, when it is for the same keys."""
        arena = self._arena
        return arena.room if arena is not None and [*arena.places] == [*keys] else {}

    def filled(self, tensors: Mapping[Any, torch.Tensor]) -> Arena:
        """These tensors in shared memory: the same for every checkpoint, as long as they are of the same shapes."""
        if self._arena is None or not self._arena.fits(tensors):
            if self._arena is not None:
                self._arena.close()
            self._arena = Arena.like(tensors)
            self.arenas += 1
        self._arena.fill(tensors)
        return self._arena

    def strike(self, package: str, kind: str) -> None:
        """A worker that can be trusted no more: the next call has a new one."""
        self._strikes[package].append(kind)
        self._drop(package)

    def new_notes(self, name: str, worker_notes: Sequence[str]) -> list[str]:
        """Those of this analyzer that have not been said before in this analysis: one per kind of thing, by its first words."""
        found = []
        for note in worker_notes:
            kind = (name, " ".join(note.split()[:3]))
            if kind not in self._noted:
                self._noted.add(kind)
                found.append(note)
        return found

    def close(self) -> None:
        """End all workers and let go of what they shared."""
        for package in list(self._alive):
            self._drop(package)
        for region in (*self.probes.values(), self._arena):
            if region is not None:
                region.close()
        self.probes.clear()
        self._arena = None

    def _worker(self, package: str) -> WorkerProcess:
        worker = self._alive.pop(package, None) or WorkerProcess.start(package, self.isolation)
        self._alive[package] = worker  # the last in order is the one used last
        while len(self._alive) > MOST:
            self._drop(next(iter(self._alive)))
        return worker

    def _drop(self, package: str) -> None:
        self._under_way.pop(package, None)
        if worker := self._alive.pop(package, None):
            worker.end()

    def _pass_on(self, package: str, worker: WorkerProcess) -> None:
        """The beginning of what it printed, to where people look for such things."""
        text = worker.printed(PASSED_ON - self._printed[package])
        if text:
            print(text.decode("utf-8", errors="replace"), end="", file=sys.stderr)
        self._printed[package] += len(text)
