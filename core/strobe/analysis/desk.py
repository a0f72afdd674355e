"""What one call of an analyzer is handed, built from the folders of its runs: the same in this process and in an isolated worker."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..analyzer import Analyzer
from ..arguments import Activations, Attention, Checkpoints, Context, Outputs, Probe, Results
from ..errors import CheckpointError, SchemaError, StrobeError
from ..loss import Loss, Split
from ..registration.registry import Registry
from ..runs.run import Run
from ..schema import Made, to_arrow, to_pandas
from ..sites import Tap
from ..weights import Weights
from .counters import landscape
from .plan import Bound, Cell

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
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
    """One checkpoint (or, for derived analyzers, one or more runs) and the cells wanted of it.

    `results`: analyzer -> upstream analyzer -> its tables, which become one data frame.
    """

    runs: tuple[Path, ...]
    cells: tuple[Cell, ...]
    recipes: Mapping[str, Recipe]
    step: int | None = None
    probe: str = ""
    results: Mapping[str, Mapping[str, Sequence[pa.Table]]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Call:
    """One call of one analyzer, handed to the `run_analyzer` hook. Calling it does the work, here or in an isolated worker.

    `arguments` holds what the hook asks for; a value is built when it is first looked at, and for an isolated call only then.
    """

    name: str
    analyzer: Analyzer
    hook: str
    arguments: Mapping[str, Any]

    def __call__(self) -> Made:
        return to_arrow(self.analyzer.Row, getattr(self.analyzer, self.hook)(**self.arguments))


class Arguments(Mapping[str, Any]):
    """Name -> value, each built when it is first looked at."""

    def __init__(self, makers: Mapping[str, Callable[[], Any]]) -> None:
        self._makers = makers
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


@dataclass(frozen=True, eq=False)
class Handed:
    """What a hook may ask for, not built yet, and whose weights it looks at."""

    makers: Mapping[str, Callable[[], Any]]
    reads: Weights | Opened | None = None

    def arguments(self, names: Sequence[str]) -> Arguments:
        return Arguments({name: self.makers[name] for name in names})

    def bad_tensors(self) -> str:
        return _bad_tensors(self.reads) if self.reads is not None else ""


class Desk:
    """Builds what the cells of one task are handed. `open` gives the weights of a run at a step."""

    def __init__(self, task: Task, runs: Sequence[Run], open: Callable[[Run, int], Weights] = Run.weights) -> None:
        self.task, self.runs, self.open = task, runs, open

    def weights(self, cell: Cell, weights: Weights) -> Handed:
        view = weights.view()
        return Handed({**self._common(cell), "weights": lambda: view}, view)

    def on_pass(self, cell: Cell, weights: Weights, given: Mapping[str, torch.Tensor], probe: Probe) -> Handed:
        makers: dict[str, Callable[[], Any]] = {
            "activations": lambda: Activations(given),
            "attention": lambda: Attention({int(s.split(".")[1]): t for s, t in given.items() if s.endswith("attn.pattern")}),
            "outputs": lambda: Outputs(given["logits"], probe.targets, probe.splits),
            "weights": weights.view,
            "probe": lambda: probe,
        }
        return Handed({**self._common(cell), **makers}, weights)

    def landscape(self, cell: Cell, weights: Weights, probe: Callable[[], Probe]) -> Handed:
        run = self.runs[0]

        def loss() -> Loss:
            check_tensors(run, weights)
            with landscape():
                fixed = {name: weights[name] for name in run.family.buffers()}
                return Loss(objective(run, probe(), fixed), {name: weights[name] for name in run.family.parameters()})

        return Handed({**self._common(cell), "loss": loss, "weights": weights.view, "probe": probe}, weights)

    def derived(self, cell: Cell) -> Handed:
        opened = Opened(self.open)

        def checkpoints() -> Any:
            of_run = {run.name: Checkpoints(run.steps, functools.partial(opened.open, run)) for run in self.runs}
            return of_run if cell.run is None else of_run[cell.run]

        return Handed({**self._common(cell), "checkpoints": checkpoints}, opened)

    def _common(self, cell: Cell) -> dict[str, Callable[[], Any]]:
        return {"context": lambda: self._context(cell), "metrics": lambda: self._metrics(cell), "results": lambda: self._results(cell)}

    def _context(self, cell: Cell) -> Context:
        family = self.runs[0].family if self.runs and cell.run is not None else None
        parameters = {} if cell.run is not None else {run.name: _made_with(run) for run in self.runs}
        return Context(cell.run or "*", cell.step, family, seed=int(cell.key[:15], 16), parameters=parameters)

    def _metrics(self, cell: Cell) -> pd.DataFrame:
        if cell.run is not None:
            return self.runs[0].metrics
        import pandas as pd

        return pd.concat([run.metrics.assign(run=run.name) for run in self.runs], ignore_index=True)

    def _results(self, cell: Cell) -> Results:
        return Results({name: _frame(tables) for name, tables in self.task.results[cell.analyzer].items()})


def _frame(tables: Sequence[pa.Table]) -> pd.DataFrame:
    import pandas as pd

    frames = [to_pandas(t) for t in tables]
    return pd.concat(frames, ignore_index=True) if len(frames) != 1 else frames[0]


def _made_with(run: Run) -> dict[str, Any]:
    """Family, its parameters (defaults included) and the training configuration of a run, flat."""
    parameters = run.family.identity().get("parameters", run.record.parameters)
    return {**run.record.training, **parameters, "family": run.record.family}


def check_tensors(run: Run, weights: Weights) -> None:
    """That a checkpoint has what the family's forward reads. Reads the header only."""
    from ..checkpoints import shapes

    path = run.path(int(weights.source.rpartition(" ")[2])) if weights.source.startswith("run ") else None
    problems = run.family.problems(shapes(path)) if path else []
    if problems:
        raise CheckpointError(f"{weights.source}: {'; '.join(problems)}; copy the checkpoint again, or import the run with other parameters (--set)")


