"""What each analyzer cost when it was last computed in a workspace: `costs.json`, beside the results, whose bytes no timing may move."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..checkpoints import write_atomically

if TYPE_CHECKING:
    from ..analysis.engine import Report
    from .store import Store

FILE = "costs.json"


@dataclass(frozen=True)
class Cost:
    """CPU seconds and bytes on disk per cell: per checkpoint, or per run for what is derived. `at`: seconds since 1970.

    CPU is that of the analyzer alone; the forward that analyzers share is nobody's.
    """

    cells: int
    cpu_seconds: float
    bytes: int
    package: str
    version: str
    at: float

    def said(self, per: str) -> str:
        """`12 ms CPU and 3.4 kB per checkpoint (43 computed on 2026-11-22, strobe 0.1.0)`."""
        day = time.strftime("%Y-%m-%d", time.localtime(self.at))
        made = f"{self.package} {self.version}".strip()
        return f"{_seconds(self.cpu_seconds)} CPU and {_bytes(self.bytes)} per {per} ({self.cells:,} computed on {day}, {made})"


def read(root: Path) -> dict[str, Cost]:
    """Analyzer -> what it cost last time; empty when nothing was measured."""
    try:
        found = json.loads((root / FILE).read_text("utf-8"))
        return {name: Cost(**cost) for name, cost in found.items()}
    except (OSError, ValueError, TypeError):  # measured again with the next analysis
        return {}


def note(root: Path, new: Mapping[str, Cost]) -> None:
    """Keep costs over earlier ones of the same analyzers. Analyses of one workspace may do so at the same time."""
    if not new:
        return
    with (root / "results" / ".costs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = {name: asdict(cost) for name, cost in {**read(root), **new}.items()}
        write_atomically(root / FILE, json.dumps(known, indent=1, sort_keys=True).encode())


def measured(store: Store, report: Report, made_by: Mapping[str, tuple[str, str]]) -> dict[str, Cost]:
    """The costs of an analysis; analyzers of which nothing was computed are left out. `made_by`: analyzer -> its package and version."""
    sizes: dict[str, tuple[int, int]] = {}
    for table in report.tables:
        if table.computed:
            size, cells = sizes.get(table.analyzer, (0, 0))
            folder = store.root / table.analyzer / (table.run or "_runs") / (table.probe or "_") / table.key[:16]
            sizes[table.analyzer] = (size + sum(f.stat().st_size for f in folder.glob("*.parquet")), cells + table.computed + table.stored)
    now, found = round(time.time(), 3), {}
    for name, (size, cells) in sizes.items():
        calls = max(1, report.calls[name])
        seconds = round(report.milliseconds[name] / 1e3 / calls, 6)
        found[name] = Cost(calls, seconds, size // cells, *made_by.get(name, ("?", "")), now)
    return found


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def _bytes(value: float) -> str:
    return next(f"{value / size:,.3g} {unit}" for size, unit in ((1e6, "MB"), (1e3, "kB"), (1, "bytes")) if value >= size or size == 1)
