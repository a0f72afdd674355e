"""What a worker answered, believed only as far as it can be checked: Arrow that is whole, and of the schema that the analyzer's `Row` declares."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import SchemaError
from ..schema import Made, Row, to_arrow

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class Answer:
    """`kind` is `made`, or that of a failure. `spent`: the worker is not to be used again, though it did its work."""

    kind: str
    message: str = ""
    text: str = ""
    not_finite: Mapping[str, int] = field(default_factory=dict)
    bad: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    milliseconds: float = 0.0
    notes: tuple[str, ...] = ()
    spent: bool = False
    body: memoryview | None = None

    @classmethod
    def of(cls, number: int, said: Mapping[str, Any], body: memoryview) -> Answer:
        """From the JSON of a frame. Raises `ValueError` for what no worker of ours says."""
        try:
            if said["number"] != number:
                raise ValueError(f"it answers call {said['number']!r}, {number} was asked")
            return cls(
                str(said["kind"]),
                str(said["message"]),
                str(said["text"]),
                {str(k): int(v) for k, v in said["not_finite"].items()},
                str(said["bad"]),
                {str(k): int(v) for k, v in said["counts"].items()},
                float(said["milliseconds"]),
                tuple(map(str, said["notes"])),
                bool(said["spent"]),
                body,
            )
        except (KeyError, TypeError, AttributeError) as e:
            raise ValueError(f"its answer lacks something ({type(e).__name__}: {e})") from e

    def made(self, row: type[Row]) -> Made:
        """The rows. Raises `ValueError` when they are not what `row` declares."""
        table = _table(self.body)
        _check(row, table)
        if odd := set(self.not_finite) - set(table.column_names):
            raise ValueError(f"it counts what is not finite in {', '.join(sorted(odd))}, which are no columns")
        return Made(table, self.not_finite)


def _table(body: memoryview | None) -> pa.Table:
    import pyarrow as pa

    try:
        with pa.ipc.open_stream(pa.py_buffer(body or b"")) as stream:
            table = stream.read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError) as e:
        raise ValueError(f"its rows are no whole Arrow table: {e}") from e
    return table


def _check(row: type[Row], table: pa.Table) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    expected = _expected(row)
    if table.column_names != expected.names:
        raise ValueError(f"it has the columns {', '.join(table.column_names)}; {row.__qualname__} declares {', '.join(expected.names)}")
    same = table.schema.equals(expected, check_metadata=True)
    for found, wanted in zip(table.schema, expected, strict=True):
        if not same and (_kind(found.type) != _kind(wanted.type) or (found.nullable, found.metadata) != (wanted.nullable, wanted.metadata)):
            raise ValueError(f"{row.__qualname__}.{found.name} is {found.type}; declared is {wanted.type}")
        column = table.column(found.name)
        if column.null_count and not found.nullable:
            raise ValueError(f"{row.__qualname__}.{found.name} holds {column.null_count} nulls, and is not declared to")
        if pa.types.is_float64(found.type) and not pc.all(pc.is_finite(column), min_count=0).as_py():
            raise ValueError(f"{row.__qualname__}.{found.name} holds NaN or infinity, where null was to be stored")


@functools.lru_cache(maxsize=256)
def _expected(row: type[Row]) -> pa.Schema:
    """The schema that no rows of this type have."""
    try:
        return to_arrow(row, row.columns(**{name: [] for name in row.model_fields})).table.schema
    except SchemaError as e:
        raise ValueError(str(e)) from e


def _kind(type_: pa.DataType) -> Any:
    """A type, but for the lengths of a tensor's axes, which rows decide."""
    import pyarrow as pa

    if isinstance(type_, pa.FixedShapeTensorType):
        return (str(type_.value_type), tuple(type_.dim_names or ()), len(type_.shape))
    return type_
