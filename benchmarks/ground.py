"""What the benchmarks stand on: a workspace with a real p=113 run, CPU time, medians of rounds in which the variants take turns."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import strobe

DATA = Path(__file__).parent.parent / "tests" / "data" / "modadd_p113_seed999"


@contextlib.contextmanager
def imported(data: Path = DATA) -> Iterator[tuple[strobe.Workspace, str]]:
    """A temporary workspace and the name of the run in it."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = strobe.Workspace(folder)
        yield workspace, workspace.import_run(data, "modular_addition", name="real").name


def cpu_ms(turn: Callable[[], object]) -> float:
    """CPU milliseconds of one call."""
    start = time.process_time()
    turn()
    return (time.process_time() - start) * 1e3


def medians(turns: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU milliseconds of each variant; they take turns, so that whatever else the machine does hits all of them."""
    for turn in turns.values():
        turn()
    times: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, turn in turns.items():
            times[name].append(cpu_ms(turn))
    return {name: statistics.median(values) for name, values in times.items()}


def ready() -> None:
    """One thread and memory kept, as the executors work."""
    import torch

    from strobe.analysis.executors import keep_freed_memory

    torch.set_num_threads(1)
    keep_freed_memory()


def machine() -> str:
    """The machine, in one line."""
    import os
    import platform

    import torch

    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, torch {torch.__version__}, one thread"
