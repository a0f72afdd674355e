"""A card at every step: its specification once, and which rows each of its datasets has at each step.

A step change then swaps rows (8 to 14 ms) instead of building a chart. A renderer whose specification depends on the cursor is kept whole per step.
"""

from __future__ import annotations

import hashlib
import json
import marshal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .cards import LIGHT, Card, Drawing

CURSOR = "cursor"
"""The dataset that marks the step; see `strobe.charts.cursor_rows`."""

Rows = list[dict[str, Any]]


@dataclass
class Reel:
    """Rows by content: a dataset that several panels or steps share is kept once."""

    rows: list[Rows] = field(default_factory=list)
    _known: dict[bytes, int] = field(default_factory=dict)
    _held: dict[int, int] = field(default_factory=dict)
    """The very lists that `rows` holds, by identity."""

    def keep(self, rows: Rows) -> int:
        """The position of these rows, added when they are new."""
        if (position := self._held.get(id(rows))) is not None:
            return position
        digest = hashlib.sha256(_bytes(rows)).digest()
        if digest not in self._known:
            self._known[digest] = self._held[id(rows)] = len(self.rows)
            self.rows.append(rows)
        return self._known[digest]


def _bytes(rows: Rows) -> bytes:
    """Rows as bytes, the same for equal ones: numbers, text and lists of them as Python writes its own, five times as fast as JSON."""
    try:
        return marshal.dumps(rows, 2)  # the version that does not tell objects that are one from objects that are equal
    except ValueError:
        return json.dumps(rows, separators=(",", ":"), default=str).encode()


@dataclass(frozen=True)
class Shot:
    """One step: which specification, and dataset name -> position in the reel; or the problem. `as_of`: the earlier step that is shown."""

    spec: int
    datasets: Mapping[str, int]
    problem: str = ""
    as_of: int | None = None


@dataclass(frozen=True)
class Film:
    """All steps of one card. One specification is the rule; more mean that the renderer's charts differ in more than their rows."""

    specs: Sequence[Mapping[str, Any]]
    shots: Sequence[Shot]


def shoot(
    card: Card, steps: Sequence[int], cursor: Mapping[str, Any], reel: Reel, theme: str = LIGHT, tick: Callable[[], None] = lambda: None
) -> Film:
    """Draw a card at every step. Cost: a chart per step; three when only the cursor moves (the first, the middle and the last step are compared)."""
    drawn = {step: card.draw({**cursor, "step": step}, theme) for step in sorted({steps[0], steps[len(steps) // 2], steps[-1]})}
    still = only_the_cursor_moves(card, drawn)
    drawings = []
    for step in steps:
        if step not in drawn:
            drawn[step] = moved(drawn[steps[0]], step) if still else card.draw({**cursor, "step": step}, theme, validate=False)
        drawings.append(drawn[step])
        tick()
    return _cut(drawings, [card.as_of({**cursor, "step": step}) for step in steps], reel)


def only_the_cursor_moves(card: Card, drawn: Mapping[int, Drawing]) -> bool:
    """Whether the charts differ in nothing but the rows of the dataset `cursor`, and those are the usual ones. A pinned step never moves."""
    drawings = list(drawn.values())
    if any(d.problem for d in drawings) or len({d.signature for d in drawings}) > 1:
        return False
    if "step" in card.panel.cursor:
        return all(d.datasets == drawings[0].datasets for d in drawings)
    if not card.spans_steps:
        return False
    return all(dict(d.datasets) == dict(moved(drawings[0], step).datasets) for step, d in drawn.items())


def moved(drawing: Drawing, step: int) -> Drawing:
    """The same chart with the cursor elsewhere."""
    from ..charts import cursor_rows

    if not drawing.datasets.get(CURSOR):
        return drawing
    return Drawing(drawing.spec, {**drawing.datasets, CURSOR: cursor_rows({"step": step})})


def _cut(drawings: Sequence[Drawing], as_of: Sequence[int | None], reel: Reel) -> Film:
    specs: dict[str, int] = {}
    shots: list[Shot] = []
    kept: list[Mapping[str, Any]] = []
    for drawing, earlier in zip(drawings, as_of, strict=True):
        if drawing.problem:
            shots.append(Shot(-1, {}, drawing.problem))
            continue
        signature = drawing.signature
        if signature not in specs:
            specs[signature] = len(kept)
            kept.append(drawing.spec)
        shots.append(Shot(specs[signature], {name: reel.keep(rows) for name, rows in drawing.datasets.items()}, "", earlier))
    return Film(kept, shots)
