"""Where an export looks: a cursor is checked against the data and completed, so that no picture shows what was not asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from ..panels.cards import Card
    from ..runs.run import Run
    from ..workspace import Workspace

ANYWHERE = ("run", "probe")
"""Coordinates that are not looked up among the values of a column."""


def checked(workspace: Workspace, run: Run, cards: Iterable[Card], cursor: Mapping[str, Any] | None) -> dict[str, Any]:
    """The cursor, without what is None. Raises `UsageError` for a coordinate that no card knows and for a value outside the data.

    A step between two checkpoints is fine: the latest one not after it is shown, and said.
    """
    from ..panels.screen import places

    looking = {name: value for name, value in (cursor or {}).items() if value is not None}
    if not run.steps:
        raise UsageError(f"run {run.name} has no checkpoints yet; `strobe train {run.name} --resume` makes some")
    if "step" in looking:
        _check_step(run, looking["step"])
    others = [name for name in looking if name not in (*ANYWHERE, "step")]
    known = places(workspace, run, cards) if others else {}
    for name in others:
        _check_value(name, looking[name], known)
    return looking


def completed(workspace: Workspace, run: Run, cards: Sequence[Card], cursor: Mapping[str, Any] | None) -> dict[str, Any]:
    """The cursor with every coordinate the cards are cut at: the first value of each, and the step where a page of this run would open."""
    from ..panels.cards import choices
    from ..panels.moments import events_of, opening_step

    looking = checked(workspace, run, cards, cursor)
    first = {name: values[0] for name, values in choices(workspace, run, cards).items()}
    return {"step": opening_step(run.steps, events_of(workspace, run)), **first, **looking}


def _check_step(run: Run, step: Any) -> None:
    first, last = run.steps[0], run.steps[-1]
    if isinstance(step, bool) or not isinstance(step, int) or not first <= step <= last:
        shown = f"{step:,}" if isinstance(step, int) else repr(step)
        raise UsageError(f"step {shown} is outside run {run.name}: its checkpoints go from {first:,} to {last:,}")


def _check_value(name: str, value: Any, known: Mapping[str, Sequence[int]]) -> None:
    if name not in known:
        raise UsageError(f"nothing here is cut at {name!r}{did_you_mean(name, ['step', *known])}")
    if value not in known[name]:
        values = known[name]
        inside = f"{values[0]:,} to {values[-1]:,}" if values == list(range(values[0], values[-1] + 1)) else ", ".join(map(str, values))
        raise UsageError(f"{name} {value!r} is outside the data: there are {inside}")
