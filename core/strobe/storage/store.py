"""Results on disk: Parquet parts that a reader sees whole or not at all.

`results/<analyzer>/<run or _runs>/<probe or _>/<key16>/` holds `whole.parquet` and the parts written since: `part-000001.parquet`, ...
A footer lists its cells as (step, key, rows), one row group per cell that has rows; there is no other manifest. For one step a later part wins over
an earlier one, and any part over the whole. `compact` merges them in order of step and then unlinks the parts, oldest first, so that a crash in
between changes nothing that a reader sees, and the final file depends only on the rows in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..checkpoints import sync_folder
from ..errors import StoreError

if TYPE_CHECKING:
    import pyarrow as pa

Result = TypeVar("Result")
WHOLE = "whole.parquet"
PART = re.compile(r"part-(\d{6})\.parquet")
FOOTER = b"strobe"
CORRUPT = "is damaged ({}); delete it, and `strobe analyze` computes its cells again"


@dataclass(frozen=True)
class Address:
    """Where a result lies."""

    analyzer: str
    run: str | None
    probe: str | None
    key: str

    def folder(self, root: Path) -> Path:
        return root / self.analyzer / (self.run or "_runs") / (self.probe or "_") / self.key[:16]


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


class Store:
    """Reads and writes the results of one workspace."""

    def __init__(self, root: Path) -> None:
        self.root = root

    # --- reading ---------------------------------------------------------------------------------------------------------------------------

    def entries(self, address: Address) -> dict[int | None, Entry]:
        """The winning cell of each step. Reads footers only."""
        folder = address.folder(self.root)
        return _steadily(lambda: self._entries(folder), folder)

    def _entries(self, folder: Path) -> dict[int | None, Entry]:
        found: dict[int | None, Entry] = {}
        for file in _files(folder):
            found.update({e.step: e for e in _footer_entries(file)})
        return found

    def cells(self, address: Address) -> set[str]:
        """Keys of the cells that are done."""
        return {e.key for e in self.entries(address).values()}

    def read(self, address: Address, steps: Sequence[int] | None = None, columns: Sequence[str] | None = None) -> pa.Table | None:
        """Rows in order of step (all, or of the given steps), None when nothing is stored. One step costs one row group."""
        folder = address.folder(self.root)
        return _steadily(lambda: self._rows(folder, steps, columns), folder)

    def _rows(self, folder: Path, steps: Sequence[int] | None, columns: Sequence[str] | None) -> pa.Table | None:
        import pyarrow as pa

        entries = self._entries(folder)
        if not entries:
            return None
        wanted = [e for s, e in sorted(entries.items(), key=_by_step) if steps is None or s is None or s in steps]
        tables = [_read_groups(file, group, columns) for file, group in _by_file(e for e in wanted if e.group is not None)]
        if not tables:
            schema = _schema(next(iter(entries.values())).file)
            return schema.empty_table() if columns is None else schema.empty_table().select(list(columns))
        schema = _common([t.schema for t in tables])
        return _at_steps(pa.concat_tables([_fitted(t, schema) for t in tables]), steps)

    def about(self, address: Address) -> dict[str, Any]:
        """What the footer says of a result (settings, code, versions), empty when there is none."""
        files = _files(address.folder(self.root))
        return {k: v for k, v in _footer(files[-1]).items() if k != "cells"} if files else {}

    def addresses(self) -> Iterator[Address]:
        """Everything stored, in order."""
        for folder in sorted(self.root.glob("*/*/*/*")):
            if (address := self.address_at(folder)) is not None:
                yield address

    def address_at(self, folder: Path) -> Address | None:
        """Which result a folder holds, None when it holds none."""
        files = _files(folder)
        if not files:
            return None
        about = _footer(files[0])
        return Address(about["analyzer"], about["run"], about["probe"], about["key"])

    # --- writing ---------------------------------------------------------------------------------------------------------------------------

    def append(self, address: Address, cells: Sequence[StoredCell], about: Mapping[str, Any]) -> Path:
        """Add a part. Atomic: after a crash it is whole or absent."""
        folder = address.folder(self.root)
        with _locked(folder):
            numbers = [int(m[1]) for f in _files(folder) if (m := PART.fullmatch(f.name))]
            return _write(folder / f"part-{max(numbers, default=0) + 1:06d}.parquet", address, cells, about)

    def replace(self, address: Address, cell: StoredCell, about: Mapping[str, Any]) -> Path:
        """Write a derived table, one file, over the one before."""
        folder = address.folder(self.root)
        with _locked(folder):
            return _write(folder / WHOLE, address, [cell], about)

    def compact(self, address: Address, about: Mapping[str, Any], keep: Collection[str]) -> None:
        """Merge parts into one file in order of step, one row group per step. Cells whose key is not in `keep` (their checkpoint is gone, or what
        they read has changed) are dropped."""
        folder = address.folder(self.root)
        with _locked(folder):
            files = _files(folder)
            entries = self._entries(folder)
            kept = {s: e for s, e in entries.items() if e.key in keep}
            if len(kept) == len(entries) and [f.name for f in files] == [WHOLE]:
                return
            if kept:
                _write(folder / WHOLE, address, _loaded(kept), about)
            for file in files:
                if file.name != WHOLE or not kept:
                    file.unlink()
            sync_folder(folder)

    def remove_temporaries(self) -> int:
        """Delete what a killed writer left behind; returns how many files."""
        stale = [f for f in self.root.rglob(".*.tmp") if not _alive(f)]
        for f in stale:
            f.unlink(missing_ok=True)
        return len(stale)


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


def _by_step(item: tuple[int | None, Any]) -> int:
    return -1 if item[0] is None else item[0]


def _files(folder: Path) -> list[Path]:
    """Readable files, lowest precedence first."""
    if not folder.is_dir():
        return []
    parts = sorted(f for f in folder.iterdir() if PART.fullmatch(f.name))
    whole = folder / WHOLE
    return [whole, *parts] if whole.exists() else parts


def _footer(file: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    raw = (_guarded(lambda: pq.read_metadata(file), file).metadata or {}).get(FOOTER)
    if raw is None:
        raise StoreError(f"{file} {CORRUPT.format('it has no Strobe footer')}")
    return json.loads(raw)  # type: ignore[no-any-return]


def _schema(file: Path) -> pa.Schema:
    import pyarrow.parquet as pq

    return _guarded(lambda: pq.read_schema(file), file).remove_metadata()


class _Moved(Exception):
    """A file was merged or replaced between listing and reading."""


def _steadily(read: Callable[[], Result], folder: Path) -> Result:
    """Read, and once more from the start when a writer merged files meanwhile."""
    for attempt in range(5):
        try:
            return read()
        except (FileNotFoundError, _Moved):
            time.sleep(0.01 * (attempt + 1))
    raise StoreError(f"{folder} keeps changing while it is read; try again")


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


def _footer_entries(file: Path) -> list[Entry]:
    return _listed(file, _footer(file))


def _listed(file: Path, footer: Mapping[str, Any]) -> list[Entry]:
    found, group = [], 0
    for step, key, rows in footer["cells"]:
        found.append(Entry(step, key, rows, file, group if rows else None))
        group += bool(rows)
    return found


def _by_file(entries: Iterable[Entry]) -> list[tuple[Path, list[Entry]]]:
    """Neighbouring entries of one file read together, order kept."""
    runs: list[tuple[Path, list[Entry]]] = []
    for e in entries:
        if runs and runs[-1][0] == e.file:
            runs[-1][1].append(e)
        else:
            runs.append((e.file, [e]))
    return runs


def _read_groups(file: Path, entries: list[Entry], columns: Sequence[str] | None) -> pa.Table:
    """The rows of entries that have some. Raises `_Moved` when the file does not hold them any more: its name may be another file's by now."""
    import pyarrow.parquet as pq

    def read() -> pa.Table:
        with pq.ParquetFile(file, page_checksum_verification=True) as f:
            held = _listed(file, json.loads(f.metadata.metadata[FOOTER]))
            if not set(entries) <= set(held):
                raise _Moved
            groups = [e.group for e in entries]
            return f.read_row_groups(groups, columns=None if columns is None else list(columns), use_threads=False).replace_schema_metadata(None)

    return _guarded(read, file)


