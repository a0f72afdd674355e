"""`Row`: a typed result, and the Arrow schema it makes, with dimensions, units and descriptions; and back."""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, Union, dataclass_transform

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from .errors import SchemaError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)

Kind = Literal["dim", "metric", "array"]
ENGINE_COLUMNS = ("run", "step", "probe")
"""Columns the engine adds in front of every row that does not declare them."""

SCALARS: dict[type, str] = {str: "string", int: "int64", float: "float64", bool: "bool"}


def dim(description: str) -> Any:
    """A field that says what the row is about: parameter, layer, head, neuron, frequency, ... (`str`, `int`, `bool`, or `| None`)."""
    return Field(description=description, json_schema_extra={"kind": "dim"})


def metric(description: str, *, unit: str) -> Any:
    """A number with a unit (`"nats"`, `"1"` for a ratio, `"step"`). `| None` where it may be undefined; NaN and infinity are stored as null."""
    return Field(description=description, json_schema_extra={"kind": "metric", "unit": unit})


def array(description: str, *, dims: Sequence[str], unit: str, dtype: str = "float32") -> Any:
    """An array per row, annotated `np.ndarray` (or `np.ndarray | None`).

    One dimension is stored as a list, so its length may differ between rows; two and more as a tensor with dimension names, one shape per table.
    """
    return Field(description=description, json_schema_extra={"kind": "array", "unit": unit, "dtype": dtype, "dims": list(dims)})


@dataclass_transform(kw_only_default=True, field_specifiers=(dim, metric, array))
class _Declared(ModelMetaclass):
    """Tells type checkers how rows are made. On the metaclass, because pydantic's own says so there, and pyright asks the metaclass first."""


class Row(BaseModel, metaclass=_Declared):
    """One typed row of a result. Subclass it inside an analyzer; every field is a `dim`, a `metric` or an `array`."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @classmethod
    def columns(cls, **columns: Any) -> Columns:
        """Whole columns at once, for large results: sequences of equal length, or one scalar for all rows."""
        return Columns(cls, columns)


@dataclass(frozen=True, eq=False)
class Columns:
    """What `Row.columns(...)` returns: a row type and its columns."""

    row: type[Row]
    columns: Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One column of a table, as declared: what a renderer or a reader needs to draw it without knowing its analyzer."""

    name: str
    kind: Kind
    description: str
    type: str
    nullable: bool = True
    unit: str = ""
    dims: tuple[str, ...] = ()

    @property
    def numeric(self) -> bool:
        return self.type in ("int64", "float64")


@dataclass(frozen=True)
class TableSchema:
    """The columns of a table by name, in order, engine columns first."""

    columns: Mapping[str, Column] = field(default_factory=dict)

    def of_kind(self, *kinds: Kind) -> list[Column]:
        return [c for c in self.columns.values() if c.kind in kinds]


ENGINE_SCHEMA = {
    "run": Column("run", "dim", "run", "string"),
    "step": Column("step", "dim", "training step of the checkpoint", "int64"),
    "probe": Column("probe", "dim", "batch of inputs that was looked at", "string"),
}


def declared(row: type[Row]) -> dict[str, Column]:
    """The columns that a row type declares; raises `SchemaError` naming the field that is not declared properly."""
    return dict(_declared(row))


@lru_cache(maxsize=512)
def _declared(row: type[Row]) -> dict[str, Column]:
    return {name: _column(row, name) for name in row.model_fields}


def _column(row: type[Row], name: str) -> Column:
    info = row.model_fields[name]
    extra = info.json_schema_extra
    if not isinstance(extra, dict) or extra.get("kind") not in ("dim", "metric", "array"):
        raise SchemaError(f"{row.__qualname__}.{name}: declare it with dim(...), metric(..., unit=...) or array(..., dims=[...], unit=...)")
    kind = typing.cast(Kind, extra["kind"])
    base, nullable = _annotation(info.annotation)
    if kind == "array":
        type_ = _dtype(f"{row.__qualname__}.{name}", base, str(extra["dtype"]))
    elif base in SCALARS:
        type_ = SCALARS[base]
    else:
        raise SchemaError(
            f"{row.__qualname__}.{name}: {_named(info.annotation)} is not str, int, float, bool or one of them | None"
            "; several numbers per row are an array(...), annotated np.ndarray"
        )
    dims = tuple(str(d) for d in typing.cast(list[Any], extra.get("dims", [])))
    return Column(name, kind, info.description or "", type_, nullable, str(extra.get("unit", "")), dims)


