"""`strobe.db`: one SQLite file per workspace, for jobs and for an index of what is on disk.

The disk is the authority: `strobe reindex` rebuilds the index. Jobs are nowhere else."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ..errors import StoreError

NAME = "strobe.db"
VERSION = 1
PATIENCE = 30.0
"""Seconds to wait for another process that writes."""

JOBS = """
create table if not exists jobs(
  id text primary key, kind text not null, request text not null, title text not null, run text not null,
  fingerprint text,                              -- null once a later job of the same request has taken its place
  state text not null,                           -- queued, running, done, failed, cancelled
  attempt integer not null default 0,            -- the fence: what runs writes only under the number it was started with
  lost integer not null default 0,               -- workers lost in a row without progress
  cancel integer not null default 0,
  owner text, host text, pid integer, mark text, -- who runs it: worker, machine, child process and its start
  lease real,                                    -- until when the owner has it
  progress real not null default 0, done integer, total integer, note text not null default '',
  began real, began_done integer,                -- where this attempt started, for the rate
  error text not null default '',
  created real not null, started real, updated real not null, finished real);
create unique index if not exists one_job_per_request on jobs(fingerprint) where fingerprint is not null and state in ('queued', 'running', 'done');
create index if not exists queue on jobs(state, created);
create table if not exists workers(id text primary key, host text, pid integer, mark text, parallel integer, expires real);
"""
INDEX = """
create table if not exists sources(path text primary key, signature text not null);
create table if not exists runs(
  run text primary key, family text, state text, identity text, parameters text, training text,
  steps integer, first_step integer, last_step integer, bytes integer, problem text not null default '');
create table if not exists last_metrics(run text, metric text, step integer, value real, primary key(run, metric));
create table if not exists phase_events(
  path text, written integer, run text, signal text, event text, at_step integer, interpolated_step real, value real);
create view if not exists phases as                -- what happened, by the latest version of the analyzer
  select run, signal, event, at_step, interpolated_step, value from phase_events e
  where at_step is not null and path = (select path from phase_events l where l.run = e.run order by written desc, path limit 1);
create table if not exists results(
  path text primary key, analyzer text, key text, run text, probe text, category text, steps integer, first_step integer, last_step integer,
  rows integer, bytes integer, problem text not null default '');
"""
INDEXED = ("sources", "runs", "last_metrics", "phase_events", "results")
TABLES = ("runs", "last_metrics", "phases", "results")


def connect(root: Path) -> sqlite3.Connection:
    """An open connection; tables are made when there are none. Commits by itself: `with transaction(c)` groups."""
    with guarded(root):
        root.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(root / NAME, timeout=PATIENCE, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("pragma synchronous = normal")
            version = connection.execute("pragma user_version").fetchone()[0]
            if version > VERSION:
                raise StoreError(f"{root / NAME} was written by a newer strobe (layout {version}, this one knows {VERSION}): upgrade strobe")
            if version < VERSION:
                _create(connection)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def opened(root: Path) -> Iterator[sqlite3.Connection]:
    """A connection for a few statements, closed afterwards."""
    with closing(connect(root)) as connection, guarded(root):
        yield connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, and nobody else writes in between."""
    connection.execute("begin immediate")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


@contextmanager
def guarded(root: Path) -> Iterator[None]:
    """What SQLite says, as an error that names the file and the way out."""
    try:
        yield
    except sqlite3.OperationalError as e:
        raise StoreError(f"{root / NAME}: {e}; see that the folder can be written and that no process holds it, then try again") from e
    except sqlite3.DatabaseError as e:
        raise StoreError(f"{root / NAME} is damaged ({e}); `strobe reindex` sets it aside and makes a new one: runs and results are not in it") from e
    except OSError as e:
        raise StoreError(f"cannot make {root / NAME}: {e.strerror or e}") from e


def set_aside(root: Path) -> Path | None:
    """Move a damaged file out of the way; None when it is sound."""
    file = root / NAME
    try:
        with opened(root) as connection:
            if connection.execute("pragma quick_check(1)").fetchone()[0] == "ok":
                return None
    except StoreError as e:
        if not isinstance(e.__cause__, sqlite3.DatabaseError) or isinstance(e.__cause__, sqlite3.OperationalError):
            raise
    aside = file.with_name(f"{NAME}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    file.rename(aside)
    for suffix in ("-wal", "-shm"):
        file.with_name(NAME + suffix).unlink(missing_ok=True)
    return aside


def _create(connection: sqlite3.Connection) -> None:
    """Two processes may do this at once; the change to WAL does not wait for a lock by itself."""
    for patience in range(200):
        try:
            connection.execute("pragma journal_mode = wal")
            break
        except sqlite3.OperationalError:
            if patience == 199:
                raise
            time.sleep(0.02)
    with transaction(connection):
        for statement in (JOBS + INDEX).split(";\n"):
            connection.execute(statement)
        connection.execute(f"pragma user_version = {VERSION}")