def _shaped(type_: pa.DataType) -> bool:
    """Whether a type is known: a tensor column whose cells are all null has no shape yet."""
    import pyarrow as pa

    return not isinstance(type_, pa.FixedShapeTensorType) or 0 not in type_.shape


def _common(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """One schema for all: of each field the first whose shape is known."""
    import pyarrow as pa

    return pa.schema([next((s.field(f.name) for s in schemas if _shaped(s.field(f.name).type)), f) for f in schemas[0]])


def _at_steps(table: pa.Table, steps: Sequence[int] | None) -> pa.Table:
    """The rows of the given steps and of no step: a derived table holds all its steps in one cell."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if steps is None or "step" not in table.column_names:
        return table
    step = table.column("step")
    wanted = pc.or_(pc.is_in(step, pa.array(steps, pa.int64())), pc.is_null(step))
    return table if pc.all(wanted).as_py() else table.filter(wanted)


def _fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
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


def _loaded(entries: Mapping[int | None, Entry]) -> Iterator[StoredCell]:
    for step, e in sorted(entries.items(), key=_by_step):
        table = _schema(e.file).empty_table() if e.group is None else _read_groups(e.file, [e], None)
        yield StoredCell(step, e.key, table)


def _write(path: Path, address: Address, cells: Iterable[StoredCell], about: Mapping[str, Any]) -> Path:
    """Stream cells into a file under a temporary name, flush, rename, flush the folder."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as f:
            _write_parquet(f, address, cells, about)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as e:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {e.strerror or e}; free some space and run the same command again, nothing stored is lost") from e
    return path


def _write_parquet(sink: io.BufferedWriter, address: Address, cells: Iterable[StoredCell], about: Mapping[str, Any]) -> None:
    import pyarrow.parquet as pq

    cells = iter(cells)
    first = next(cells)
    listed: list[tuple[int | None, str, int]] = []
    head = {"analyzer": address.analyzer, "run": address.run, "probe": address.probe, "key": address.key, **about}
    held = [*_until_shaped(first, cells)]
    schema = _common([c.table.schema for c in held]).remove_metadata()
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
                writer.write_table(_fitted(cell.table, schema), row_group_size=len(cell.table))
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


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One writer at a time per result, also across processes."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
    except OSError as e:
        raise StoreError(f"cannot write in {folder}: {e.strerror or e}; nothing stored is lost") from e
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _alive(temporary: Path) -> bool:
    """Whether the process that writes a temporary file still runs."""
    pid = temporary.name.split(".")[-2]
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True
