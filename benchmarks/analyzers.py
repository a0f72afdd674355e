"""CPU and bytes per p=113 checkpoint: every built-in analyzer, and all of them on one pass.

    python benchmarks/analyzers.py [--data FOLDER] [--rounds 3] [--markdown docs/measures.md]

Budget: all built-in step analyzers at most 1 CPU s and 2 MB of results per checkpoint, one thread, without landscape. CPU time, and of several rounds
the least, because other work on the machine only ever adds to it. Derived analyzers are divided by the number of checkpoints. `--markdown` writes
both figures into the last two columns of the tables of a page.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ground import DATA, imported, machine

from strobe.analysis.engine import Report

STEP = ("weights", "activations", "attention", "outputs")


@dataclass(frozen=True)
class Cost:
    """What an analyzer costs per checkpoint."""

    category: str
    milliseconds: float
    bytes: float


def measured(data: Path) -> tuple[dict[str, Cost], float, int]:
    """Analyzer -> cost of one round, CPU milliseconds per checkpoint of all step analyzers with forward and storage, and the number of checkpoints.

    Planning, which is once per call whatever the number of checkpoints, is what the same call costs again, and is left out of the second.
    """
    with imported(data) as (workspace, name):
        step = [p.name for p in workspace.registry.all("analyzer") if p.category in STEP and not p.load().opt_in]
        report, first = clocked(lambda: workspace.analyze(name, step))
        _, again = clocked(lambda: workspace.analyze(name, step))
        derived = workspace.analyze(name)
        if failures := report.failures + derived.failures:
            raise SystemExit(f"{failures[0].analyzer}: {failures[0].message}")
        n = len(workspace.run(name).steps)
        sizes = {r["analyzer"]: r["bytes"] for r in workspace.stored()}
    spent = report.milliseconds + derived.milliseconds
    ran = [t for t in derived.tables if t.state != "not applicable"]
    return {t.analyzer: Cost(t.category, spent[t.analyzer] / n, sizes[t.analyzer] / n) for t in ran}, (first - again) / n, n


def clocked(call: Callable[[], Report]) -> tuple[Report, float]:
    """What a call returns, and its CPU milliseconds."""
    start = time.process_time()
    return call(), (time.process_time() - start) * 1e3


def least(data: Path, rounds: int) -> tuple[dict[str, Cost], float, int]:
    """The least of several rounds, after one that imports what is imported once."""
    found = [measured(data) for _ in range(rounds + 1)][1:]
    costs = {name: min((costs[name] for costs, _, _ in found), key=lambda c: c.milliseconds) for name in found[0][0]}
    return costs, min(total for _, total, _ in found), found[0][2]


def sums(costs: Mapping[str, Cost], total: float) -> list[tuple[str, float, float]]:
    """Lines under the table: what they add up to."""
    step = [c for c in costs.values() if c.category in STEP]
    rest = [c for c in costs.values() if c.category not in STEP]
    size = sum(c.bytes for c in step)
    return [
        ("step analyzers", sum(c.milliseconds for c in step), size),
        ("step analyzers, forward and storage", total, size),
        ("derived and trajectory", sum(c.milliseconds for c in rest), sum(c.bytes for c in rest)),
    ]


def refreshed(page: str, costs: Mapping[str, Cost]) -> str:
    """A page whose table rows that start with `analyzer` in backticks carry its figures in their last two cells."""
    lines = []
    for line in page.splitlines():
        name = line.split("`")[1] if line.startswith("| `") else ""
        if name in costs:
            kept = line.rsplit("|", 3)[0].rstrip()
            line = f"{kept} | {costs[name].milliseconds:.1f} | {costs[name].bytes:,.0f} |"
        lines.append(line)
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", type=Path, help="a page whose tables are to carry the figures")
    arguments = parser.parse_args()
    costs, total, n = least(arguments.data, arguments.rounds)
    print(machine())
    print(f"{'analyzer':28s} {'category':12s} {'ms CPU':>8s} {'bytes':>10s}   per checkpoint of {n}, least of {arguments.rounds} rounds")
    for name, cost in costs.items():
        print(f"{name:28s} {cost.category:12s} {cost.milliseconds:8.1f} {cost.bytes:10,.0f}")
    for what, milliseconds, size in sums(costs, total):
        print(f"{what:41s} {milliseconds:8.1f} {size:10,.0f}")
    if arguments.markdown:
        arguments.markdown.write_text(refreshed(arguments.markdown.read_text("utf-8"), costs), "utf-8")


if __name__ == "__main__":
    main()
