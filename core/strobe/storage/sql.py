"""SQL over results: DuckDB views named after the analyzers. It reads: nothing is written, no file and no network is within its reach."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import StrobeError, UsageError, did_you_mean
from . import index
from .answers import declared_in, plainer, schema_of
from .origins import stored_names

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

    from ..schema import TableSchema
    from ..workspace import Workspace

OWN = ("metrics", "_failures", "runs", "jobs", "results")
"""Tables that are no analyzer's: the recorded metrics, the failures, and (of the index) runs, jobs and results."""
MOST_ROWS = 10_000
"""Rows of a query that are drawn at most."""
SECONDS = 30.0
"""After which a query that is to be drawn is interrupted."""
READING = ("SELECT", "EXPLAIN", "MULTI")
"""Statements that are run; MULTI is what DuckDB makes of PIVOT."""
LOCKED = {
    "enable_external_access": "false",  # no files, no network, no extensions
    "python_enable_replacements": "false",  # a Python variable is no table
    "lock_configuration": "true",
}
PARAMETER = re.compile(r"\$([A-Za-z_]\w*)")
WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True, eq=False)
class Answer:
    """The rows of a query, and what its columns are; `more`: there were more rows than were asked for."""

    table: pa.Table
    schema: TableSchema
    more: bool = False

    @property
    def frame(self) -> pd.DataFrame:
        from ..schema import to_pandas

        return to_pandas(self.table)


def query(workspace: Workspace, text: str) -> pd.DataFrame:
    """All rows of a query. Only the tables it names are read; every run that has one of them is in it."""
    with _opened(workspace, text) as connection:
        frame: pd.DataFrame = _relation(connection, text, {}).df()
        return frame


def ask(workspace: Workspace, text: str, cursor: Mapping[str, Any] | None = None, *, most: int | None = None, seconds: float | None = None) -> Answer:
    """At most `most` rows of a query, with kinds, units and descriptions of the columns as far as they are those of its tables.

    `$run`, `$step` and the like stand for coordinates of the cursor. After `seconds` of computing it is interrupted. Raises `UsageError` with what
    DuckDB says of a wrong query, for a statement that would write, and for one that takes too long.
    """
    import duckdb

    given = _given(text, cursor or {})
    with _opened(workspace, text) as connection:
        alarm = threading.Timer(seconds, connection.interrupt) if seconds else None
        if alarm:
            alarm.start()
        try:
            relation = _relation(connection, text, given)
            found = (relation if most is None else relation.limit(most + 1)).to_arrow_table()
        except duckdb.InterruptException as e:
            raise UsageError(f"the query took more than {seconds:g} s and was interrupted: ask for fewer rows or columns") from e
        finally:
            if alarm:
                alarm.cancel()
    more = most is not None and found.num_rows > most
    rows = plainer(found.slice(0, most) if more else found)
    return Answer(rows, schema_of(rows, declared_in(workspace, _analyzed(workspace, text))), more)


def limited(text: str, most: int) -> str:
    """The query, cut after `most` rows."""
    return f"select * from (\n{text.strip().rstrip(';').rstrip()}\n) limit {most}"


def parameters(text: str) -> list[str]:
    """The coordinates that a query asks for: `$run`, `$step`."""
    return list(dict.fromkeys(PARAMETER.findall(re.sub(r"'(?:[^']|'')*'", "''", text))))


def filled(text: str, cursor: Mapping[str, Any]) -> str:
    """The query with the cursor's coordinates written in, as one can type it anywhere."""
    given = _given(text, cursor)
    return PARAMETER.sub(lambda match: literal(given[match[1]]) if match[1] in given else match[0], text)


def literal(value: Any) -> str:
    """A value in SQL."""
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def named_tables(workspace: Workspace, text: str) -> list[str]:
    """Names in the query that are tables of the workspace."""
    words = dict.fromkeys(re.findall(r"[A-Za-z_]\w*", text))
    known = {*OWN, *_stored(workspace)}
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


