"""Axes that charts of several runs share: drawn once to learn what each axis spans, and again over what they span together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

Name = tuple[str, str, int]
"""Kind of an axis, its title, and how many of these the chart has before it."""


@dataclass
class Spans:
    """What the axes of some charts span together. Draw each chart within `learning`, then, unless they `agree`, each within `together`."""

    found: dict[Name, set[float]] = field(default_factory=dict)
    agree: bool = True
    """Whether no axis of a chart spans anything else than that of another chart."""
    _met: Counter[tuple[str, str]] = field(default_factory=Counter)
    _learns: bool = True

    @contextmanager
    def learning(self) -> Iterator[None]:
        with self._for_one_chart(learns=True):
            yield

    @contextmanager
    def together(self) -> Iterator[None]:
        with self._for_one_chart(learns=False):
            yield

    @contextmanager
    def _for_one_chart(self, *, learns: bool) -> Iterator[None]:
        self._met, self._learns = Counter(), learns
        token = _active.set(self)
        try:
            yield
        finally:
            _active.reset(token)

    def spanned(self, kind: str, title: str, values: Iterable[float]) -> list[float]:
        self._met[kind, title] += 1
        name = (kind, title, self._met[kind, title])
        known = list(values)
        if not self._learns:
            return [*known, *self.found.get(name, ())]
        positive = [v for v in known if v > 0]
        own = {min(known), max(known), *([min(positive)] if positive else [])} if known else set()
        self.agree &= name not in self.found or self.found[name] == own
        self.found.setdefault(name, set()).update(own)
        return known


_active: ContextVar[Spans | None] = ContextVar("spans", default=None)


def spanned(kind: str, title: str, values: Iterable[float]) -> Iterable[float]:
    """What an axis has to span: its own values, and where charts share their axes those of the same axis of the others."""
    spans = _active.get()
    return values if spans is None else spans.spanned(kind, title, values)
