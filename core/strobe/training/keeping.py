"""What is kept of a training: metrics, the optimizer's state, the tensors, and last the entry in the manifest, in this order.

Whatever a kill leaves behind, the manifest names only whole checkpoints, and training goes on from the last of them that has a state, bitwise as if
nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import checkpoints
from ..runs.run import Run, merge_metrics, write_metrics
from .loop import Event, Saved, Training

OnEpoch = Callable[[int, int, Mapping[str, Any]], None]
"""(step, last step, row of metrics)."""


class Keeper:
    """Stores what a training of a run gives, event by event."""

    def __init__(self, run: Run, training: Training, progress: OnEpoch | None) -> None:
        self.run, self.training, self.progress = run, training, progress
        self.rows: list[dict[str, Any]] = []
        _remove_leftovers(run)

    def take(self, event: Event) -> None:
        if isinstance(event, Saved):
            _commit(self.run, self.training, event, self.rows)
            self.rows = []
            return
        self.rows.append({**event.row(), "weight_decay": self.training.weight_decay})
        if self.progress is not None:
            self.progress(event.step, self.training.epochs, self.rows[-1])

    def finish(self) -> None:
        merge_metrics(self.run.folder / "metrics")
        self.run.save(state="complete")


def _commit(run: Run, training: Training, saved: Saved, rows: Sequence[Mapping[str, Any]]) -> None:
    write_metrics(run.folder / "metrics", rows, saved.step)
    write_state(run, saved)
    run.add_checkpoint(saved.step, saved.tensors)
    _prune_states(run, training)


def _state_path(run: Run, step: int) -> Path:
    return run.folder / "states" / f"step_{step:08d}.safetensors"


def write_state(run: Run, saved: Saved) -> None:
    if saved.state:
        checkpoints.write(_state_path(run, saved.step), saved.state)


def _prune_states(run: Run, training: Training) -> None:
    """Keep the state of the last checkpoint, and of every n-th."""
    steps = run.steps
    stride = training.state_every
    kept = {steps[-1], *(steps[::stride] if stride else ())}
    for step in steps:
        if step not in kept:
            _state_path(run, step).unlink(missing_ok=True)


def _remove_leftovers(run: Run) -> None:
    """What a killed training left half-written: temporary files, and metrics and states after the last whole checkpoint."""
    last = max(run.steps, default=-1)
    for file in [*run.folder.rglob(".*.tmp")]:
        file.unlink(missing_ok=True)
    for file in [*(run.folder / "states").glob("step_*.safetensors"), *(run.folder / "metrics").glob("part-*.parquet")]:
        if int(file.stem.rpartition("_" if file.stem.startswith("step") else "-")[2]) > max(last, 0):
            file.unlink()


def last_state(run: Run, before: int | None = None) -> Saved | None:
    """The last checkpoint (not after `before`) that training can go on from; None: only from the start.

    Raises `CheckpointError` when a file is not the one that was recorded.
    """
    for step in reversed(run.steps):
        if (before is None or step <= before) and _state_path(run, step).is_file():
            weights = run.weights(step)
            return Saved(step, {name: weights[name] for name in weights}, None, checkpoints.read_all(_state_path(run, step)))
    return None
