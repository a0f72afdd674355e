"""The profile as a table: `python -m strobe_profiler.summary FILE`."""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Total:
    """What the calls of one analyzer took together."""

    calls: int = 0
    failed: int = 0
    cpu: float = 0.0
    wall: float = 0.0
    rows: int = 0
    grew: int = 0


def totals(file: Path) -> dict[str, Total]:
    """Analyzer -> what its calls took; `grew` is by how many bytes the peak of the process rose during them."""
    found: dict[str, Total] = defaultdict(Total)
    peak = 0
    with file.open(newline="", encoding="utf-8") as f:
        for line in csv.DictReader(f):
            if line["event"] != "call":
                continue
            total, now = found[line["analyzer"]], int(line["peak_bytes"])
            total.calls += 1
            total.failed += line["note"] != ""
            total.cpu += float(line["cpu_seconds"])
            total.wall += float(line["wall_seconds"])
            total.rows += int(line["rows"] or 0)
            total.grew += max(0, now - peak) if peak else 0
            peak = max(peak, now)
    return dict(found)


def summary(file: Path) -> str:
    """The analyzers of a profile, the dearest first."""
    found = sorted(totals(file).items(), key=lambda item: -item[1].cpu)
    width = max([len(name) for name, _ in found] + [8])
    lines = [f"{'analyzer':{width}}  calls  failed  CPU s  ms per call  wall s     rows  peak grew MB"]
    for name, t in found:
        per_call = t.cpu / t.calls * 1e3
        lines.append(f"{name:{width}}  {t.calls:5}  {t.failed:6}  {t.cpu:5.2f}  {per_call:11.1f}  {t.wall:6.2f}  {t.rows:7,}  {t.grew / 1e6:12.1f}")
    return "\n".join([f"profile: {file}", *lines])


if __name__ == "__main__":
    print(summary(Path(sys.argv[1])))
