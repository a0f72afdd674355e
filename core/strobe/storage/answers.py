"""What the columns of a query's answer are: types as results have them, and kinds, units and descriptions as far as its tables declare them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import StrobeError
from ..schema import ENGINE_SCHEMA, Column, TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

    from ..workspace import Workspace

COORDINATES = ("step", "epoch", "layer", "head", "neuron", "frequency", "input", "token", "position", "index", "component", "rank", "seed", "p")
"""Whole numbers of these names say where; any other whole number of a query is a value."""


def plainer(table: pa.Table) -> pa.Table:
    """The types that results have: int64, float64 (null where not finite), string, bool, lists of these; names that are distinct."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = []
    for column in table.columns:
        made = _cast(column, _plain_type(column.type))
        if made.type == pa.float64():
            made = pc.if_else(pc.is_finite(made), made, pa.scalar(None, pa.float64()))
        columns.append(made)
    return pa.table(columns, names=_distinct(table.column_names))


def schema_of(table: pa.Table, declared: Mapping[str, Column]) -> TableSchema:
    """A column that is declared is what it is declared to be; of the others words are dimensions, and numbers metrics unless they name a place."""
    return TableSchema({f.name: _column(f.name, f.type, declared.get(f.name)) for f in table.schema})


def declared_in(workspace: Workspace, tables: Iterable[str]) -> dict[str, Column]:
    """The columns of tables by name; one that means two things in two of them is left out."""
    found: dict[str, Column | None] = {}
    for name in tables:
        try:
            columns = workspace.schema(name).columns
        except StrobeError:  # a broken plugin: its rows can be read all the same
            continue
        for column in columns.values():
            known = found.get(column.name, column)
            found[column.name] = column if known and (known.kind, known.unit) == (column.kind, column.unit) else None
    return {name: column for name, column in found.items() if column is not None}


def _column(name: str, type_: Any, declared: Column | None) -> Column:
    import pyarrow as pa

    if pa.types.is_list(type_):
        return Column(name, "array", declared.description if declared else _words(name), str(type_.value_type), dims=("item",))
    word = {pa.int64(): "int64", pa.float64(): "float64", pa.bool_(): "bool"}.get(type_, "string")
    if declared is None or declared.kind == "array" or (declared.type in ("int64", "float64")) != (word in ("int64", "float64")):
        declared = ENGINE_SCHEMA[name] if name in ENGINE_SCHEMA and ENGINE_SCHEMA[name].type == word else None
    if declared is not None and not (declared.kind == "dim" and word == "float64"):  # the mean of a place is none
        return replace(declared, type=word, nullable=True)
    where = word in ("string", "bool") or (word == "int64" and name in COORDINATES)
    return Column(name, "dim" if where else "metric", _words(name), word)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _plain_type(type_: Any) -> Any:
    import pyarrow as pa

    t = pa.types
    if t.is_uint64(type_) or t.is_floating(type_) or t.is_decimal(type_):
        return pa.float64()
    if t.is_integer(type_):
        return pa.int64()
    if t.is_list(type_) and (t.is_integer(type_.value_type) or t.is_floating(type_.value_type) or t.is_string(type_.value_type)):
        return type_
    return type_ if t.is_boolean(type_) else pa.string()


def _cast(column: Any, type_: Any) -> Any:
    """What Arrow cannot cast (structures, maps) in the words of Python."""
    import pyarrow as pa

    try:
        return column.cast(type_)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return pa.chunked_array([pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())])


def _distinct(names: Iterable[str]) -> list[str]:
    """`select a.step, b.step` has two columns of one name."""
    made: list[str] = []
    for name in names:
        n, new = 1, name
        while new in made:
            n, new = n + 1, f"{name}_{n + 1}"
        made.append(new)
    return made
