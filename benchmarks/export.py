"""ms and bytes of pictures and of frames of an animation, against saving each with `chart.save`; and memory from 50 to 500 frames.

`python benchmarks/export.py [--frames 24] [--workspace DIR --run RUN]`; without a workspace it trains and analyzes a small run of its own.
Both ways are measured in one run, alternately, because machines are shared.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PANELS = ("loss_curves", "dimensionality_over_steps", "singular_values", "neuron_map", "frequency_spectrum")
ANALYZERS = ["weight_norms", "effective_dimensionality", "dominant_frequencies", "activation_maps", "phases", "key_frequencies"]


def made(root: Path) -> str:
    """A run of 24 checkpoints and 512 neurons."""
    from strobe import Training, Workspace

    workspace = Workspace(root)
    training = Training(epochs=115, schedule="every:5", lr=3e-3)
    run = workspace.train("modular_addition", name="bench", training=training, p=13, d_model=32, n_heads=2, d_mlp=512, fraction=0.5)
    workspace.analyze(run, ANALYZERS)
    return run.name


def cpu() -> float:
    """Seconds of this process and of the children it has waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """ms of wall time, and of all processes' CPU: the second does not mind who else is on the machine."""
    wall, busy = time.perf_counter(), cpu()
    work()
    return (time.perf_counter() - wall) * 1000, (cpu() - busy) * 1000


def figures(root: Path, name: str, folder: Path) -> None:
    from strobe import Workspace

    workspace = Workspace(root)
    print(f"\n{'figure':28}{'format':8}{'chart.save':>12}{'view.save':>12}{'bytes':>12}")
    for renderer in PANELS:
        view = workspace.view(renderer, name, step=workspace.run(name).steps[-1], **({"neuron": 3} if renderer == "neuron_map" else {}))
        view.save(folder / "warm.png")
        for suffix in ("png", "svg", "pdf"):
            options = {"scale_factor": 2} if suffix == "png" else {}
            plain, _ = timed(lambda v=view, s=suffix, o=options: v.chart.save(str(folder / f"plain.{s}"), **o))
            ours, _ = timed(lambda v=view, s=suffix: v.save(folder / f"ours.{s}"))
            print(f"{renderer:28}{suffix:8}{plain:10.0f}ms{ours:10.0f}ms{(folder / f'ours.{suffix}').stat().st_size:12,}")


@dataclass(frozen=True)
class Case:
    """An animation: of one view or a report, over what, through which values; `charts` of a frame, as `chart.save` takes them."""

    name: str
    values: Sequence[int]
    charts: Callable[[int], Iterable[Any]]
    animate: Callable[[Path], Any]


def cases(root: Path, name: str, most: int, long: int) -> Iterator[Case]:
    """Five panels over steps, one over more neurons than a start of processes weighs on, and a whole report."""
    from strobe import Workspace
    from strobe.charts import Scene3D
    from strobe.export import write_report
    from strobe.panels.cards import cards_of, resolve
    from strobe.reports.library import find

    workspace = Workspace(root)
    run = workspace.run(name)
    steps = list(run.steps)[:most]
    for renderer in PANELS:
        view = workspace.view(renderer, run, **({"neuron": 3} if renderer == "neuron_map" else {}))
        yield Case(renderer, steps, lambda s, v=view: [v.at(step=s).chart], lambda path, v=view: v.animate(path, values=steps))
    view, neurons = workspace.view("neuron_map", run, step=run.steps[-1]), range(long)
    yield Case("neuron_map, by neuron", neurons, lambda n: [view.at(neuron=n).chart], lambda path: view.animate(path, over="neuron", values=neurons))
    report = find(workspace, "default", name)
    cards = [card for card in cards_of(resolve(workspace, report, run)) if not card.problem][:18]
    only = [str(card.number) for card in cards]

    def drawn(step: int) -> Iterable[Any]:
        for card in cards:
            shown = card.looking({"run": name, "step": step}).chart
            yield shown.chart() if isinstance(shown, Scene3D) else shown

    few = steps[:: max(len(steps) // 8, 1)]
    yield Case(f"{len(cards)} panels of a report", few, drawn, lambda path: write_report(workspace, report, name, path, values=few, only=only))


def movie(root: Path, name: str, folder: Path, most: int, long: int = 120) -> None:
    """Wall and CPU time of a frame: `chart.save` of what it shows (of 24 frames at most), and an animation with all that belongs to it: its rows, the
    start of its processes, the file."""
    head = ("frames", "chart.save", "animation", "ratio", "CPU", "CPU", "ratio", "gif bytes")
    print("\nms per frame".ljust(29) + "".join(f"{h:>12}" for h in head))
    total = [0.0] * 4
    for case in cases(root, name, most, long):
        sample = case.values[:: -(-len(case.values) // 24)]

        def plain(case: Case = case, sample: Sequence[int] = sample) -> None:
            for value in sample:
                for chart in case.charts(value):
                    chart.save(str(folder / "frame.png"))

        saved, ours = timed(plain), timed(lambda c=case: c.animate(folder / "x.gif"))
        figures = [*(f / len(sample) for f in saved), *(f / len(case.values) for f in ours)]
        if case.name in PANELS:
            total = [a + b / len(PANELS) for a, b in zip(total, figures, strict=True)]
        print(f"{case.name:28}{len(case.values):12}{_row(figures)}{(folder / 'x.gif').stat().st_size:12,}", flush=True)
    print(f"{'mean of the five panels':28}{'':12}{_row(total)}")


def _row(figures: Sequence[float]) -> str:
    wall, busy, our_wall, our_busy = figures
    cells = (f"{wall:.0f}", f"{our_wall:.0f}", f"{wall / our_wall:.1f}", f"{busy:.0f}", f"{our_busy:.0f}", f"{busy / our_busy:.1f}")
    return "".join(f"{cell:>12}" for cell in cells)


def memory(root: Path, name: str, folder: Path) -> None:
    """Peak memory of this process and of its largest child, in processes of their own."""
    print(f"\n{'frames':>8}{'peak MB':>10}{'of a child':>12}{'seconds':>10}")
    for count in (50, 500):
        call = [sys.executable, __file__, "--count", str(count), "--workspace", str(root), "--run", name]
        said = json.loads(subprocess.run(call, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        print(f"{count:8}{said['self']:10.0f}{said['child']:12.0f}{said['seconds']:10.1f}")


def one(root: Path, name: str, count: int) -> None:
    from strobe import Workspace

    with tempfile.TemporaryDirectory() as folder:
        view = Workspace(root).view("neuron_map", name)
        seconds = timed(lambda: view.animate(Path(folder) / "x.webp", over="neuron", values=range(count), scale=0.5))[0] / 1000
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # at most: a process that starts another lends it its own peak
    print(json.dumps({"self": own_peak(), "child": child, "seconds": seconds}))


def own_peak() -> float:
    """MB. Not what `getrusage` says: that is at least the peak of the process that started this one."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--run", default="")
    parser.add_argument("--count", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.count:
        one(given.workspace, given.run, given.count)
        return
    with tempfile.TemporaryDirectory() as scratch:
        root = given.workspace or Path(scratch) / "workspace"
        name = given.run or made(root)
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        figures(root, name, Path(scratch))
        movie(root, name, Path(scratch), given.frames)
        memory(root, name, Path(scratch))


if __name__ == "__main__":
    main()