def _dtype(where: str, annotation: Any, dtype: str) -> str:
    """The name of an array's dtype; raises `SchemaError` for one that cannot be stored."""
    if annotation is not np.ndarray and typing.get_origin(annotation) is not np.ndarray and annotation is not Any:
        raise SchemaError(f"{where}: an array(...) is annotated np.ndarray or np.ndarray | None, not {_named(annotation)}")
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = np.dtype(object)
    if found.kind not in "biuf":
        raise SchemaError(f"{where}: dtype={dtype!r} cannot be stored; use float16, float32, float64, bool, or an integer such as int64 or uint8")
    return str(found)


def _named(annotation: Any) -> str:
    """`list[float]`, `dict`: a type as its author wrote it."""
    return annotation.__qualname__ if isinstance(annotation, type) and not typing.get_args(annotation) else str(annotation)


def _annotation(annotation: Any) -> tuple[Any, bool]:
    if typing.get_origin(annotation) in (Union, types.UnionType):
        rest = [a for a in typing.get_args(annotation) if a is not type(None)]
        return (rest[0], True) if len(rest) == 1 else (annotation, True)
    return annotation, False


@lru_cache(maxsize=512)
def signature(row: type[Row]) -> str:
    """What a row type declares, as canonical JSON: part of the result's key."""
    return json.dumps({n: [c.kind, c.type, c.nullable, c.unit, c.dims] for n, c in declared(row).items()}, sort_keys=True)


@dataclass(frozen=True, eq=False)
class Made:
    """Rows as Arrow, and of how many rows each metric (then stored as null) or array (stored as it is) was not finite."""

    table: pa.Table
    not_finite: Mapping[str, int]


def to_arrow(row: type[Row], result: Iterable[Row] | Columns) -> Made:
    """Validate what a hook gave back and make it Arrow. Cost: one pass over the data. Raises `SchemaError` with field and row."""
    import pyarrow as pa

    columns, n = _columns(row, result)
    fields, arrays, not_finite = [], [], {}
    for name, column in declared(row).items():
        if column.kind == "array":
            values, bad = _array_column(row, column, columns[name], n)
        else:
            values, bad = _scalar_column(row, column, columns[name], n)
        if bad:
            not_finite[name] = bad
        arrays.append(values)
        fields.append(pa.field(name, values.type, nullable=column.nullable or column.type == "float64", metadata=_metadata(column)))
    return Made(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), not_finite)


def _columns(row: type[Row], result: Iterable[Row] | Columns) -> tuple[Mapping[str, Any], int]:
    if not isinstance(result, Columns):
        return _collected(row, result)
    if result.row is not row:
        raise SchemaError(f"expected {row.__qualname__}.columns(...), got {result.row.__qualname__}.columns(...)")
    if odd := set(result.columns) ^ set(row.model_fields):
        raise SchemaError(f"{row.__qualname__}.columns: {', '.join(sorted(odd))} missing or unknown; it takes {', '.join(row.model_fields)}")
    lengths = {name: len(v) for name, v in result.columns.items() if _is_column(v)}
    if len(set(lengths.values())) > 1:
        raise SchemaError(f"{row.__qualname__}.columns: lengths differ: {', '.join(f'{k} {v}' for k, v in lengths.items())}")
    n = next(iter(lengths.values()), 1)
    return {name: _numpy(v) if _is_column(v) else [v] * n for name, v in result.columns.items()}, n