def objective(run: Run, probe: Probe, buffers: Mapping[str, torch.Tensor]) -> Any:
    """(weights, split or indices of inputs) -> mean loss on that part of the probe, differentiable; `buffers` stay as they are."""

    def mean_loss(weights: Mapping[str, torch.Tensor], split: Split) -> torch.Tensor:
        rows = split if not isinstance(split, str) else slice(None) if split == "all" and "all" not in probe.splits else probe.splits[split]
        logits = run.family.forward({**buffers, **weights}, probe.inputs[rows], Tap())
        return run.family.loss(logits.double(), probe.targets[rows]).mean()

    return mean_loss


class Opened:
    """The checkpoints a trajectory has opened: what was not finite in them, without the tensors themselves."""

    def __init__(self, open: Callable[[Run, int], Weights] = Run.weights) -> None:
        self._open = open
        self._seen: list[tuple[int, Mapping[str, int]]] = []

    def open(self, run: Run, step: int) -> Weights:
        weights = self._open(run, step)
        self._seen.append((step, weights.nonfinite))
        return weights

    def bad_tensors(self) -> str:
        found = dict.fromkeys(f"step {step}: {n} holds {bad} NaN or infinite values" for step, seen in self._seen for n, bad in seen.items())
        more = f", and {len(found) - 3} more" if len(found) > 3 else ""
        return ", ".join(list(found)[:3]) + more


def _bad_tensors(weights: Weights | Opened) -> str:
    if isinstance(weights, Opened):
        return weights.bad_tensors()
    touched = {n: bad for n, bad in weights.nonfinite.items() if n in weights.touched}
    return ", ".join(f"{n} holds {bad} NaN or infinite values" for n, bad in touched.items())


def not_finite(made: Made, bad: str) -> str:
    """Why rows hold nulls that are not the analyzer's own: '' when every metric is finite and so are the weights it read."""
    rows = f"{len(made.table)} rows (numbers are stored as null, arrays as they are)"
    metrics = ", ".join(f"{name} is not finite in {n} of {rows}" for name, n in made.not_finite.items())
    return "; ".join(part for part in (bad, metrics) if part)


def explained(e: BaseException) -> tuple[str, str, str]:
    """Kind, message and traceback of what an analyzer raised, as a failure row says it."""
    kind = "checkpoint" if isinstance(e, CheckpointError) else "schema" if isinstance(e, SchemaError) else "error"
    message = str(e) if isinstance(e, StrobeError) else f"{type(e).__name__}: {e}"
    if WROTE in message:
        message = f"it writes in place to a tensor it was given; write `tensor.clone()` first ({message})"
    text = "" if isinstance(e, CheckpointError) else "".join(traceback.format_exception(e))
    return kind, message, text
