"""An analyzer under examination, and what its calls showed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..analysis.counters import counting, landscape
from ..analysis.request import recipes
from ..analyzer import Analyzer
from ..errors import SchemaError, StrobeError
from ..registration.contract import Contract, analyzer_contract
from ..registration.registry import Registry
from ..schema import Made
from .findings import NotMeant, Place, Source, Unfit
from .material import Change, Given, Material
from .running import made
from .state import digests, peak_bytes, process, seed_everything, unharmed


@dataclass(frozen=True, eq=False)
class Call:
    """What came of a call."""

    made: Made | None
    error: BaseException | None
    given: Given
    changed: tuple[str, ...] = ()
    process: tuple[str, ...] = ()
    counters: Mapping[str, int] = None  # type: ignore[assignment]
    peak: int = 0


class Subject:
    """An analyzer under examination, and what its calls showed: made once, looked at by all checks."""

    def __init__(self, analyzer: Analyzer | type[Analyzer], family: Any = None, registry: Registry | None = None, name: str = "") -> None:
        self.cls = analyzer if isinstance(analyzer, type) else type(analyzer)
        self._given = analyzer
        self.family, self.registry, self.name = family, registry, name
        self.source = Source(self.cls)
        self.who = f"analyzer {name or self.cls.__qualname__}"

    @functools.cached_property
    def analyzer(self) -> Analyzer:
        return self._given() if isinstance(self._given, type) else self._given

    @functools.cached_property
    def contract(self) -> Contract:
        return analyzer_contract(self.cls, self.who)

    @functools.cached_property
    def material(self) -> Material:
        return Material(self.cls, self.family, self.registry, self.name)

    @property
    def hook(self) -> Place | None:
        return self.source.line(self.contract.hook)

    def closure(self) -> None:
        """Find everything it consumes, and what that consumes; raises `StrobeError`."""
        registry = self.registry or Registry.discover()
        for name in self.cls.upstream():
            recipes(registry, [name])
        if self.name:
            recipes(registry, [self.name])

    def make(self, change: Change | None = None, step: int | None = None) -> Given:
        return self.material.given(self.contract.arguments, step, change)

    def run(self, given: Given) -> Made:
        with landscape():
            return made(self.analyzer, self.contract, given)

    @functools.cached_property
    def first(self) -> Call:
        """The analyzer on the last step, watched."""
        self.run_once()
        return self._watched(self.make())

    @functools.cached_property
    def second(self) -> Call:
        """The same once more, with global generators elsewhere."""
        with unharmed():
            seed_everything(2)
            given = self.make()
            found: list[Any] = []
            peak = peak_bytes(lambda: found.append(self.caught(given)))
            rows, error = found[0]
        return Call(rows, error, given, peak=peak)

    def run_once(self) -> None:
        """What it consumes, computed before anything is watched."""
        self.make()

    def _watched(self, given: Given) -> Call:
        with unharmed(), counting() as counters:
            seed_everything(1)
            inputs, before = digests(given.watched), process()
            rows, error = self.caught(given)
            after, outputs = process(), digests(given.watched)
        changed = tuple(n for n in inputs if inputs[n] != outputs[n])
        return Call(rows, error, given, changed, tuple(n for n in before if before[n] != after[n]), dict(counters))

    def caught(self, given: Given) -> tuple[Made | None, BaseException | None]:
        try:
            return self.run(given), None
        except (Exception, SystemExit) as e:  # the plugin boundary: a stranger's analyzer may raise anything
            return None, e

    def unfit(self, error: BaseException, when: str, fix: str = "") -> Unfit:
        """What it raised, as a finding: where, and what to write instead."""
        place = (error.place if isinstance(error, Unfit) else None) or self.source.raised(error.__traceback__) or self.hook
        said = str(error) if isinstance(error, (StrobeError, Unfit)) else f"{type(error).__name__}: {error}"
        if isinstance(error, SchemaError):
            return Unfit(f"its rows are not as declared {when}: {said}", fix or "change the value, or its declaration in `Row`", place)
        return Unfit(f"it raises {when}: {said.partition(chr(10))[0]}", fix or "mend this line", place)

    def rows(self) -> Made:
        """Its rows; when it raised, checks that need them say so."""
        if self.first.made is None:
            raise NotMeant(f"it raised {type(self.first.error).__name__}; mend that first (see gives_what_it_declares)")
        return self.first.made


Check = Callable[[Subject], None]
