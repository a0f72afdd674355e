"""A renderer on a tiny run: the frames it would be given at a cursor, and what it draws, specification and rows apart."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..frame import Frame
from ..registration.registry import Registry
from ..renderer import Renderer, bind, fits
from ..schema import ENGINE_SCHEMA, Column, TableSchema, declared
from .findings import NotMeant
from .material import Material, _rows_of
from .tiny import TinyRun, tiny_run

if TYPE_CHECKING:
    import pandas as pd

    from ..panels.cards import Drawing

METRICS = "metrics"
GENERIC = 3
"""Tables on which a renderer that draws any is tried."""


class Drawn:
    """One renderer and one table of a tiny run."""

    def __init__(self, renderer: Renderer | type[Renderer], table: str = "", run: TinyRun | None = None, registry: Registry | None = None) -> None:
        self.renderer: Any = renderer() if isinstance(renderer, type) else renderer
        self.registry = registry or Registry.discover()
        self.table = table or next(iter(self.renderer.tables()), "") or next(iter(tables(type(self.renderer), self.registry)))
        self._run = run

    @functools.cached_property
    def material(self) -> Material:
        """The analyzer behind the table, and a family that it applies to."""
        name = next((t for t in (self.table, *self.renderer.tables()) if t != METRICS), "")
        plugin = self.registry.get("analyzer", name)
        return Material(plugin.load(), self._run.family if self._run else None, self.registry, name)

    @functools.cached_property
    def run(self) -> TinyRun:
        only_metrics = self.table == METRICS and set(self.renderer.tables()) <= {METRICS}
        return self._run or (tiny_run() if only_metrics else self.material.runs[0])

    @functools.cached_property
    def schema(self) -> TableSchema:
        return schema(self.table, self.run, self.registry)

    @functools.cached_property
    def data(self) -> Mapping[str, pd.DataFrame]:
        """The tables it reads, whole."""
        return {name: self._rows(name) for name in dict.fromkeys([self.table, *self.renderer.tables()[1:]])}

    def _rows(self, name: str) -> pd.DataFrame:
        if name == METRICS:
            return self.run.metrics.assign(run=self.run.name)
        if name == self.table:
            return _rows_of(self.material, name)
        return _rows_of(Material(self.registry.analyzer(name), self.run.family, self.registry, name), name)

    def frame(self, cursor: Mapping[str, Any], rows: pd.DataFrame | None = None) -> Frame:
        """The rows at a cursor, cut as a report cuts them."""
        data = self._cut(self.data[self.table] if rows is None else rows, cursor)
        others = {n: t.copy(deep=True) for n, t in self.data.items() if n != self.table}
        slots = bind(self.renderer.slots, self.schema) or {} if self.renderer.slots else {}
        return Frame(data, self.schema, slots, others, self.run.family, {**cursor, "run": self.run.name})

    def _cut(self, data: pd.DataFrame, cursor: Mapping[str, Any]) -> pd.DataFrame:
        if "step" in data and "step" not in self.renderer.over and self.table != METRICS and cursor.get("step") is not None:
            earlier = sorted(s for s in data["step"].dropna().unique() if s <= cursor["step"])
            at = earlier[-1] if earlier else data["step"].min()
            data = data[(data["step"] == at) | data["step"].isna()]
        for coordinate in self.renderer.at:
            if coordinate in data and cursor.get(coordinate) is not None:
                data = data[data[coordinate] == cursor[coordinate]]
        return data.reset_index(drop=True).copy(deep=True)

    def draw(self, frame: Frame, *, validate: bool = False) -> Drawing:
        """Specification and rows; with `validate` checked against the schema of Vega-Lite, which takes most of the time."""
        from altair.utils.schemapi import debug_mode

        from ..panels.cards import parted

        with debug_mode(validate):
            return parted(self.renderer.render(frame).to_dict(validate=validate))

    def cursors(self) -> list[dict[str, Any]]:
        """Three places to look from: the first, a middle and the last step, and as many of every other coordinate it is cut at."""
        found = [{"step": step} for step in (self.run.steps[0], self.run.steps[len(self.run.steps) // 2], self.run.steps[-1])]
        for coordinate in self.renderer.at:
            table = self.data[self.table]
            values = sorted(table[coordinate].dropna().unique().tolist()) if coordinate in table else []
            for i, cursor in enumerate(found):
                if values:
                    cursor[coordinate] = values[min(i, len(values) - 1)]
        return found


def schema(table: str, run: TinyRun, registry: Registry) -> TableSchema:
    """The columns of a table, as a workspace would tell them."""
    if table == METRICS:
        columns = {n: Column(n, "metric", n, "float64") for n in map(str, run.metrics) if n != "step"}
        return TableSchema({"run": ENGINE_SCHEMA["run"], "step": ENGINE_SCHEMA["step"], **columns})
    cls = registry.analyzer(table)
    return TableSchema({**{n: ENGINE_SCHEMA[n] for n in cls.engine_columns()}, **declared(cls.Row)})


def tables(renderer: type[Renderer], registry: Registry) -> list[str]:
    """What to try a renderer on: the table it names, or for a generic one the first of each of some categories that it fits."""
    if named := renderer.tables()[:1]:
        if named[0] != METRICS and named[0] not in {p.name for p in registry.all("analyzer")}:
            raise NotMeant(f"it draws {named[0]!r}, and no installed analyzer has that name; install the package it comes with")
        return list(named)
    found: dict[str, str] = {}
    for plugin in registry.all("analyzer"):
        if plugin.state == "ready" and plugin.category not in found and plugin.category in ("weights", "outputs", "activations"):
            cls = plugin.load()
            made_of = TableSchema({**{n: ENGINE_SCHEMA[n] for n in cls.engine_columns()}, **declared(cls.Row)})
            if not cls.opt_in and not cls.upstream() and fits(renderer, plugin.name, made_of):
                found[plugin.category] = plugin.name
    if not found:
        raise NotMeant("its slots fit no table of an installed analyzer")
    return list(found.values())[:GENERIC]
