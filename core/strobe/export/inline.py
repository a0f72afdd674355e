"""What a standalone file holds of a report: the charts at every step, and at every layer, head, ... of which there are few enough."""

from __future__ import annotations

import base64
import itertools
import json
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..panels.cards import Card
from ..panels.film import Film, Reel, Shot, shoot
from .columns import table

MOST_CHARTS = 400
"""Charts of one card that are drawn for a file: 43 steps of 4 heads are 172, of 512 neurons 22,016."""


@dataclass(frozen=True)
class Take:
    """A card at every step, for each place of the coordinates that it follows in the file: `at` names them, `films` has them by their values."""

    at: tuple[str, ...]
    films: Mapping[tuple[int, ...], Film]
    fixed: Mapping[str, int] = field(default_factory=dict)
    """Coordinates that it follows in the app, and that stand still in the file -> how many values there are."""


def inlined(card: Card, values: Mapping[str, Sequence[int]], steps: int, most: int = MOST_CHARTS) -> tuple[str, ...]:
    """The coordinates of a card of which the file holds every value: those with the fewest values first, as long as `most` charts will do.

    A chart over all steps is drawn three times, any other once a step.
    """
    charts, chosen = 1 if "step" in card.panel.cursor else 3 if card.spans_steps else steps, list[str]()
    for name in sorted((n for n in card.at if n in values), key=lambda n: len(values[n])):
        charts *= len(values[name])
        if charts > most:
            break
        chosen.append(name)
    return tuple(name for name in card.at if name in chosen)


def take(
    card: Card,
    at: Sequence[str],
    values: Mapping[str, Sequence[int]],
    steps: Sequence[int],
    looking: Mapping[str, Any],
    reel: Reel,
    theme: str,
    tick: Callable[[], None] = lambda: None,
) -> Take:
    """Draw a card for the file, at every step and every value of `at`."""
    films = {}
    for place in itertools.product(*(values[name] for name in at)):
        films[place] = shoot(card, steps, {**looking, **dict(zip(at, place, strict=True))}, reel, theme)
        tick()
    fixed = {name: len(values[name]) for name in card.at if name in values and name not in at and len(values[name]) > 1}
    return Take(tuple(at), films, fixed)


def packed(page: Mapping[str, Any], steps: Sequence[int], takes: Sequence[Take], reel: Reel) -> str:
    """Everything the page needs, deflated, as base64: the length of a header, the header as JSON, and the columns that it tells of."""
    blob, tables, places = bytearray(), list[dict[str, Any]](), dict[int, tuple[int, int]]()
    for positions in _datasets(takes):
        fresh = [p for p in positions if p not in places]
        if fresh:
            places |= {p: (len(tables), i) for i, p in enumerate(fresh)}
            tables.append(table([reel.rows[p] for p in fresh], blob))
    header = {
        "model": page,
        "steps": list(steps),
        "takes": [_told(t) for t in takes],
        "tables": tables,
        "places": [places[i] for i in sorted(places)],
    }
    text = json.dumps(header, separators=(",", ":"), default=str).encode()
    return base64.b64encode(zlib.compress(struct.pack("<I", len(text)) + text + bytes(blob), 9)).decode()


def _datasets(takes: Sequence[Take]) -> list[list[int]]:
    """The positions in the reel of each dataset of each card, in the order of places and steps."""
    found: dict[tuple[int, str], dict[int, None]] = {}
    for i, each in enumerate(takes):
        for film in each.films.values():
            for shot in film.shots:
                for name, position in shot.datasets.items():
                    found.setdefault((i, name), {})[position] = None
    return [list(positions) for positions in found.values()]


def _told(take: Take) -> dict[str, Any]:
    """Specifications once, and for each place the shots of all steps: [specification, {dataset: position}, as of], or what is wrong."""
    specs: dict[str, int] = {}
    films = {}
    for place, film in take.films.items():
        numbers = [specs.setdefault(json.dumps(spec), len(specs)) for spec in film.specs]
        films[" ".join(map(str, place))] = [_shot(shot, numbers) for shot in film.shots]
    return {"at": take.at, "specs": [json.loads(spec) for spec in specs], "films": films}


def _shot(shot: Shot, specs: Sequence[int]) -> Any:
    if shot.problem:
        return shot.problem
    return [specs[shot.spec], dict(shot.datasets), *([] if shot.as_of is None else [shot.as_of])]
