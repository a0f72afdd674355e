"""Drawings that were made before: a step that was looked at once costs nothing the second time."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from strobe import Workspace
from strobe.panels.cards import Card, Drawing
from strobe.panels.film import moved

MOST = 600
"""Drawings kept: a page of 20 cards at 30 steps."""


class Gallery:
    """Drawings by card, cursor, theme, and the state of the results they were made of.

    A card over all steps is drawn twice; if its charts then differ in nothing but the cursor mark, it is not drawn again for a step change.
    """

    def __init__(self) -> None:
        self._drawings: OrderedDict[str, Drawing] = OrderedDict()
        self._still: dict[str, Drawing | None] = {}  # over all steps: a drawing to move the cursor in; None when that is not enough
        self._seen: dict[str, tuple[int, Drawing]] = {}
        self._lock = threading.Lock()

    def draw(self, workspace: Workspace, card: Card, cursor: Mapping[str, Any], theme: str) -> Drawing:
        """The card at the cursor."""
        step = cursor.get("step")
        place = _key(workspace, card, {k: v for k, v in cursor.items() if k in ("run", *card.at)}, theme)
        key = f"{place} {None if 'step' in card.panel.cursor else step}"
        with self._lock:
            still = self._still.get(place)
            if still is not None and step is not None:
                return moved(still, int(step))
            if key in self._drawings:
                self._drawings.move_to_end(key)
                return self._drawings[key]
        drawing = card.draw(cursor, theme)
        with self._lock:
            self._drawings[key] = drawing
            while len(self._drawings) > MOST:
                self._drawings.popitem(last=False)
            if step is not None:
                self._compare(place, card, int(step), drawing)
        return drawing

    def _compare(self, place: str, card: Card, step: int, drawing: Drawing) -> None:
        """Once a card over all steps was drawn at two of them: does the cursor mark alone tell them apart?"""
        if place in self._still or drawing.problem or not card.spans_steps:
            return
        earlier = self._seen.setdefault(place, (step, drawing))
        if earlier[0] != step:
            same = moved(earlier[1], step)
            alike = same.signature == drawing.signature and same.datasets == drawing.datasets
            self._still[place] = drawing if alike else None


def _key(workspace: Workspace, card: Card, cursor: Mapping[str, Any], theme: str) -> str:
    run = str(card.view.cursor["run"]) if card.view else ""
    return json.dumps(
        [str(workspace.root), run, card.panel.model_dump(mode="json"), cursor, theme, stamp(workspace, card, run)], sort_keys=True, default=str
    )


def stamp(workspace: Workspace, card: Card, run: str) -> int:
    """When something that the card draws was last written, ns; 0 for nothing."""
    folders = [workspace.root / "results" / table for table in card.tables if table != "metrics"]
    if "metrics" in card.tables:
        folders.append(workspace.root / "runs" / run / "metrics")
    return max((f.stat().st_mtime_ns for folder in folders if folder.is_dir() for f in folder.rglob("*.parquet")), default=0)
