"""Moments of a run: its events, where to open a page, which checkpoint is nearest, and what training recorded there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import StrobeError
from ..runs.run import Run

if TYPE_CHECKING:
    import pandas as pd

    from ..workspace import Workspace

METRICS = {"train_loss": "train loss, nats", "test_loss": "test loss, nats", "train_accuracy": "train accuracy", "test_accuracy": "test accuracy"}


def events_of(workspace: Workspace, run: Run) -> dict[str, float]:
    """Event -> step of what `phases` found, in order; {} where it was not computed."""
    from ..charts import event_steps

    try:
        found = event_steps(workspace.table("phases", runs=run))
    except StrobeError:
        return {}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def opening_step(steps: Sequence[int], events: Mapping[str, float]) -> int:
    """Where a page opens: at the checkpoint nearest to generalisation, where there is most to see; else at the last one."""
    return steps[nearest(steps, events["generalised"])] if "generalised" in events else steps[-1]


def nearest(steps: Sequence[int], step: float) -> int:
    """The position of the step nearest to `step`."""
    return min(range(len(steps)), key=lambda i: abs(steps[i] - step))


def numbers_at(run: Run, steps: Sequence[int]) -> list[dict[str, float]]:
    """The same as numbers, where something is recorded."""
    return [{label: value for label, value in found.items() if value is not None} for found in _recorded(run, steps)]


def metrics_at(run: Run, steps: Sequence[int]) -> list[dict[str, str]]:
    """What training recorded at each step, in words: the values of the latest step not after it."""
    from ..charts import number

    def written(label: str, value: float | None) -> str:
        return "–" if value is None else f"{value:.1%}" if label.endswith("accuracy") else number(value)

    return [{label: written(label, value) for label, value in found.items()} for found in _recorded(run, steps)]


def _recorded(run: Run, steps: Sequence[int]) -> list[dict[str, float | None]]:
    """Label -> the value of the latest recorded step not after each of `steps`; None before the first one."""
    recorded = run.metrics
    known = {label: recorded[["step", name]].dropna() for name, label in METRICS.items() if name in recorded and recorded[name].notna().any()}

    def at(rows: pd.DataFrame, step: int) -> float | None:
        before = rows[rows["step"] <= step]
        return None if before.empty else float(before[before.columns[1]].to_numpy()[-1])

    return [{label: at(rows, step) for label, rows in known.items()} for step in steps]
