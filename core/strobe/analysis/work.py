"""One unit of work, wherever it runs: the step analyzers of one checkpoint on at most one forward, or one derived analyzer."""

from __future__ import annotations

import contextlib
import functools
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from ..analyzer import Analyzer
from ..arguments import Activations, Attention, Checkpoints, Context, Outputs, Probe, Results
from ..errors import CheckpointError, SchemaError, StrobeError
from ..hookspecs import PROJECT, EngineSpecs, hookimpl
from ..loss import Loss, Split
from ..registration.registry import Registry
from ..runs.run import Run
from ..schema import Made, to_arrow
from ..sites import Positions, Stop, Tap
from ..storage.failures import Failure
from ..storage.parts import StoredCell, stamp
from ..weights import Weights
from .counters import count, counting, landscape
from .executors import Rescue
from .plan import Bound, Capture, Cell, capture

if TYPE_CHECKING:
    import pandas as pd
    import torch


WROTE = "Inplace update to inference tensor"
"""How torch refuses an in-place write to a read-only tensor."""


@dataclass(frozen=True)
class Recipe:
    """How to make an analyzer anywhere: its name, its settings, and for one from a file where that is."""

    bound: Bound
    file: str = ""

    def make(self, registry: Registry) -> Analyzer:
        if self.file and all(p.name != self.bound.name for p in registry.all("analyzer")):
            registry.add_file(self.file)
        return registry.analyzer(self.bound.name).model_validate_json(self.bound.settings)