def tables_here(workspace: Workspace) -> list[str]:
    """What a query can name."""
    return [*OWN, *sorted(_stored(workspace))]


def _stored(workspace: Workspace) -> set[str]:
    """Analyzers that have results, by the names of their folders."""
    return set(stored_names(workspace.store))


def _analyzed(workspace: Workspace, text: str) -> list[str]:
    return [name for name in named_tables(workspace, text) if name == "metrics" or name not in OWN]


def _given(text: str, cursor: Mapping[str, Any]) -> dict[str, Any]:
    asked = parameters(text)
    if unknown := [name for name in asked if cursor.get(name) is None]:
        known = ", ".join(f"${name}" for name, value in cursor.items() if value is not None) or "none"
        raise UsageError(f"the query asks for ${unknown[0]}, and the cursor has no {unknown[0]} (it has {known})")
    return {name: cursor[name] for name in asked}


@contextmanager
def _opened(workspace: Workspace, text: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that sees the tables named in the query and nothing else; what DuckDB says becomes a `UsageError`."""
    import duckdb

    with duckdb.connect() as connection:
        _refuse(connection, text)
        for name in named_tables(workspace, text):
            connection.register(name, table(workspace, name))
        for option, value in LOCKED.items():
            connection.execute(f"set {option} = {value}")
        try:
            yield connection
        except duckdb.InterruptException:
            raise
        except duckdb.PermissionException as e:
            raise UsageError(f"{_first_line(e)}: a query reads the tables of this workspace, no files ({_tables(workspace)})") from e
        except duckdb.Error as e:
            raise UsageError(_no_table(workspace, e) or f"{_said(e)} ({_tables(workspace)})") from e


def _no_table(workspace: Workspace, error: duckdb.Error) -> str:
    """What to say of a table that is not there: how to compute it, or which was meant. DuckDB would propose its own catalogue."""
    match = re.search(r"Table with name (\S+) does not exist", str(error))
    if match is None:
        return ""
    name, known = match[1], [p.name for p in workspace.registry.all("analyzer")]
    if name in known:
        return f"there are no results of {name!r} yet; compute them with `strobe analyze -a {name}` ({_tables(workspace)})"
    return f"no table {name!r}{did_you_mean(name, tables_here(workspace))}"


def _refuse(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    """Raise for anything but one statement that reads."""
    import duckdb

    try:
        statements = connection.extract_statements(text)
    except duckdb.Error as e:
        raise UsageError(_said(e)) from e
    if not statements:
        raise UsageError("the query is empty: type one, such as `select * from runs`")
    for statement in statements:
        if statement.type.name not in READING:
            word = next(iter(WORD.findall(_uncommented(statement.query))), statement.type.name).upper()
            raise UsageError(f"{word} is refused: a query reads and changes nothing; begin with SELECT, FROM or WITH")
    if len(statements) > 1:
        raise UsageError(f"{len(statements)} statements: a query is one; remove what follows the first `;`")


def _uncommented(text: str) -> str:
    return re.sub(r"--[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)


def _relation(connection: duckdb.DuckDBPyConnection, text: str, given: Mapping[str, Any]) -> duckdb.DuckDBPyRelation:
    return connection.sql(text, params=dict(given)) if given else connection.sql(text)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _said(error: Exception) -> str:
    """DuckDB's message, the line with its pointer included."""
    return "\n".join(line for line in str(error).splitlines() if line.strip())


def _tables(workspace: Workspace) -> str:
    return f"tables here: {', '.join(tables_here(workspace))}"


def _plain(table: pa.Table) -> pa.Table:
    """Extension types as the lists they are stored as, of variable length: runs of different sizes fit one view; types that DuckDB has."""
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
        if pa.types.is_list(column.type) and pa.types.is_float16(column.type.value_type):
            column = column.cast(pa.list_(pa.float32()))  # DuckDB knows no half precision
        columns[f.name] = column
    return pa.table(columns)