def _collected(row: type[Row], result: Iterable[Row]) -> tuple[Mapping[str, Any], int]:
    if isinstance(result, (str, bytes, dict)) or not isinstance(result, Iterable):
        raise SchemaError(f"a hook returns an iterator of {row.__qualname__} or {row.__qualname__}.columns(...), got {type(result).__name__}")
    rows = list(result)
    for i, r in enumerate(rows):
        if type(r) is not row:
            raise SchemaError(f"row {i}: expected {row.__qualname__}, got {type(r).__qualname__}")
    return {name: [getattr(r, name) for r in rows] for name in row.model_fields}, len(rows)


def _is_column(value: Any) -> bool:
    return not isinstance(value, (str, bytes)) and hasattr(value, "__len__") and getattr(value, "ndim", 1) > 0


def _numpy(values: Any) -> Any:
    return values.detach().cpu().numpy() if hasattr(values, "detach") else values


def _scalar_column(row: type[Row], column: Column, values: Any, n: int) -> tuple[Any, int]:
    import pyarrow as pa

    values = values if isinstance(values, list) else np.asarray(values)
    if isinstance(values, np.ndarray) and column.type == "int64" and values.dtype.kind == "f":
        raise SchemaError(f"{row.__qualname__}.{column.name}: declared int, got {values.dtype}")
    type_ = getattr(pa, "bool_" if column.type == "bool" else column.type)()
    try:
        made = _scalars(values, type_)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as e:
        raise SchemaError(f"{row.__qualname__}.{column.name}: {e}") from e
    bad = 0
    if column.type == "float64":
        made, bad = _null_where_not_finite(made)
    if made.null_count and not column.nullable and column.type != "float64":
        raise SchemaError(f"{row.__qualname__}.{column.name}: {made.null_count} of {n} values are null; declare it `{_python(column.type)} | None`")
    return made, bad


def _scalars(values: Any, type_: Any) -> Any:
    """As Arrow; 0-dimensional tensors, which Arrow does not know, by their items."""
    import pyarrow as pa

    try:
        return pa.array(values, type=type_, from_pandas=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([_item(v) for v in values], type=type_, from_pandas=False)


def _item(value: Any) -> Any:
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value


def _python(arrow: str) -> str:
    return next(t.__name__ for t, name in SCALARS.items() if name == arrow)


def _null_where_not_finite(values: Any) -> tuple[Any, int]:
    import pyarrow as pa
    import pyarrow.compute as pc

    finite = pc.is_finite(values)
    bad = len(values) - values.null_count - (pc.sum(finite).as_py() or 0)
    return (pc.if_else(finite, values, pa.scalar(None, pa.float64())), bad) if bad else (values, 0)


def _array_column(row: type[Row], column: Column, values: Any, n: int) -> tuple[Any, int]:
    import pyarrow as pa

    dtype, where = np.dtype(column.type), f"{row.__qualname__}.{column.name}"
    blocks = [None if v is None else _block(f"{where}: row {i}", v, dtype) for i, v in enumerate(values)]
    for i, block in enumerate(blocks):
        if block is None and not column.nullable:
            raise SchemaError(f"{where}: row {i} is null; declare it `np.ndarray | None`")
        if block is not None and block.ndim != len(column.dims):
            raise SchemaError(f"{where}: row {i} has {block.ndim} axes for dims {list(column.dims)}")
    value_type = pa.from_numpy_dtype(dtype)
    if len(column.dims) == 1:
        offsets = np.cumsum([0, *(0 if b is None else len(b) for b in blocks)], dtype=np.int32)
        flat = np.concatenate([b for b in blocks if b is not None]) if any(b is not None for b in blocks) else np.zeros(0, dtype)
        mask = pa.array([b is None for b in blocks]) if any(b is None for b in blocks) else None
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat, value_type), mask=mask), _not_finite(flat, blocks)
    return _tensor_column(where, column, blocks, value_type)


def _block(where: str, value: Any, dtype: np.dtype[Any]) -> np.ndarray:
    """One array in its declared dtype; refuses what that would change silently, such as 0.5 as an integer."""
    try:
        found = np.asarray(_numpy(value))
        return found.astype(dtype, casting="same_kind" if found.size else "unsafe", copy=False)
    except (TypeError, ValueError) as e:
        raise SchemaError(f"{where} cannot be stored as {dtype}: {e}") from e


