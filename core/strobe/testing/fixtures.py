"""What hooks are handed, by name: each call makes a fresh copy, the same every time, of one tiny run of the first installed family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..arguments import Activations, Attention, Checkpoints, Context, Outputs, Probe, Results
from ..loss import Loss
from ..sites import Last, Positions
from ..weights import Weights
from .material import STEP_OF_CHECKS, objective, stored_rows
from .tiny import TinyRun, read_only, tiny_run

if TYPE_CHECKING:
    import pandas as pd

    from ..frame import Frame


def weights(run: TinyRun | None = None, *, step: int = STEP_OF_CHECKS) -> Weights:
    """The weights of a step, read-only."""
    run = run or tiny_run()
    return Weights(read_only(run.checkpoints[step]), source=f"run {run.name} step {step}", buffers=run.family.buffers())


def activations(sites: Mapping[str, Positions] | None = None, run: TinyRun | None = None, *, step: int = STEP_OF_CHECKS) -> Activations:
    """Activations at `sites` (pattern -> positions; every site at its last position when left out) over the probe."""
    run = run or tiny_run()
    found = run.capture(step, sites if sites is not None else {"*": Last()})
    return Activations({site: tensor for (site, _), tensor in found.items()})


def attention(run: TinyRun | None = None, *, step: int = STEP_OF_CHECKS) -> Attention:
    """Attention patterns [batch, head, query, key] by layer, all queries."""
    found = (run or tiny_run()).capture(step, {"blocks.*.attn.pattern": Positions()})
    return Attention({int(site.split(".")[1]): tensor for (site, _), tensor in found.items()})


def outputs(run: TinyRun | None = None, *, step: int = STEP_OF_CHECKS) -> Outputs:
    """Logits, targets and splits."""
    run = run or tiny_run()
    (logits,) = run.capture(step, {"logits": run.family.read_out}).values()
    return Outputs(logits, run.probe.targets, run.probe.splits)


def probe(run: TinyRun | None = None) -> Probe:
    """The inputs that everything is measured on."""
    return (run or tiny_run()).probe


def loss(run: TinyRun | None = None, *, step: int = STEP_OF_CHECKS) -> Loss:
    """The training loss as a function of the weights."""
    run = run or tiny_run()
    tensors = run.checkpoints[step]
    fixed = {name: tensors[name] for name in run.family.buffers()}
    return Loss(objective(run.family, run.probe, fixed), {name: tensors[name] for name in run.family.parameters()})


def checkpoints(run: TinyRun | None = None) -> Checkpoints:
    """The checkpoints of the run, steps 0, 5, 10, 15 and 20."""
    run = run or tiny_run()
    return Checkpoints(run.steps, lambda step: weights(run, step=step))


def metrics(run: TinyRun | None = None) -> pd.DataFrame:
    """What training recorded, one row per step."""
    return (run or tiny_run()).metrics.copy(deep=True)


def results(*analyzers: str, run: TinyRun | None = None) -> Results:
    """Rows of installed analyzers over all steps: `results("weight_norms")["weight_norms"]`."""
    from ..registration.registry import Registry

    registry, run = Registry.discover(), run or tiny_run()
    return Results({name: table for name in analyzers if (table := stored_rows(registry, name, run)) is not None})


def context(run: TinyRun | None = None, *, step: int | None = STEP_OF_CHECKS) -> Context:
    """Run, step and family."""
    run = run or tiny_run()
    return Context(run.name, step, run.family)


def frame(renderer: Any, table: str = "", run: TinyRun | None = None, **cursor: Any) -> Frame:
    """The rows a renderer would draw at a cursor (`step=10, neuron=3`) of the table it names, or of `table`."""
    from .drawing import Drawn

    return Drawn(renderer, table, run).frame(cursor)
