"""Where work runs: this process, or local processes with one torch thread each. Both are `concurrent.futures` executors."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from .errors import UsageError

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")
NAMES = ("local", "processes")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
GIGABYTE = 2**30


class LocalExecutor(Executor):
    """Runs each call at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as e:
            future.set_exception(e)
            if not isinstance(e, Exception):
                raise
        return future


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
    """Let glibc reuse large buffers instead of handing them back: every forward allocates the same tens of MB, and faulting them in again page by page
    cost a fifth of its CPU (benchmarks/shared_pass.py). Does nothing on other C libraries."""
    import ctypes

    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, GIGABYTE)
        mallopt(M_TRIM_THRESHOLD, GIGABYTE)


def run_tasks(
    name: str, fn: Callable[[Task], Outcome], tasks: Iterable[Task], lost: Callable[[Task, str], Outcome], workers: int | None = None
) -> Iterator[Outcome]:
    """`fn` over tasks, outcomes in the tasks' order.

    With `processes`, a worker that dies takes the pool with it: it is rebuilt and the unfinished tasks are submitted again, one at a time, so
    that the one that kills its worker is found; `lost(task, reason)` is its outcome.
    """
    if name == "local":
        with one_thread():
            yield from map(fn, tasks)
    elif name == "processes":
        yield from _in_processes(fn, list(tasks), lost, workers or os.cpu_count() or 1)
    else:
        raise UsageError(f"no executor {name!r}; there are {', '.join(NAMES)}")


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker)


def _in_processes(fn: Callable[[Task], Outcome], tasks: list[Task], lost: Callable[[Task, str], Outcome], workers: int) -> Iterator[Outcome]:
    done = 0
    pool = _pool(min(workers, max(len(tasks), 1)))
    try:
        futures = [pool.submit(fn, task) for task in tasks]
        for future in futures:
            yield future.result()
            done += 1
        return
    except BrokenProcessPool:
        pass
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    for task in tasks[done:]:
        yield _alone(fn, task, lost)


def _alone(fn: Callable[[Task], Outcome], task: Task, lost: Callable[[Task, str], Outcome]) -> Outcome:
    with _pool(1) as pool:
        try:
            return pool.submit(fn, task).result()
        except BrokenProcessPool:
            return lost(task, "its worker process died (killed, out of memory, or a crash in native code)")
