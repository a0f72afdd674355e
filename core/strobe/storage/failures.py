"""Errors are results too: one table `_failures` per run, rewritten whole, so that a retry touches only what failed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ..version import __version__
from .parts import StoredCell
from .store import Address, Store

if TYPE_CHECKING:
    import pandas as pd

TABLE = "_failures"
KINDS = (
    *("error", "schema", "checkpoint", "not_finite", "upstream", "worker"),
    *("deadline", "memory", "crash", "exit", "garbage", "quarantined", "side_effect"),
)
"""The second row is of analyzers that run isolated: see docs/isolation.md."""
HARMLESS = ("side_effect",)
"""What is worth knowing, and leaves the cell's rows as good as any."""
SAID_ONCE = ("quarantined", "side_effect")
"""Kinds of which a report tells in a warning, instead of cell by cell."""


@dataclass(frozen=True)
class Failure:
    """One cell that failed; or one that is stored all the same: `not_finite`, with nulls where the weights were not, and `side_effect`, whose
    analyzer also did something that it should not."""

    run: str | None
    step: int | None
    analyzer: str
    kind: str
    message: str
    traceback: str = ""
    cell: str = ""


def _address(run: str | None) -> Address:
    return Address(TABLE, run, None, "failures")


def read(store: Store, run: str | None) -> list[Failure]:
    """The failures of a run (of `None`: of analyzers over several runs)."""
    table = store.read(_address(run))
    return [] if table is None else [Failure(**row) for row in table.to_pylist()]


def forget(store: Store, run: str | None, analyzers: Collection[str], standing: Collection[str]) -> None:
    """Drop the failures of analyzers that run again, except those of cells whose key is in `standing` (rows stored with nulls)."""
    before = read(store, run)
    _replace(store, run, before, [f for f in before if f.analyzer not in analyzers or f.cell in standing])


def add(store: Store, run: str | None, new: Iterable[Failure]) -> None:
    """Add failures, in place of those of the same analyzer and step."""
    new, before = list(new), read(store, run)
    gone = {(f.analyzer, f.step) for f in new}
    _replace(store, run, before, [f for f in before if (f.analyzer, f.step) not in gone] + new)


def _replace(store: Store, run: str | None, before: list[Failure], after: list[Failure]) -> None:
    after = sorted(after, key=lambda f: (f.analyzer, -1 if f.step is None else f.step))
    if after != before:
        store.replace(_address(run), StoredCell(None, "failures", _table(after)), {"strobe_version": __version__})


def _table(failures: list[Failure]) -> object:
    import pyarrow as pa

    names = Failure.__dataclass_fields__
    rows = [asdict(f) for f in failures]
    return pa.table({n: pa.array([r[n] for r in rows], pa.int64() if n == "step" else pa.string()) for n in names})


def frame(store: Store, runs: Iterable[str | None]) -> pd.DataFrame:
    """The `_failures` table of several runs."""
    import pandas as pd

    rows = [asdict(f) for run in runs for f in read(store, run)]
    return pd.DataFrame(rows, columns=[n for n in Failure.__dataclass_fields__ if n != "cell"])
