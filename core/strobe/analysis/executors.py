"""Where work runs: this process, or local processes with one torch thread each, replaced when one dies."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import UsageError

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")
NAMES = ("local", "processes")
DIED = "its worker process died (killed, out of memory, or a crash in native code)"
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
GIGABYTE = 2**30


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread inside: two beside a competing process made a step 150 times slower, and results must not depend on the executor."""
    import torch

    keep_freed_memory()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _start_worker() -> None:
    import torch

    keep_freed_memory()
    torch.set_num_threads(1)


def keep_freed_memory() -> None:
    """Let glibc reuse large buffers instead of handing them back: every forward allocates the same tens of MB, and faulting them in page by page
    cost a fifth of its CPU (benchmarks/shared_pass.py). Does nothing on other C libraries."""
    import ctypes

    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, GIGABYTE)
        mallopt(M_TRIM_THRESHOLD, GIGABYTE)


@dataclass(frozen=True)
class Rescue(Generic[Task, Outcome]):
    """What to do with a task that kills its worker: its `parts`, the outcome of one that is `lost` for a reason, and the outcome of all `joined`."""

    parts: Callable[[Task], list[Task]]
    lost: Callable[[Task, str], Outcome]
    joined: Callable[[Task, list[Outcome]], Outcome]


def run_tasks(
    name: str, fn: Callable[[Task], Outcome], tasks: Iterable[Task], rescue: Rescue[Task, Outcome], workers: int | None = None
) -> Iterator[Outcome]:
    """`fn` over tasks, outcomes in the tasks' order.

    With `processes`, a worker that dies takes the pool with it: the tasks that were under way run alone, so that the one that kills its worker is
    found, and that one part by part, so that only the guilty part is lost. The rest goes on in a new pool.
    """
    if name == "local":
        with one_thread():
            yield from map(fn, tasks)
    elif name == "processes":
        yield from _in_processes(fn, list(tasks), rescue, workers or os.cpu_count() or 1)
    else:
        raise UsageError(f"no executor {name!r}; there are {', '.join(NAMES)}")


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker)


def _in_processes(fn: Callable[[Task], Outcome], tasks: list[Task], rescue: Rescue[Task, Outcome], workers: int) -> Iterator[Outcome]:
    done = 0
    while done < len(tasks):
        for outcome in _until_broken(fn, tasks[done:], workers):
            done += 1
            yield outcome
        suspects = tasks[done : done + workers]
        for outcome in _alone(fn, suspects, rescue):
            done += 1
            yield outcome


def _until_broken(fn: Callable[[Task], Outcome], tasks: list[Task], workers: int) -> Iterator[Outcome]:
    """Outcomes in order, up to the first task whose worker, or whose neighbour's worker, died."""
    pool = _pool(min(workers, len(tasks)))
    try:
        for future in [pool.submit(fn, task) for task in tasks]:
            yield future.result()
    except BrokenProcessPool:
        return
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _alone(fn: Callable[[Task], Outcome], tasks: list[Task], rescue: Rescue[Task, Outcome]) -> Iterator[Outcome]:
    """One task at a time, each in parts when it kills its worker."""
    pool: ProcessPoolExecutor | None = None

    def attempt(task: Task) -> Outcome | None:
        nonlocal pool
        pool = pool or _pool(1)
        try:
            return pool.submit(fn, task).result()
        except BrokenProcessPool:
            pool.shutdown(wait=True)
            pool = None
            return None

    try:
        for task in tasks:
            outcome = attempt(task)
            if outcome is None:
                parts = rescue.parts(task)
                found = [(part, attempt(part) if len(parts) > 1 else None) for part in parts]
                outcome = rescue.joined(task, [rescue.lost(part, DIED) if o is None else o for part, o in found])
            yield outcome
    finally:
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
