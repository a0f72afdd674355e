"""What isolation costs, in this process and in workers in turns; and what a worker costs by itself.

    python benchmarks/isolation.py [--what ten default alone] [--rounds 5] [--data FOLDER]

`ten`: ten analyzers of the real p=113 run under other names, in a package of their own (tests/plugins/strobe-copies), all of them isolated.
`default`: the whole default analysis without landscape, `--isolate all` against `--isolate none`. Every round gives one ratio of wall time and one of
CPU time, workers included; the fork server's start is not: it happens once per process. Budget: at most 1.05.
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
from collections.abc import Sequence
from pathlib import Path

from ground import DATA, imported, machine, ready

import strobe

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


def timed(workspace: strobe.Workspace, run: str, names: Sequence[str], isolate: str) -> tuple[float, float]:
    """Wall and CPU seconds of an analysis of everything; when isolated, with a fork server that is ready."""
    pids = [] if isolate == "none" else [server_ready()]
    shutil.rmtree(workspace.root / "results", ignore_errors=True)
    wall, spent = time.perf_counter(), cpu(pids)
    assert workspace.analyze(run, names, isolate=isolate).ok
    return time.perf_counter() - wall, cpu(pids) - spent


def server_ready() -> int:
    """Its process id. A new one: the last may have ended for want of work while this was busy."""
    from strobe.isolation.launcher import launcher
    from strobe.isolation.limits import Isolation
    from strobe.isolation.process import WorkerProcess

    launcher().close()
    WorkerProcess.start("nobody", Isolation()).end()
    server = launcher().pid
    assert server is not None
    return server


def compare(workspace: strobe.Workspace, run: str, names: Sequence[str], isolate: str, rounds: int) -> None:
    """Isolated and not, in turns."""
    timed(workspace, run, names, isolate)
    walls, cpus, extra = [], [], []
    for i in range(rounds):
        times = {mode: timed(workspace, run, names, mode) for mode in (("none", isolate) if i % 2 else (isolate, "none"))}
        (plain_wall, plain), (wall, spent) = times["none"], times[isolate]
        walls.append(wall / plain_wall)
        cpus.append(spent / plain)
        extra.append(spent - plain)
        print(f"round {i + 1}: plain {plain_wall:.2f} s, isolated {wall:.2f} s; wall x {walls[-1]:.3f}", end="")
        print(f"; CPU {plain:.2f} s, {spent:.2f} s; x {cpus[-1]:.3f}; load {os.getloadavg()[0]:.1f}", flush=True)
    steps = len(workspace.run(run).steps)
    more = f"{statistics.median(extra) / steps * 1e3:.0f} ms of CPU more per checkpoint"
    print(f"{len(names)} analyzers, {steps} checkpoints: wall x {statistics.median(walls):.3f}, CPU x {statistics.median(cpus):.3f}", end="")
    print(f", {more} (medians)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=("ten", "default", "alone"), nargs="+", default=("ten", "default", "alone"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, default=DATA)
    given = parser.parse_args()
    ready()
    as_installed()
    with tempfile.TemporaryDirectory() as site, imported(given.data) as (workspace, run):
        names = install(Path(site))
        os.environ["STROBE_CONFIG"] = f"{site}/settings.json"
        workspace.__dict__.pop("registry", None)
        for name in names:
            workspace.registry.analyzer(name)
        if "ten" in given.what:
            compare(workspace, run, names, "third-party", given.rounds)
        if "default" in given.what:
            compare(workspace, run, by_default(workspace), "all", given.rounds)
    if "alone" in given.what:
        alone()
    print(machine())


def as_installed() -> None:
    """Workers find bytecode, as that of an installed package is there, wherever this was told not to write any."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = tempfile.mkdtemp(prefix="strobe-bytecode-")


def by_default(workspace: strobe.Workspace) -> list[str]:
    """Built-in analyzers that are not opt-in, but those of the landscape: their seconds per checkpoint would hide everything else."""
    listed = [p for p in workspace.registry.all("analyzer") if p.package == "strobe" and p.category != "landscape"]
    return [p.name for p in listed if not p.load().opt_in]


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
