"""One file of results: cells as row groups, and a footer that lists them. Damage is a `StoreError` that says which file."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints import sync_folder
from ..errors import StoreError
from .kept import identity

if TYPE_CHECKING:
    import pyarrow as pa

FOOTER = b"strobe"
CORRUPT = "is damaged ({}); delete it, and `strobe analyze` computes its cells again"


@dataclass(frozen=True, eq=False)
class StoredCell:
    """A cell's rows, as they go into a file."""

    step: int | None
    key: str
    table: pa.Table


@dataclass(frozen=True)
class Entry:
    """A cell in a file: which file, and which row group (None when it has no rows)."""

    step: int | None
    key: str
    rows: int
    file: Path
    group: int | None


def stamp(table: pa.Table, run: str | None, step: int | None, probe: str | None) -> pa.Table:
    """Put run, step and probe in front of a table, where its rows do not declare them themselves."""
    import pyarrow as pa

    values = {"run": (run, pa.string()), "step": (step, pa.int64()), "probe": (probe, pa.string())}
    fields, columns = [], []
    for name, (value, type_) in values.items():
        if name in table.column_names:
            fields.append(table.schema.field(name))
            columns.append(table.column(name))
        else:
            fields.append(pa.field(name, type_))
            columns.append(pa.array([value] * len(table), type_))
    for f in table.schema:
        if f.name not in values:
            fields.append(f)
            columns.append(table.column(f.name))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def footer_of(file: Path) -> dict[str, Any]:
    """What a file says of itself, at its end."""
    return json.loads(_footer(file, identity(file)))  # type: ignore[no-any-return]


@lru_cache(maxsize=1024)
def _footer(file: Path, same: tuple[int, ...]) -> bytes:
    """Kept as long as the file is the same: a page asks for those of its tables with every chart."""
    import pyarrow.parquet as pq

    raw: bytes | None = (_guarded(lambda: pq.read_metadata(file), file).metadata or {}).get(FOOTER)
    if raw is None:
        raise StoreError(f"{file} {CORRUPT.format('it has no Strobe footer')}")
    return raw


def schema_of(file: Path) -> pa.Schema:
    import pyarrow.parquet as pq

    return _guarded(lambda: pq.read_schema(file), file).remove_metadata()


class Moved(Exception):
    """A file was merged or replaced between listing and reading."""


def _guarded(read: Callable[[], Any], file: Path) -> Any:
    """Read from a file; damage is a `StoreError` that says which file."""
    import pyarrow as pa

    try:
        return read()
    except FileNotFoundError:
        raise
    except (pa.ArrowInvalid, OSError) as e:
        reason = str(e).partition("\n")[0]
        raise StoreError(f"{file} {CORRUPT.format(reason)}") from e


def entries_of(file: Path) -> Sequence[Entry]:
    return _entries(file, identity(file))


@lru_cache(maxsize=1024)
def _entries(file: Path, same: tuple[int, ...]) -> tuple[Entry, ...]:
    return tuple(_listed(file, json.loads(_footer(file, same))))


def _listed(file: Path, footer: Mapping[str, Any]) -> list[Entry]:
    found, group = [], 0
    for step, key, rows in footer["cells"]:
        found.append(Entry(step, key, rows, file, group if rows else None))
        group += bool(rows)
    return found


def read_groups(file: Path, entries: list[Entry], columns: Sequence[str] | None) -> pa.Table:
    """The rows of entries that have some. Raises `Moved` when the file does not hold them any more: its name may be another file's by now."""
    import pyarrow.parquet as pq

    def read() -> pa.Table:
        with pq.ParquetFile(file, page_checksum_verification=True) as f:
            held = _listed(file, json.loads(f.metadata.metadata[FOOTER]))
            if not set(entries) <= set(held):
                raise Moved
            groups = [e.group for e in entries]
            return f.read_row_groups(groups, columns=None if columns is None else list(columns), use_threads=False).replace_schema_metadata(None)

    return _guarded(read, file)


def _shaped(type_: pa.DataType) -> bool:
    """Whether a type is known: a tensor column whose cells are all null has no shape yet."""
    import pyarrow as pa

    return not isinstance(type_, pa.FixedShapeTensorType) or 0 not in type_.shape


def common_schema(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """One schema for all: of each field the first whose shape is known."""
    import pyarrow as pa

    return pa.schema([next((s.field(f.name) for s in schemas if _shaped(s.field(f.name).type)), f) for f in schemas[0]])


def fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table in a schema that differs in nothing but the shape of tensors that are null here."""
    import pyarrow as pa

    if table.schema.equals(schema):
        return table
    columns = []
    for f in schema:
        column = table.column(f.name)
        if column.type != f.type and not _shaped(column.type):
            column = pa.ExtensionArray.from_storage(f.type, pa.nulls(len(table), f.type.storage_type))
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=schema)


def loaded(entries: Mapping[int | None, Entry]) -> Iterator[StoredCell]:
    for step, e in sorted(entries.items(), key=by_step):
        table = schema_of(e.file).empty_table() if e.group is None else read_groups(e.file, [e], None)
        yield StoredCell(step, e.key, table)


def write_part(path: Path, head: Mapping[str, Any], cells: Iterable[StoredCell]) -> Path:
    """Stream cells into a file under a temporary name, flush, rename, flush the folder."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as f:
            _write_parquet(f, head, cells)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as e:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {e.strerror or e}; free some space and run the same command again, nothing stored is lost") from e
    return path


def _write_parquet(sink: io.BufferedWriter, head: Mapping[str, Any], cells: Iterable[StoredCell]) -> None:
    import pyarrow.parquet as pq

    cells = iter(cells)
    first = next(cells)
    listed: list[tuple[int | None, str, int]] = []
    held = [*_until_shaped(first, cells)]
    schema = common_schema([c.table.schema for c in held]).remove_metadata()
    writer = pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=[f.name for f in schema if str(f.type) == "string"],
        write_page_checksum=True,
        write_statistics=[f.name for f in schema if f.name in ("run", "step", "probe")] or False,
        store_schema=True,
    )
    with writer:
        for cell in _chain(held, cells):
            listed.append((cell.step, cell.key, len(cell.table)))
            if len(cell.table):
                writer.write_table(fitted(cell.table, schema), row_group_size=len(cell.table))
        writer.add_key_value_metadata({FOOTER: json.dumps({**head, "cells": listed}, sort_keys=True).encode()})


def _until_shaped(first: StoredCell, rest: Iterator[StoredCell]) -> Iterator[StoredCell]:
    """Cells until the shape of every array is known: one without rows, or with nulls alone, does not know it."""
    unknown = {f.name for f in first.table.schema}
    cell: StoredCell | None = first
    while cell is not None:
        yield cell
        unknown &= {f.name for f in cell.table.schema if not _shaped(f.type)}
        cell = next(rest, None) if unknown else None


def _chain(held: list[StoredCell], rest: Iterator[StoredCell]) -> Iterator[StoredCell]:
    yield from held
    yield from rest


def by_step(item: tuple[int | None, Any]) -> int:
    return -1 if item[0] is None else item[0]
