"""A card as a reader has changed it: with settings of their own, narrowed by a brush, or as the difference of two places.

What changes it travels in the cursor, as text, beside the coordinates: `set7` (settings of card 7, as JSON), `only` (a brush), `minus` (the cursor to
be subtracted), `probe`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from strobe import StrobeError, Workspace
from strobe.panels.brush import ONLY
from strobe.panels.cards import Card, Drawing
from strobe.panels.difference import difference
from strobe.runs.run import Run

MINUS, PROBE = "minus", "probe"
WORDS = re.compile(rf"{ONLY}|{MINUS}|{PROBE}|set\d+")
LONGEST = 20_000
"""Characters of one of these texts."""


def place(name: str, text: str) -> int | str:
    """A coordinate of a request: a number, or the text of a word. Raises `ValueError` for what is neither."""
    if not WORDS.fullmatch(name):
        return int(text)
    if len(text) > LONGEST:
        raise ValueError(f"{name}: {len(text):,} characters; at most {LONGEST:,}")
    return text


def follows(card: Card) -> tuple[str, ...]:
    """Everything that a card is drawn anew for, besides the step."""
    brushed = (ONLY,) if card.view and card.view.renderer.narrows else ()
    return (*card.at, f"set{card.number}", *brushed, MINUS, PROBE)


def probes(workspace: Workspace, run: Run) -> list[str]:
    """Probes that some result of the run was computed on, the default one first; [] when there is but one."""
    stored = {folder.name for folder in workspace.root.glob(f"results/*/{run.name}/*") if folder.is_dir()} - {"_"}
    if len(stored) < 2:
        return []
    default = run.probe("").name
    return sorted(stored, key=lambda name: (name != default, name))


def draw(card: Card, cursor: Mapping[str, Any], theme: str) -> Drawing:
    """The card at a cursor, as the reader has changed it; a problem in words when that is not possible."""
    words = {name: value for name, value in cursor.items() if WORDS.fullmatch(name)}
    here = {name: value for name, value in cursor.items() if name not in words or name in (ONLY, PROBE)}
    try:
        changed = _set(card, str(words.get(f"set{card.number}", "")))
        if minus := words.get(MINUS):
            return difference(changed, here, {**{"run": cursor.get("run")}, **_read(str(minus))}, theme)
    except StrobeError as e:
        return Drawing({}, {}, str(e))
    return changed.draw(here, theme, validate=False)


def _set(card: Card, settings: str) -> Card:
    if not settings or card.view is None:
        return card
    renderer = card.view.renderer
    given = _read(settings)
    kept = {name: value for name, value in renderer.model_dump(mode="json", exclude_unset=True).items() if name not in given}
    return replace(card, view=replace(card.view, renderer=card.view.workspace.renderer(type(renderer), {**kept, **given})))


def _read(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as e:
        raise StrobeError(f"{text[:80]!r} is no JSON: {e}") from e
    if not isinstance(found, dict):
        raise StrobeError(f"{text[:80]!r} is not a mapping of names to values")
    return found
