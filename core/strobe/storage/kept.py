"""Whole tables that were read, kept while their files are the same: a page draws the phases and the key frequencies into every chart."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

MOST_BYTES = 32 * 2**20
LARGEST = 2 * 2**20
"""A table that is larger is read again."""


def identity(file: Path) -> tuple[int, ...]:
    """What tells a file from any other that had or will have its name: files are replaced, never written in place."""
    about = os.stat(file)
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


class Kept:
    """Arrow tables, which nobody can change, by what they were read from; those that were not asked for longest go first."""

    def __init__(self) -> None:
        self._tables: OrderedDict[Hashable, pa.Table] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, files: Sequence[Path], columns: Sequence[str] | None, read: Callable[[], pa.Table]) -> pa.Table:
        """The rows of these files, which `read` reads."""
        known = (tuple((str(f), *identity(f)) for f in files), None if columns is None else tuple(columns))
        with self._lock:
            if known in self._tables:
                self._tables.move_to_end(known)
                return self._tables[known]
        table = read()
        if table.nbytes <= LARGEST:
            self._keep(known, table)
        return table

    def _keep(self, known: Hashable, table: pa.Table) -> None:
        with self._lock:
            if known not in self._tables:
                self._tables[known] = table
                self._bytes += table.nbytes
            while self._bytes > MOST_BYTES:
                self._bytes -= self._tables.popitem(last=False)[1].nbytes


TABLES = Kept()
