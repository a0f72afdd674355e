"""A page as data: what the board needs to know of a report, a run and its results before it draws anything. The app and an exported file share it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import StrobeError
from ..reports.markdown import to_html
from ..runs.run import Run
from .bookmarks import bookmarks
from .cards import Card, Group, cards_of
from .moments import events_of, metrics_at, numbers_at, opening_step
from .settings import form

if TYPE_CHECKING:
    from ..workspace import Workspace

FOLD = 16
"""A section of more cards than this is folded until somebody opens it."""


def model(workspace: Workspace, run: Run, groups: Sequence[Group], cursor: Mapping[str, int], steps: Sequence[int] = ()) -> dict[str, Any]:
    """Run, steps, events, what training recorded, coordinates, bookmarks and cards, as plain JSON values.

    `cursor` is where the reader wants to look: coordinates may be missing, and may not exist in this run; the page goes to the nearest and says so.
    """
    steps = list(steps or run.steps)
    events = events_of(workspace, run)
    return {
        "run": run.name,
        "steps": steps,
        "cursor": {"step": opening_step(steps, events), **cursor},
        "events": [{"event": name, "step": step} for name, step in events.items()],
        "metrics": metrics_at(run, steps),
        "recorded": numbers_at(run, steps),
        "choices": places(workspace, run, cards_of(groups)),
        "bookmarks": _bookmarks(run),
        "sections": [section(group) for group in groups],
    }


def section(group: Group) -> dict[str, Any]:
    return {
        "title": group.title,
        "description": group.description,
        "html": to_html(group.markdown),
        "level": group.level,
        "folded": len(group.cards) > FOLD,
        "cards": [described(c) for c in group.cards],
    }


def described(card: Card) -> dict[str, Any]:
    """What the page shows around a chart, and what moves it."""
    renderer = card.view.renderer if card.view else None
    return {
        "number": card.number,
        "title": card.title,
        "how": " ".join(filter(None, [card.how_to_read, renderer.by_hand if renderer else ""])),
        "footnote": card.footnote,
        "renderer": card.panel.renderer,
        "width": card.panel.width if isinstance(card.panel.width, str) else f"w{card.panel.width}",
        "of": card.of,
        "at": list(card.at),
        "clocks": card.clocks,
        "pinned": "step" in card.panel.cursor,
        "picks": [[pick.field, pick.to or pick.field] for pick in renderer.picks] if renderer else [],
        "narrows": bool(renderer and renderer.narrows),
        "form": form(renderer) if renderer else [],
        "problem": card.problem,
    }


def places(workspace: Workspace, run: Run, cards: Iterable[Card]) -> dict[str, list[int]]:
    """Coordinate -> values one can look at, of every coordinate that some card is cut at, or that a click on some card moves; step left out."""
    found: dict[str, set[int]] = {}
    for card in cards:
        if card.view is None or not card.tables:
            continue
        for column, name in {**{c: c for c in card.at}, **{p.field: p.to or p.field for p in card.view.renderer.picks}}.items():
            if name != "step":
                found.setdefault(name, set()).update(_values(workspace, run, card.tables[0], column))
    return {name: sorted(values) for name, values in sorted(found.items()) if values}


def _values(workspace: Workspace, run: Run, table: str, column: str) -> set[int]:
    try:
        values = workspace.table(table, runs=run, steps=run.steps[-1:], columns=[column])[column]
    except (StrobeError, KeyError):  # nothing stored, or a field that only the drawing has
        return set()
    return {int(v) for v in values.dropna().unique()} if values.dtype.kind in "iuf" else set()


def _bookmarks(run: Run) -> list[dict[str, Any]]:
    return [b.model_dump(mode="json") for b in bookmarks(run)]


def colours(theme: str) -> dict[str, str]:
    """CSS variables of a theme of charts, without the leading dashes."""
    from .. import charts

    loaded = charts.theme(theme)
    palette, dark = dict(loaded["usermeta"]["strobe"]["palette"]), theme == charts.DARK
    return {
        **{name: str(palette[name]) for name in ("ink", "text", "muted", "card", "page")},
        "border": str(loaded["usermeta"]["strobe"]["card"]["border"]),
        "sidebar": str(palette["card"]),
        "problem": "#3A2E14" if dark else "#FFF4DC",
        "focus": "#56B4E9" if dark else "#0072B2",
        "font": str(loaded["config"]["font"]),
        "scheme": "dark" if dark else "light",
    }
