"""What isolation costs: ten analyzers of the real p=113 run in this process and in a worker, in turns; and what a worker costs by itself.

    python benchmarks/isolation.py [--rounds 5] [--data FOLDER]

The analyzers are the built-in ones under other names, in a package of their own (tests/plugins/strobe-copies). Each round analyzes the same
checkpoints twice, isolated and not, and gives one ratio of wall time and one of CPU time, workers included. Budget: at most 1.05.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from ground import DATA, imported, machine, ready

ROOT = Path(__file__).resolve().parents[1]
COPIES = ROOT / "tests" / "plugins" / "strobe-copies"


def install(site: Path) -> list[str]:
    """Make the copies discoverable; returns their names."""
    sys.path.insert(0, str(ROOT / "tests"))
    import fake_install

    fake_install.install(COPIES, site)
    sys.path.insert(0, str(site))
    groups = tomllib.loads((COPIES / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
    return [name for group in groups.values() for name in group]


def cpu(pids: list[int]) -> float:
    """CPU seconds of this process, of its ended children, and of living ones, theirs included."""
    own = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return own + ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, default=DATA)
    given = parser.parse_args()
    ready()
    with tempfile.TemporaryDirectory() as site, imported(given.data) as (workspace, run):
        names = install(Path(site))
        os.environ["STROBE_CONFIG"] = f"{site}/settings.json"
        workspace.__dict__.pop("registry", None)

        from strobe.isolation.launcher import launcher

        start = time.perf_counter()
        for name in names:
            workspace.registry.analyzer(name)
        print(f"fork server and the first import of {len(names)} plugins: {time.perf_counter() - start:.1f} s, once")
        server = launcher().pid
        pids = [server] if server else []

        def analyze(isolate: str) -> tuple[float, float]:
            shutil.rmtree(workspace.root / "results", ignore_errors=True)
            wall, spent = time.perf_counter(), cpu(pids)
            assert workspace.analyze(run, names, isolate=isolate).ok
            return time.perf_counter() - wall, cpu(pids) - spent

        walls, cpus = [], []
        for i in range(given.rounds):
            times = {}
            for mode in ("none", "third-party") if i % 2 else ("third-party", "none"):
                times[mode] = analyze(mode)
            walls.append(times["third-party"][0] / times["none"][0])
            cpus.append(times["third-party"][1] / times["none"][1])
            print(
                f"round {i + 1}: in this process {times['none'][0]:.2f} s, isolated {times['third-party'][0]:.2f} s; wall x {walls[-1]:.3f}", end=""
            )
            print(f"; CPU {times['none'][1]:.2f} s, {times['third-party'][1]:.2f} s; x {cpus[-1]:.3f}")
        steps = len(workspace.run(run).steps)
        print(f"{len(names)} analyzers on {steps} checkpoints: wall x {statistics.median(walls):.3f}, CPU x {statistics.median(cpus):.3f} (medians)")
        alone()
    print(machine())
    print(f"load {os.getloadavg()[0]:.1f}")


def alone() -> None:
    """A worker by itself: to start one, and to ask it for nothing."""
    from strobe.isolation.limits import Isolation
    from strobe.isolation.orders import Import
    from strobe.isolation.process import WorkerProcess

    starts, trips = [], []
    for _ in range(10):
        start = time.perf_counter()
        worker = WorkerProcess.start("nobody", Isolation())
        worker.ask(Import(0, ()), (), 60, 0)
        starts.append((time.perf_counter() - start) * 1e3)
        for i in range(100):
            start = time.perf_counter()
            worker.ask(Import(i, ()), (), 60, 0)
            trips.append((time.perf_counter() - start) * 1e6)
        worker.end()
    print(f"new worker {statistics.median(starts):.0f} ms (least {min(starts):.0f})", end="; ")
    print(f"round trip with nothing to do {statistics.median(trips):.0f} us (least {min(trips):.0f})")


if __name__ == "__main__":
    main()
