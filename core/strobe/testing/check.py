"""Runs every check on every plugin of a target, and says of each failure what happened, where, and what to write instead."""

from __future__ import annotations

import _thread
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from ..registration.registry import Plugin, Registry
from . import analyzers, families, packages, renderers, subject
from .findings import NotMeant, Place, Unfit
from .state import unharmed

DEADLINE = 60.0
"""Seconds that one check may take: the fixtures are tiny."""
State = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Finding:
    """What one check said of one plugin (of the package, when `plugin` is '')."""

    plugin: str
    kind: str
    check: str
    state: State
    problem: str = ""
    fix: str = ""
    place: Place | None = None

    def to_json(self) -> dict[str, Any]:
        """Flat, for `--json`."""
        where = {"file": self.place.file, "line": self.place.line} if self.place else {"file": "", "line": None}
        return {**{k: v for k, v in vars(self).items() if k != "place"}, **where}


def examine(target: packages.Target) -> Iterator[Finding]:
    """All findings, plugin by plugin, as they are made."""
    if target.package is not None:
        for name, check in packages.CHECKS.items():
            yield _finding("", "package", name, lambda check=check: check(target.package))  # type: ignore[misc]
    for plugin in target.plugins:
        yield from examine_plugin(plugin, target.registry)


def examine_plugin(plugin: Plugin, registry: Registry) -> Iterator[Finding]:
    """All findings about one plugin. One that cannot be loaded has a single one."""
    loaded = _finding(plugin.name, plugin.kind, "loads", lambda: packages.loads(plugin))
    yield loaded
    if loaded.state != "failed" and plugin.kind in _SUBJECTS:
        examined, checks = _SUBJECTS[plugin.kind](plugin.load(), plugin, registry)
        for name, check in checks.items():
            yield _finding(plugin.name, plugin.kind, name, lambda check=check: check(examined))  # type: ignore[misc]


_SUBJECTS: dict[str, Callable[[Any, Plugin, Registry], tuple[Any, dict[str, Any]]]] = {
    "analyzer": lambda cls, plugin, registry: (subject.Subject(cls, registry=registry, name=plugin.name), analyzers.CHECKS),
    "renderer": lambda cls, plugin, registry: (renderers.Subject(cls, registry=registry, name=plugin.name), renderers.CHECKS),
    "family": lambda cls, plugin, registry: (families.Subject(cls, plugin.name), families.CHECKS),
}


def _finding(plugin: str, kind: str, name: str, check: Callable[[], object]) -> Finding:
    said = name.replace("_", " ")
    try:
        with _deadline(), unharmed():
            check()
    except NotMeant as e:
        return Finding(plugin, kind, said, "skipped", str(e))
    except Unfit as e:
        return Finding(plugin, kind, said, "failed", e.problem, e.fix, e.place)
    except _TooLong as e:
        return Finding(plugin, kind, said, "failed", f"it ran longer than {DEADLINE:.0f} s on a tiny run", "let its loops end", e.place)
    except Exception as e:  # a check that meets what nobody thought of must not hide the others
        place = traceback.extract_tb(e.__traceback__)[-1]
        return Finding(plugin, kind, said, "failed", f"{type(e).__name__}: {e}", "", Place(place.filename, place.lineno or 0))
    return Finding(plugin, kind, said, "passed")


class _TooLong(Exception):
    """The deadline passed; `place` is where the plugin was."""

    def __init__(self, place: Place | None) -> None:
        self.place = place
        super().__init__()


@contextmanager
def _deadline() -> Iterator[None]:
    """Interrupt what hangs in Python. Only the main thread can be interrupted; elsewhere nothing is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    passed = threading.Event()

    def interrupt() -> None:
        passed.set()
        _thread.interrupt_main()

    timer = threading.Timer(DEADLINE, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    except KeyboardInterrupt as e:
        if not passed.is_set():
            raise
        place = traceback.extract_tb(e.__traceback__)[-1]
        raise _TooLong(Place(place.filename, place.lineno or 0)) from e
    finally:
        timer.cancel()