@dataclass(frozen=True, eq=False)
class Task:
    """One checkpoint (or, for derived analyzers, one or more runs) and the cells wanted of it."""

    runs: tuple[Path, ...]
    cells: tuple[Cell, ...]
    recipes: Mapping[str, Recipe]
    step: int | None = None
    probe: str = ""
    results: Mapping[str, Mapping[str, pd.DataFrame]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a task. A cell is in `stored` or in `failures`; one whose rows hold nulls for non-finite weights is in both."""

    task: Task
    stored: Mapping[str, StoredCell] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Call:
    """One call of one analyzer, handed to the `run_analyzer` hook. Calling it does the work."""

    name: str
    analyzer: Analyzer
    hook: str
    arguments: Mapping[str, Any]

    def __call__(self) -> Made:
        return to_arrow(self.analyzer.Row, getattr(self.analyzer, self.hook)(**self.arguments))


class _RunsIt:
    """The built-in implementation of `run_analyzer`: it comes last."""

    @hookimpl(trylast=True)
    def run_analyzer(self, call: Call) -> Made:
        return call()


def hooks(registry: Registry) -> pluggy.PluginManager:
    """The engine's hooks, with every installed `strobe.hooks` plugin."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(EngineSpecs)
    manager.register(_RunsIt(), "strobe")
    for plugin in registry.all("hook"):
        if plugin.state == "ready":
            found = plugin.load()
            manager.register(found() if isinstance(found, type) else found, f"{plugin.package}:{plugin.name}")
    manager.check_pending()
    return manager


class Bench:
    """A place to work: a registry and its hooks. One per analysis, or one per worker process."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.hook = hooks(registry).hook

    def do(self, task: Task) -> Outcome:
        """Run a task; failures of analyzers and unreadable checkpoints come back as rows."""
        start = time.perf_counter()
        with counting() as counters:
            work = _Work(self, task)
            work.run()
        return Outcome(task, work.stored, tuple(work.failures), dict(counters), work.milliseconds, time.perf_counter() - start)


@functools.lru_cache(maxsize=1)
def _worker_bench() -> Bench:
    return Bench(Registry.discover())


def do_in_worker(task: Task) -> Outcome:
    """`Bench.do` in a worker process, which discovers plugins once."""
    return _worker_bench().do(task)


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
    return Outcome(task, stored, tuple(f for o in outcomes for f in o.failures), counters, milliseconds, sum(o.seconds for o in outcomes))


RESCUE = Rescue(parts, lost, joined)


def _made_with(run: Run) -> dict[str, Any]:
    """Family, its parameters (defaults included) and the training configuration of a run, flat."""
    parameters = run.family.identity().get("parameters", run.record.parameters)
    return {**run.record.training, **parameters, "family": run.record.family}


class _Work:
    """The state of one task while it runs."""

    def __init__(self, bench: Bench, task: Task) -> None:
        self.bench, self.task = bench, task
        self.runs = [Run(folder, bench.registry) for folder in task.runs]
        self.stored: dict[str, StoredCell] = {}
        self.failures: list[Failure] = []
        self.milliseconds: dict[str, float] = {}
        self.bound = {name: r.bound for name, r in task.recipes.items()}

    def run(self) -> None:
        if self.task.step is None:
            for cell in self.task.cells:
                self._derived(cell)
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
        for cell in self.task.cells:
            if self.bound[cell.analyzer].category == "weights":
                view = weights.view()
                self._call(cell, {**self._common(cell), "weights": view}, view)
                weights = self._undamaged(run, weights, cell)
        if passing:
            self._pass(run, weights, passing)
        for cell in self.task.cells:
            if self.bound[cell.analyzer].category == "landscape":
                self._landscape(run, weights, cell)

    def _pass(self, run: Run, weights: Weights, cells: list[Cell]) -> None:
        try:
            probe = run.probe(self.task.probe)
            plan = capture(self.bound, [c.analyzer for c in cells], run.family.sites(), run.family.read_out)
            captured = forward(run, weights, probe, plan)
        except Exception as e:  # the forward is a family's code, and families are plugins
            return self._fail_all(cells, e)
        pending = [plan.takes[c.analyzer] for c in cells]
        for i, cell in enumerate(cells):
            given = {site: captured[site, where] for site, where in plan.takes[cell.analyzer].items()}
            view = weights.view()
            self._call(cell, {**self._common(cell), **self._pass_arguments(cell, given, probe), "weights": view, "probe": probe}, weights)
            _free(captured, plan.takes[cell.analyzer], pending[i + 1 :])
            if self._wrote_to_input(cell) and i + 1 < len(cells):
                return self._pass(run, run.weights(self.task.step or 0), cells[i + 1 :])

    def _pass_arguments(self, cell: Cell, given: Mapping[str, torch.Tensor], probe: Probe) -> dict[str, Any]:
        arguments: dict[str, Any] = {"activations": Activations(given)}
        if "attention" in self.bound[cell.analyzer].arguments:
            arguments["attention"] = Attention({int(s.split(".")[1]): t for s, t in given.items() if s.endswith("attn.pattern")})
        if "outputs" in self.bound[cell.analyzer].arguments:
            arguments["outputs"] = Outputs(given["logits"], probe.targets, probe.splits)
        return arguments

    def _undamaged(self, run: Run, weights: Weights, cell: Cell) -> Weights:
        """The weights for the next analyzer: read again when this one wrote to them."""
        return run.weights(self.task.step or 0) if self._wrote_to_input(cell) else weights

    def _wrote_to_input(self, cell: Cell) -> bool:
        """Whether an analyzer failed by writing to a tensor it was given: torch raises, but only after it has written."""
        return any(f.cell == cell.key and WROTE in f.traceback for f in self.failures)

    def _landscape(self, run: Run, weights: Weights, cell: Cell) -> None:
        try:
            probe = run.probe(self.task.probe)
            check_tensors(run, weights)
            with landscape():
                loss = Loss(objective(run, probe), {name: weights[name] for name in run.family.parameters()})
        except Exception as e:  # a family's code
            return self._fail_all([cell], e)
        with landscape():
            self._call(cell, {**self._common(cell), "loss": loss, "weights": weights.view(), "probe": probe}, weights)

    # --- derived ---------------------------------------------------------------------------------------------------------------------------

    def _derived(self, cell: Cell) -> None:
        arguments, opened = self._common(cell), _Opened()
        if self.bound[cell.analyzer].category == "trajectory":
            of_run = {run.name: Checkpoints(run.steps, functools.partial(opened.open, run)) for run in self.runs}
            arguments["checkpoints"] = of_run if cell.run is None else of_run[cell.run]
        self._call(cell, arguments, opened)

    # --- any -------------------------------------------------------------------------------------------------------------------------------

    def _common(self, cell: Cell) -> dict[str, Any]:
        family = self.runs[0].family if self.runs and cell.run is not None else None
        parameters = {} if cell.run is not None else {run.name: _made_with(run) for run in self.runs}
        seed = int(cell.key[:15], 16)
        arguments: dict[str, Any] = {"context": Context(cell.run or "*", cell.step, family, seed=seed, parameters=parameters)}
        asked = self.bound[cell.analyzer].arguments
        if "metrics" in asked:
            arguments["metrics"] = self._metrics(cell)
        if "results" in asked:
            arguments["results"] = Results(self.task.results[cell.analyzer])
        return arguments

    def _metrics(self, cell: Cell) -> pd.DataFrame:
        if cell.run is not None:
            return self.runs[0].metrics
        import pandas as pd

        return pd.concat([run.metrics.assign(run=run.name) for run in self.runs], ignore_index=True)

    def _call(self, cell: Cell, arguments: Mapping[str, Any], weights: Weights | _Opened | None = None) -> None:
        """Call one analyzer; whatever it raises becomes a failure row."""
        start = time.thread_time()  # CPU of this thread: what else the machine does is not the analyzer's
        bound = self.bound[cell.analyzer]
        try:
            analyzer = self.task.recipes[cell.analyzer].make(self.bench.registry)
            hook = f"analyze_{bound.category}"
            call = Call(cell.analyzer, analyzer, hook, {name: arguments[name] for name in bound.arguments})
            made = self.bench.hook.run_analyzer(call=call)
            table = stamp(made.table, cell.run, cell.step, cell.probe)
        except Exception as e:  # the plugin boundary: a stranger's analyzer may raise anything
            return self._fail(cell, e, weights)
        finally:
            self.milliseconds[cell.analyzer] = self.milliseconds.get(cell.analyzer, 0.0) + (time.thread_time() - start) * 1e3
        self.stored[cell.key] = StoredCell(cell.step, cell.key, table)
        if message := _not_finite(made, weights):
            self.failures.append(Failure(cell.run, cell.step, cell.analyzer, "not_finite", message, cell=cell.key))

    def _fail(self, cell: Cell, e: Exception, weights: Weights | _Opened | None = None) -> None:
        kind = "checkpoint" if isinstance(e, CheckpointError) else "schema" if isinstance(e, SchemaError) else "error"
        message = str(e) if isinstance(e, StrobeError) else f"{type(e).__name__}: {e}"
        if WROTE in message:
            message = f"it writes in place to a tensor it was given; write `tensor.clone()` first ({message})"
        if weights is not None and (bad := _bad_tensors(weights)):
            message = f"{bad}; it raised {message}"
        text = "" if isinstance(e, CheckpointError) else "".join(traceback.format_exception(e))
        self.failures.append(Failure(cell.run, cell.step, cell.analyzer, kind, message, text, cell.key))
        self.bench.hook.analyzer_failed(run=cell.run or "*", step=cell.step, analyzer=cell.analyzer, kind=kind, message=message)

    def _fail_all(self, cells: Iterator[Cell] | tuple[Cell, ...] | list[Cell], e: Exception) -> None:
        for cell in cells:
            self._fail(cell, e)


def check_tensors(run: Run, weights: Weights) -> None:
    """That a checkpoint has what the family's forward reads. Reads the header only."""
    from ..checkpoints import shapes

    path = run.path(int(weights.source.rpartition(" ")[2])) if weights.source.startswith("run ") else None
    problems = run.family.problems(shapes(path)) if path else []
    if problems:
        raise CheckpointError(f"{weights.source}: {'; '.join(problems)}; copy the checkpoint again, or import the run with other parameters (--set)")


def forward(run: Run, weights: Weights, probe: Probe, plan: Capture) -> dict[tuple[str, Positions], torch.Tensor]:
    """The one shared forward: what was asked for, read-only, as (site, positions) -> tensor. Stops after the last needed site."""
    import torch

    check_tensors(run, weights)
    tap = Tap(plan.wanted)
    with torch.inference_mode(), contextlib.suppress(Stop):
        run.family.forward(weights, probe.inputs, tap)
    if missed := set(plan.wanted) - {site for site, _ in tap.captured}:
        raise StrobeError(f"family {run.record.family}: the forward never reached {', '.join(sorted(missed))}, which its sites() lists")
    count("bytes_captured", tap.bytes)
    return tap.captured


def objective(run: Run, probe: Probe) -> Any:
    """(weights, split or indices of inputs) -> mean loss on that part of the probe, differentiable."""

    def mean_loss(weights: Mapping[str, torch.Tensor], split: Split) -> torch.Tensor:
        rows = split if not isinstance(split, str) else slice(None) if split == "all" and "all" not in probe.splits else probe.splits[split]
        logits = run.family.forward(weights, probe.inputs[rows], Tap())
        return run.family.loss(logits.double(), probe.targets[rows]).mean()

    return mean_loss


def _free(captured: dict[tuple[str, Positions], torch.Tensor], used: Mapping[str, Positions], pending: list[Mapping[str, Positions]]) -> None:
    """Drop the tensors nobody needs any more."""
    needed = {item for takes in pending for item in takes.items()}
    for item in used.items():
        if item not in needed:
            captured.pop(item, None)


def _bad_tensors(weights: Weights | _Opened) -> str:
    if isinstance(weights, _Opened):
        return weights.bad_tensors()
    touched = {n: bad for n, bad in weights.nonfinite.items() if n in weights.touched}
    return ", ".join(f"{n} holds {bad} NaN or infinite values" for n, bad in touched.items())


class _Opened:
    """The checkpoints a trajectory has opened: what was not finite in them, without the tensors themselves."""

    def __init__(self) -> None:
        self._seen: list[tuple[int, Mapping[str, int]]] = []

    def open(self, run: Run, step: int) -> Weights:
        weights = run.weights(step)
        self._seen.append((step, weights.nonfinite))
        return weights

    def bad_tensors(self) -> str:
        found = dict.fromkeys(f"step {step}: {n} holds {bad} NaN or infinite values" for step, seen in self._seen for n, bad in seen.items())
        more = f", and {len(found) - 3} more" if len(found) > 3 else ""
        return ", ".join(list(found)[:3]) + more


def _not_finite(made: Made, weights: Weights | _Opened | None) -> str:
    """Why rows hold nulls that are not the analyzer's own: '' when every metric is finite and so are the weights it read."""
    bad = _bad_tensors(weights) if weights is not None else ""
    rows = f"{len(made.table)} rows (numbers are stored as null, arrays as they are)"
    metrics = ", ".join(f"{name} is not finite in {n} of {rows}" for name, n in made.not_finite.items())
    return "; ".join(part for part in (bad, metrics) if part)