def _tensor_column(where: str, column: Column, blocks: list[np.ndarray | None], value_type: Any) -> tuple[Any, int]:
    import pyarrow as pa

    shapes = sorted({b.shape for b in blocks if b is not None})
    if len(shapes) > 1:
        raise SchemaError(f"{where}: shapes differ between rows: {', '.join(map(str, shapes))}; one table has one shape")
    shape = shapes[0] if shapes else (0,) * len(column.dims)
    size = math.prod(shape)
    flat = np.concatenate([(np.zeros(shape, column.type) if b is None else b).reshape(-1) for b in blocks]) if blocks else np.zeros(0, column.type)
    mask = pa.array([b is None for b in blocks]) if any(b is None for b in blocks) else None
    storage = (
        pa.FixedSizeListArray.from_arrays(pa.array(flat, value_type), size, mask=mask) if size else pa.nulls(len(blocks), pa.list_(value_type, 0))
    )
    made = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(value_type, shape, dim_names=list(column.dims)), storage)
    return made, _not_finite(flat, blocks)


def _not_finite(flat: np.ndarray, blocks: Sequence[np.ndarray | None]) -> int:
    """How many blocks hold NaN or infinity; `flat` is all of them in one, which settles the usual case at once."""
    if flat.dtype.kind != "f" or bool(_finite(flat).all()):
        return 0
    return sum(b is not None and not bool(_finite(b).all()) for b in blocks)


def _finite(values: np.ndarray) -> np.ndarray:
    """`np.isfinite`, in float16 by the exponent bits: a twentieth of the time."""
    if values.dtype != np.float16:
        return np.asarray(np.isfinite(values))
    return np.asarray((np.ascontiguousarray(values).view(np.uint16) & 0x7C00) != 0x7C00)


def _metadata(column: Column) -> dict[str, str]:
    return {"kind": column.kind, "description": column.description, "unit": column.unit, "dims": json.dumps(column.dims), "type": column.type}


def table_schema(schema: pa.Schema) -> TableSchema:
    """The declaration back from an Arrow schema (engine columns included), as it is found in any result file."""
    columns = {}
    for f in schema:
        meta = {k.decode(): v.decode() for k, v in (f.metadata or {}).items()}
        if "kind" in meta:
            columns[f.name] = Column(
                f.name, typing.cast(Kind, meta["kind"]), meta["description"], meta["type"], f.nullable, meta["unit"], tuple(json.loads(meta["dims"]))
            )
        elif f.name in ENGINE_SCHEMA:
            columns[f.name] = ENGINE_SCHEMA[f.name]
    return TableSchema(columns)


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """A data frame with familiar columns: numpy numbers, nullable integers where nulls occur, and each array as an `np.ndarray` of its own shape."""
    import pandas as pd
    import pyarrow as pa

    data: dict[str, Any] = {}
    for f in table.schema:
        column = table.column(f.name)
        if isinstance(f.type, pa.FixedShapeTensorType) or pa.types.is_list(f.type):
            data[f.name] = _cells(column.combine_chunks())
        elif column.null_count and (pa.types.is_integer(f.type) or pa.types.is_boolean(f.type)):
            data[f.name] = column.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get)
        else:
            data[f.name] = column.to_pandas()
    frame = pd.DataFrame(data)
    return frame


def _cells(column: Any) -> Any:
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    out = np.empty(len(column), dtype=object)
    valid = np.asarray(column.is_valid()) if column.null_count else np.ones(len(column), bool)
    if isinstance(column.type, pa.FixedShapeTensorType):
        size = math.prod(column.type.shape)
        flat = column.storage.values.to_numpy(zero_copy_only=False)[column.storage.offset * size :]
        blocks = flat[: len(column) * size].reshape(len(column), *column.type.shape)
        for i in range(len(column)):
            out[i] = blocks[i] if valid[i] else None
        return out
    flat, offsets = column.values.to_numpy(zero_copy_only=False), column.offsets.to_numpy()
    for i in range(len(column)):
        out[i] = flat[offsets[i] : offsets[i + 1]] if valid[i] else None
    return out
