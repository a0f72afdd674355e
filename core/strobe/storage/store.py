"""Results on disk: Parquet parts that a reader sees whole or not at all.

`results/<analyzer>/<run or _runs>/<probe or _>/<key16>/` holds `whole.parquet` and the parts written since: `part-000001.parquet`, ...
A footer lists its cells as (step, key, rows), one row group per cell that has rows; there is no other manifest. For one step a later part wins over
an earlier one, and any part over the whole. `compact` merges them in order of step and then unlinks the parts, oldest first, so that a crash in
between changes nothing that a reader sees, and the final file depends only on the rows in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..checkpoints import sync_folder
from ..errors import StoreError
from .kept import TABLES
from .parts import Entry, Moved, StoredCell, by_step, common_schema, entries_of, fitted, footer_of, loaded, read_groups, schema_of, write_part

if TYPE_CHECKING:
    import pyarrow as pa

Result = TypeVar("Result")
WHOLE = "whole.parquet"
PART = re.compile(r"part-(\d{6})\.parquet")


@dataclass(frozen=True)
class Address:
    """Where a result lies."""

    analyzer: str
    run: str | None
    probe: str | None
    key: str

    def head(self) -> dict[str, str | None]:
        """As a footer says it."""
        return {"analyzer": self.analyzer, "run": self.run, "probe": self.probe, "key": self.key}

    def folder(self, root: Path) -> Path:
        return root / self.analyzer / (self.run or "_runs") / (self.probe or "_") / self.key[:16]


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
            found.update({e.step: e for e in entries_of(file)})
        return found

    def cells(self, address: Address) -> set[str]:
        """Keys of the cells that are done."""
        return {e.key for e in self.entries(address).values()}

    def read(self, address: Address, steps: Sequence[int] | None = None, columns: Sequence[str] | None = None) -> pa.Table | None:
        """Rows in order of step (all, or of the given steps), None when nothing is stored. One step costs one row group."""
        folder = address.folder(self.root)
        return _steadily(lambda: self._rows(folder, steps, columns), folder)

    def _rows(self, folder: Path, steps: Sequence[int] | None, columns: Sequence[str] | None) -> pa.Table | None:
        entries = self._entries(folder)
        if not entries:
            return None
        if steps is None:
            return TABLES.get(sorted({e.file for e in entries.values()}), columns, lambda: self._read(entries, None, columns))
        return self._read(entries, steps, columns)

    def _read(self, entries: Mapping[int | None, Entry], steps: Sequence[int] | None, columns: Sequence[str] | None) -> pa.Table:
        import pyarrow as pa

        wanted = [e for s, e in sorted(entries.items(), key=by_step) if steps is None or s is None or s in steps]
        tables = [read_groups(file, group, columns) for file, group in _by_file(e for e in wanted if e.group is not None)]
        if not tables:
            schema = schema_of(next(iter(entries.values())).file)
            return schema.empty_table() if columns is None else schema.empty_table().select(list(columns))
        schema = common_schema([t.schema for t in tables])
        return _at_steps(pa.concat_tables([fitted(t, schema) for t in tables]), steps)

    def about(self, address: Address) -> dict[str, Any]:
        """What the footer says of a result (settings, code, versions), empty when there is none."""
        files = _files(address.folder(self.root))
        return {k: v for k, v in footer_of(files[-1]).items() if k != "cells"} if files else {}

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
        about = footer_of(files[0])
        return Address(about["analyzer"], about["run"], about["probe"], about["key"])

    # --- writing ---------------------------------------------------------------------------------------------------------------------------

    def append(self, address: Address, cells: Sequence[StoredCell], about: Mapping[str, Any]) -> Path:
        """Add a part. Atomic: after a crash it is whole or absent."""
        folder = address.folder(self.root)
        with _locked(folder):
            numbers = [int(m[1]) for f in _files(folder) if (m := PART.fullmatch(f.name))]
            return write_part(folder / f"part-{max(numbers, default=0) + 1:06d}.parquet", {**address.head(), **about}, cells)

    def replace(self, address: Address, cell: StoredCell, about: Mapping[str, Any]) -> Path:
        """Write a derived table, one file, over the one before."""
        folder = address.folder(self.root)
        with _locked(folder):
            return write_part(folder / WHOLE, {**address.head(), **about}, [cell])

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
                write_part(folder / WHOLE, {**address.head(), **about}, loaded(kept))
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


def _files(folder: Path) -> list[Path]:
    """Readable files, lowest precedence first. The whole is looked for last: parts that were missed are in it by then."""
    try:
        names = sorted(n for n in os.listdir(folder) if PART.fullmatch(n))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / n for n in ([WHOLE] if os.path.exists(folder / WHOLE) else []) + names]


def _steadily(read: Callable[[], Result], folder: Path) -> Result:
    """Read, and once more from the start when a writer merged files meanwhile."""
    for attempt in range(5):
        try:
            return read()
        except (FileNotFoundError, Moved):
            time.sleep(0.01 * (attempt + 1))
    raise StoreError(f"{folder} keeps changing while it is read; try again")


def _by_file(entries: Iterable[Entry]) -> list[tuple[Path, list[Entry]]]:
    """Neighbouring entries of one file read together, order kept."""
    runs: list[tuple[Path, list[Entry]]] = []
    for e in entries:
        if runs and runs[-1][0] == e.file:
            runs[-1][1].append(e)
        else:
            runs.append((e.file, [e]))
    return runs


def _at_steps(table: pa.Table, steps: Sequence[int] | None) -> pa.Table:
    """The rows of the given steps and of no step: a derived table holds all its steps in one cell."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if steps is None or "step" not in table.column_names:
        return table
    step = table.column("step")
    wanted = pc.or_(pc.is_in(step, pa.array(steps, pa.int64())), pc.is_null(step))
    return table if pc.all(wanted).as_py() else table.filter(wanted)


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
