"""`Renderer`: turns rows into a chart. The same object serves the report, a notebook and an export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from .errors import UsageError, did_you_mean
from .plugin import Plugin
from .schema import Column, TableSchema


@dataclass(frozen=True)
class Dim:
    """A slot that takes any dimension column; `names` are preferred, in order."""

    names: tuple[str, ...] = ()
    optional: bool = False

    def fits(self, column: Column) -> bool:
        return column.kind == "dim"


@dataclass(frozen=True)
class Number:
    """A slot that takes any numeric metric; `names` are preferred, in order."""

    names: tuple[str, ...] = ()
    optional: bool = False

    def fits(self, column: Column) -> bool:
        return column.kind == "metric" and column.numeric


@dataclass(frozen=True)
class Pick:
    """A click on a mark moves the cursor: `field` of the clicked row sets the cursor's coordinate of the same name (or `to`)."""

    field: str
    to: str = ""


Slots = Mapping[str, Dim | Number]


class Renderer(Plugin):
    """Draws the rows at the cursor.

    Class attributes (assign without annotation):
    `consumes` the table it draws (the first, when several; `"metrics"` is what training recorded), or
    `slots` for a generic renderer that draws any table they fit; `over` cursor coordinates the frame is *not* cut at (`("step",)`: all steps);
    `at` coordinates it *is* cut at besides run, step and probe (`("layer", "neuron")`); `picks` what a click moves;
    `compares` how it draws several runs in one frame: `("overlay",)`, `("overlay", "grid")`. Without it a report shows runs side by side, in a grid
    of whole charts, or as a difference.
    `by_hand` what a reader can do with it where it is alive (`"Drag to turn it."`), left out of pictures and films;
    `needs` table -> columns, of which one must hold a number for it to have anything to draw, where that is not just any of the table;
    `narrows` whether a brush (neurons or frequencies marked in another panel) leaves only their rows;
    `cut` further consumed tables that are cut at the cursor like the drawn one, of any settings, where the others come whole.
    """

    consumes: ClassVar[str | Sequence[str]] = ()
    slots: ClassVar[Slots] = {}
    over: ClassVar[tuple[str, ...]] = ()
    at: ClassVar[tuple[str, ...]] = ()
    picks: ClassVar[Sequence[Pick]] = ()
    compares: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[Mapping[str, Sequence[str]]] = {}
    narrows: ClassVar[bool] = False
    cut: ClassVar[tuple[str, ...]] = ()
    by_hand: ClassVar[str] = ""
    class_attributes: ClassVar[frozenset[str]] = frozenset(
        {"consumes", "slots", "over", "at", "picks", "compares", "needs", "narrows", "cut", "by_hand"}
    )
    common_settings: ClassVar[Mapping[str, str]] = {
        "width": "width of the plot in pixels",
        "height": "height of the plot in pixels",
        "size": "side of a plot, or of one of several, in pixels",
        "row_height": "height of a row in pixels",
        "columns": "plots side by side",
        "step_scale": "how steps are spaced: linear or log",
        "layer": "the one layer to draw; null: all of them",
        "site": "the one site to draw",
        "split": "which inputs are drawn: train, test or all",
        "splits": "which splits are drawn",
        "groups": "groups of parameters to draw; empty: all",
        "parameters": "which parameters are drawn: a pattern, or names",
        "views": "token views to draw",
        "rows": "most rows shown",
        "top": "how many, the largest first",
        "threshold": "value from which something counts; drawn as a line",
    }

    @classmethod
    def tables(cls) -> tuple[str, ...]:
        """Names of the tables it reads, the drawn one first."""
        return (cls.consumes,) if isinstance(cls.consumes, str) else tuple(cls.consumes)


def check_slots(renderer: type[Renderer], schema: TableSchema, chosen: Mapping[str, str]) -> None:
    """That the slots somebody filled are the renderer's, and the columns are the table's and fit. Raises `UsageError` with the nearest name."""
    for slot, column in chosen.items():
        if slot not in renderer.slots:
            raise UsageError(f"{renderer.__name__} has no slot {slot!r}{did_you_mean(slot, renderer.slots)}")
        if column not in schema.columns:
            raise UsageError(f"no column {column!r} to draw{did_you_mean(column, schema.columns)}")
        if not renderer.slots[slot].fits(schema.columns[column]):
            kind = "a dimension" if isinstance(renderer.slots[slot], Dim) else "a number"
            raise UsageError(f"column {column!r} is no {kind.partition(' ')[2]}: slot {slot!r} takes {kind}")


def bind(slots: Slots, schema: TableSchema, chosen: Mapping[str, str] | None = None) -> dict[str, str] | None:
    """Slot -> column for a table, or None when a required slot finds no column. Columns `chosen` by the user come first, then preferred names."""
    bound: dict[str, str] = {}
    for slot, want in slots.items():
        column = _choose(want, schema, (chosen or {}).get(slot), taken=set(bound.values()))
        if column is None and not want.optional:
            return None
        if column is not None:
            bound[slot] = column
    return bound


def _choose(want: Dim | Number, schema: TableSchema, chosen: str | None, taken: set[str]) -> str | None:
    fitting = [c.name for c in schema.columns.values() if want.fits(c) and c.name not in taken]
    if chosen in fitting:
        return chosen
    fitting = [name for name in fitting if name not in ("run", "probe")]  # they are the cursor's, unless somebody asks for them
    for name in want.names:
        if name in fitting:
            return name
    if want.names and want.optional:
        return None
    return next((name for name in fitting if name != "step"), fitting[0] if fitting else None)


def fits(renderer: type[Renderer], table: str, schema: TableSchema) -> bool:
    """Whether a renderer can draw a table: it names it, or its slots find their columns."""
    return renderer.tables()[:1] == (table,) or (bool(renderer.slots) and bind(renderer.slots, schema) is not None)
