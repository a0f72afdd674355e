"""Moments of a run: its events, where to open a page, which checkpoint is nearest, and what training recorded there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import StrobeError
from ..runs.run import Run

if TYPE_CHECKING:
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


def metrics_at(run: Run, steps: Sequence[int]) -> list[dict[str, str]]:
    """What training recorded at each step, in words: the values of the latest step not after it."""
    import pandas as pd

    from ..charts import number

    recorded = run.metrics
    known = {label: recorded[["step", name]].dropna() for name, label in METRICS.items() if name in recorded and recorded[name].notna().any()}

    def at(rows: pd.DataFrame, step: int) -> str:
        before = rows[rows["step"] <= step]
        if before.empty:
            return "–"
        name = str(rows.columns[1])
        value = float(before[name].to_numpy()[-1])
        return f"{value:.1%}" if name.endswith("accuracy") else number(value)

    return [{label: at(rows, step) for label, rows in known.items()} for step in steps]
