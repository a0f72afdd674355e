"""One unit of work, wherever it runs: the step analyzers of one checkpoint on at most one forward, or one derived analyzer."""

from __future__ import annotations

import contextlib
import functools
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from ..arguments import Probe
from ..errors import CheckpointError, StrobeError
from ..isolation.calls import CallFailed, IsolatedCall
from ..isolation.errands import Errand
from ..isolation.limits import Isolation
from ..isolation.passes import SharedPass
from ..isolation.workers import Workers
from ..registration.registry import Registry
from ..runs.run import Run
from ..sites import Positions, Stop, Tap
from ..storage.failures import Failure
from ..storage.parts import StoredCell, stamp
from ..weights import Weights
from .counters import count, counting, landscape
from .desk import WROTE, Call, Desk, Handed, Task, check_tensors, explained, not_finite
from .executors import Rescue
from .hooks import Hooks, hooks
from .plan import Cell, capture

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a task. A cell is in `stored` or in `failures`; one whose rows hold nulls for non-finite weights is in both."""

    task: Task
    stored: Mapping[str, StoredCell] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    """Hooks that failed."""


class Bench:
    """A place to work: a registry, its hooks, and the workers of packages that run isolated. One per analysis, or one per worker process."""

    def __init__(self, registry: Registry, isolation: Isolation | None = None) -> None:
        self.registry = registry
        problems: list[str] = []
        self.hooks = Hooks(hooks(registry, problems), problems)
        self.isolation = isolation
        self.workers = Workers(registry, isolation) if isolation is not None else None

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        if self.workers is not None:
            self.workers.close()

    def do(self, task: Task) -> Outcome:
        """Run a task; failures of analyzers and unreadable checkpoints come back as rows."""
        start, said = time.perf_counter(), len(self.hooks.problems)
        with counting() as counters:
            work = _Work(self, task)
            work.run()
        seconds, warnings = time.perf_counter() - start, tuple(self.hooks.problems[said:])
        return Outcome(task, work.stored, tuple(work.failures), dict(counters), work.milliseconds, seconds, warnings)


@functools.lru_cache(maxsize=1)
def _worker_bench(isolation: Isolation | None) -> Bench:
    return Bench(Registry.discover(isolation.workspace if isolation else None), isolation)


def do_in_process(isolation: Isolation | None, task: Task) -> Outcome:
    """`Bench.do` in a process of the pool, which discovers plugins once."""
    return _worker_bench(isolation).do(task)


def lost(task: Task, reason: str) -> Outcome:
    """The outcome of a task whose worker died."""
    message = f"{reason}; run it again with --executor local to see where"
    return Outcome(task, failures=tuple(Failure(c.run, c.step, c.analyzer, "worker", message, cell=c.key) for c in task.cells))


def parts(task: Task) -> list[Task]:
    """The same task cell by cell."""
    return [replace(task, cells=(cell,)) for cell in task.cells]


def joined(task: Task, outcomes: list[Outcome]) -> Outcome:
    """One outcome of a task that ran in parts."""
    counters: Counter[str] = Counter()
    milliseconds: Counter[str] = Counter()
    for o in outcomes:
        counters.update(o.counters)
        milliseconds.update(o.milliseconds)
    stored = {key: cell for o in outcomes for key, cell in o.stored.items()}
    failed, warnings = (tuple(f for o in outcomes for f in o.failures), tuple(w for o in outcomes for w in o.warnings))
    return Outcome(task, stored, failed, counters, milliseconds, sum(o.seconds for o in outcomes), warnings)


RESCUE = Rescue(parts, lost, joined)


class _Work:
    """The state of one task while it runs."""

    def __init__(self, bench: Bench, task: Task) -> None:
        self.bench, self.task = bench, task
        self.runs = [Run(folder, bench.registry) for folder in task.runs]
        self.desk = Desk(task, self.runs)
        self.stored: dict[str, StoredCell] = {}
        self.failures: list[Failure] = []
        self.milliseconds: dict[str, float] = {}
        self.errands: dict[str, Errand] = {}
        self.bound = {name: r.bound for name, r in task.recipes.items()}

    def run(self) -> None:
        if self.task.step is None:
            for cell in self.task.cells:
                self._call(cell, self.desk.derived(cell))
        else:
            self._checkpoint(self.task.step)

    # --- one checkpoint --------------------------------------------------------------------------------------------------------------------

    def _checkpoint(self, step: int) -> None:
        run = self.runs[0]
        try:
            weights = run.weights(step)
        except (CheckpointError, OSError) as e:
            return self._fail_all(self.task.cells, e)
        passing = [c for c in self.task.cells if self.bound[c.analyzer].needs_forward]
        of_weights = [c for c in self.task.cells if self.bound[c.analyzer].category == "weights"]
        for cell, following in zip_longest(of_weights, of_weights[1:]):
            self._call(cell, self.desk.weights(cell, weights), following)
            weights = self._undamaged(run, weights, cell)
        if passing:
            self._pass(run, weights, passing)
        for cell in self.task.cells:
            if self.bound[cell.analyzer].category == "landscape":
                with landscape():
                    self._call(cell, self.desk.landscape(cell, weights, lambda: run.probe(self.task.probe)))

    def _pass(self, run: Run, weights: Weights, cells: list[Cell]) -> None:
        try:
            probe = run.probe(self.task.probe)
            plan = capture(self.bound, [c.analyzer for c in cells], run.family.sites(), run.family.read_out)
            isolated = self._isolated(cells)
            shared = SharedPass(self.bench.workers, plan, isolated, probe) if self.bench.workers is not None and isolated else None
            captured = forward(run, weights, probe, shared.tap() if shared is not None else Tap(plan.wanted))
        except Exception as e:  # the forward is a family's code, and families are plugins
            return self._fail_all(cells, e)
        if shared is not None:
            shared.keep(captured)
        pending = [plan.takes[c.analyzer] for c in cells]
        for i, (cell, following) in enumerate(zip_longest(cells, cells[1:])):
            given = {site: captured[site, where] for site, where in plan.takes[cell.analyzer].items()}
            self._call(cell, self.desk.on_pass(cell, weights, given, probe), following, shared)
            _free(captured, plan.takes[cell.analyzer], pending[i + 1 :])
            if self._wrote_to_input(cell) and i + 1 < len(cells):
                return self._pass(run, run.weights(self.task.step or 0), cells[i + 1 :])

    def _isolated(self, cells: Iterable[Cell]) -> list[str]:
        """Names of the analyzers among these cells that run in a worker."""
        return [c.analyzer for c in cells if self.bench.workers is not None and self.bench.workers.takes(self.task.recipes[c.analyzer])]

    def _undamaged(self, run: Run, weights: Weights, cell: Cell) -> Weights:
        """The weights for the next analyzer: read again when this one wrote to them."""
        return run.weights(self.task.step or 0) if self._wrote_to_input(cell) else weights

    def _wrote_to_input(self, cell: Cell) -> bool:
        """Whether an analyzer failed by writing to a tensor it was given: torch raises, but only after it has written."""
        return any(f.cell == cell.key and WROTE in f.traceback for f in self.failures)

    # --- any -------------------------------------------------------------------------------------------------------------------------------

    def _call(self, cell: Cell, handed: Handed, following: Cell | None = None, shared: SharedPass | None = None) -> None:
        """Call one analyzer; whatever it raises becomes a failure row. `following` is the cell that comes next."""
        start = time.thread_time()  # CPU of this thread: what else the machine does is not the analyzer's
        call: Call | None = None
        try:
            call = self._prepared(cell, handed, following, shared)
            made = self.bench.hooks.run_analyzer(call)
            table = stamp(made.table, cell.run, cell.step, cell.probe)
        except Exception as e:  # the plugin boundary: a stranger's analyzer may raise anything
            self._fail(cell, e, handed.bad_tensors())
        else:
            self.stored[cell.key] = StoredCell(cell.step, cell.key, table)
            bad = handed.bad_tensors() or (call.bad_tensors if isinstance(call, IsolatedCall) else "")
            if message := not_finite(made, bad):
                self.failures.append(Failure(cell.run, cell.step, cell.analyzer, "not_finite", message, cell=cell.key))
        finally:
            elsewhere = call.milliseconds if isinstance(call, IsolatedCall) else 0.0
            self.milliseconds[cell.analyzer] = self.milliseconds.get(cell.analyzer, 0.0) + (time.thread_time() - start) * 1e3 + elsewhere
        for note in call.notes if isinstance(call, IsolatedCall) else ():
            self.failures.append(Failure(cell.run, cell.step, cell.analyzer, "side_effect", note, cell=cell.key))

    def _prepared(self, cell: Cell, handed: Handed, following: Cell | None, shared: SharedPass | None) -> Call:
        """The call of a cell: of the analyzer here, or of its package's worker."""
        analyzer, bound = self.task.recipes[cell.analyzer].make(self.bench.registry), self.bound[cell.analyzer]
        arguments = handed.arguments(bound.arguments)
        hook = f"analyze_{bound.category}"
        if errand := self._errand(cell, shared):
            after = self._errand(following, shared) if following is not None and not self.bench.hooks.wrapped else None
            assert self.bench.workers is not None
            return IsolatedCall(cell.analyzer, analyzer, hook, arguments, self.bench.workers, errand, after)
        return Call(cell.analyzer, analyzer, hook, arguments)

    def _errand(self, cell: Cell, shared: SharedPass | None) -> Errand | None:
        """What a worker is wanted for, the same each time it is asked; None for an analyzer that runs here."""
        if not self._isolated([cell]):
            return None
        if cell.key not in self.errands or self.errands[cell.key].shared is not shared:
            families, digest = self._ground
            registry = self.bench.registry
            plugin, needed = registry.get("analyzer", cell.analyzer), [registry.get("family", name) for name in families]
            self.errands[cell.key] = Errand(plugin, needed, replace(self.task, cells=(cell,)), digest, shared)
        return self.errands[cell.key]

    @functools.cached_property
    def _ground(self) -> tuple[tuple[str, ...], str]:
        """What a worker must know of the runs: their families, and the digest of the checkpoint."""
        families = tuple(dict.fromkeys(run.record.family for run in self.runs))
        return families, "" if self.task.step is None else self.runs[0].digests[self.task.step]

    def _fail(self, cell: Cell, e: Exception, bad: str = "") -> None:
        kind, message, text = (e.kind, str(e), e.text) if isinstance(e, CallFailed) else explained(e)
        if bad := bad or (e.bad_tensors if isinstance(e, CallFailed) else ""):
            message = f"{bad}; it raised {message}"
        self.failures.append(Failure(cell.run, cell.step, cell.analyzer, kind, message, text, cell.key))
        self.bench.hooks.analyzer_failed(run=cell.run or "*", step=cell.step, analyzer=cell.analyzer, kind=kind, message=message)

    def _fail_all(self, cells: Iterable[Cell], e: Exception) -> None:
        for cell in cells:
            self._fail(cell, e)


def forward(run: Run, weights: Weights, probe: Probe, tap: Tap) -> dict[tuple[str, Positions], torch.Tensor]:
    """The one shared forward: what `tap` was to capture, read-only, as (site, positions) -> tensor. Stops after the last needed site."""
    import torch

    check_tensors(run, weights)
    with torch.inference_mode(), contextlib.suppress(Stop):
        run.family.forward(weights, probe.inputs, tap)
    if missed := set(tap.wanted) - {site for site, _ in tap.captured}:
        raise StrobeError(f"family {run.record.family}: the forward never reached {', '.join(sorted(missed))}, which its sites() lists")
    count("bytes_captured", tap.bytes)
    return tap.captured


def _free(captured: dict[tuple[str, Positions], torch.Tensor], used: Mapping[str, Positions], pending: list[Mapping[str, Positions]]) -> None:
    """Drop the tensors nobody needs any more."""
    needed = {item for takes in pending for item in takes.items()}
    for item in used.items():
        if item not in needed:
            captured.pop(item, None)
