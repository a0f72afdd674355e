"""CPU and bytes per p=113 checkpoint: every built-in analyzer, and all of them on one pass.

    python benchmarks/analyzers.py [--data FOLDER]

Budget: all built-in step analyzers at most 1 CPU s and 2 MB of results per checkpoint, one thread, without landscape.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ground import DATA, imported, machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    with imported(parser.parse_args().data) as (workspace, name):
        workspace.analyze(name, ["loss_and_accuracy"])  # what is imported once is not measured
        start = time.process_time()
        report = workspace.analyze(name)
        seconds = time.process_time() - start
        n = len(workspace.run(name).steps)
        sizes = {r["analyzer"]: r["bytes"] for r in workspace.stored()}
    print(machine())
    print(f"{'analyzer':28s} {'category':12s} {'ms CPU':>8s} {'bytes':>10s}   per checkpoint of {n}")
    for t in report.tables:
        if t.state != "not applicable":
            print(f"{t.analyzer:28s} {t.category:12s} {report.milliseconds[t.analyzer] / n:8.1f} {sizes.get(t.analyzer, 0) / n:10,.0f}")
    print(f"{'all, forward and storage included':41s} {seconds / n * 1e3:8.1f} {sum(sizes.values()) / n:10,.0f}")
    print(f"{report.counters['forwards']} forwards, {len(report.failures)} failures")


if __name__ == "__main__":
    main()
