"""What an analysis did: forwards, backwards, models built, checkpoints read, bytes captured. Counted where it happens, whoever asks for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

NAMES = ("forwards", "backwards", "models_built", "checkpoints_read", "bytes_captured", "landscape_forwards")
"""`forwards` are those of the shared pass; what landscape analyzers run themselves is counted apart."""

_current: ContextVar[Counter[str] | None] = ContextVar("strobe_counters", default=None)
_landscape: ContextVar[bool] = ContextVar("strobe_landscape", default=False)


@contextmanager
def counting() -> Iterator[Counter[str]]:
    """Collect what is counted inside; nested collections count for themselves."""
    counter: Counter[str] = Counter()
    token = _current.set(counter)
    try:
        yield counter
    finally:
        _current.reset(token)


@contextmanager
def landscape() -> Iterator[None]:
    """Forwards in here belong to a landscape analyzer."""
    token = _landscape.set(True)
    try:
        yield
    finally:
        _landscape.reset(token)


def count(what: str, n: int = 1) -> None:
    """Add to the collection in progress, if there is one."""
    counter = _current.get()
    if counter is not None:
        counter["landscape_forwards" if what == "forwards" and _landscape.get() else what] += n


def count_all(counts: Mapping[str, int]) -> None:
    """Add what was counted elsewhere, under the names it was counted by."""
    counter = _current.get()
    if counter is not None:
        counter.update(counts)
