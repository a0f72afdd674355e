"""SQL over results: DuckDB views named after the analyzers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..errors import StrobeError, UsageError
from . import index

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from ..workspace import Workspace

OWN = ("metrics", "_failures", "runs", "jobs", "results")
"""Tables that are no analyzer's: the recorded metrics, the failures, and (of the index) runs, jobs and results."""


def query(workspace: Workspace, text: str) -> pd.DataFrame:
    """Run a query. Only the tables it names are read; every run that has one of them is in it."""
    import duckdb

    with duckdb.connect() as connection:
        for name in named_tables(workspace, text):
            connection.register(name, table(workspace, name))
        try:
            frame: pd.DataFrame = connection.execute(text).df()
            return frame
        except duckdb.Error as e:
            known = ", ".join([*OWN, *sorted({r["analyzer"] for r in workspace.stored()})])
            raise UsageError(f"{str(e).partition(chr(10))[0]} (tables here: {known})") from e


def named_tables(workspace: Workspace, text: str) -> list[str]:
    """Names in the query that are tables of the workspace."""
    words = dict.fromkeys(re.findall(r"[A-Za-z_]\w*", text))
    known = set(OWN) | {r["analyzer"] for r in workspace.stored()}
    return [w for w in words if w in known]


def table(workspace: Workspace, name: str) -> Any:
    """Current rows of a table over all runs, tensors as nested lists."""
    import pyarrow as pa

    if name in ("metrics", "_failures"):
        return workspace.table(name)
    if name in OWN:
        return index.arrow(workspace, name)
    parts = [t for a in workspace.addresses(name, workspace.runs()) if (t := workspace.store.read(a)) is not None]
    if not parts:
        raise StrobeError(f"no current results of {name!r}; compute them with `strobe analyze -a {name}`")
    return pa.concat_tables([_plain(p) for p in parts], promote_options="permissive")


def _plain(table: pa.Table) -> pa.Table:
    """Extension types as the lists they are stored as, of variable length: runs of different sizes fit one view."""
    import pyarrow as pa

    columns = {}
    for f in table.schema:
        column = table.column(f.name).combine_chunks()
        if isinstance(f.type, pa.BaseExtensionType):
            storage = (
                column.storage
                if not isinstance(column, pa.ChunkedArray)
                else pa.chunked_array([c.storage for c in column.chunks], f.type.storage_type)
            )
            column = storage.cast(pa.list_(f.type.storage_type.value_type))
        columns[f.name] = column
    return pa.table(columns)
