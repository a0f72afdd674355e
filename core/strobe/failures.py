"""Errors are results too: one table `_failures` per run, rewritten whole, so that a retry touches only what failed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from .store import Address, Store, StoredCell
from .version import __version__

if TYPE_CHECKING:
    import pandas as pd

TABLE = "_failures"
KINDS = ("error", "schema", "checkpoint", "not_finite", "upstream", "worker")


@dataclass(frozen=True)
class Failure:
    """One cell that failed, or (`not_finite`) whose rows are stored with nulls where the weights were not finite."""

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


def update(store: Store, run: str | None, settled: Iterable[tuple[str, int | None]], new: Iterable[Failure]) -> None:
    """Drop the failures of cells that were run again, (analyzer, step), and add new ones. Writes only when something changes."""
    before = read(store, run)
    done, new = set(settled), list(new)
    gone = done | {(f.analyzer, f.step) for f in new}
    after = [f for f in before if (f.analyzer, f.step) not in gone] + new
    if after != before:
        after.sort(key=lambda f: (f.analyzer, -1 if f.step is None else f.step))
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
