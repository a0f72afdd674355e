"""What a worker is told to do. Orders are pickled on their way to a worker; what comes back never is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..analysis.desk import Task
from ..registration.discovery import Entry
from ..registration.registry import Kind, Plugin
from ..sites import Positions
from .memory import Placed

Key = tuple[str, Positions]
"""(site, positions): what one forward pass has captured."""


@dataclass(frozen=True)
class Settled:
    """The first frame: what a new worker shall take over from the process it works for."""

    path: tuple[str, ...]
    environment: Mapping[str, str]
    folder: str
    workspace: Path
    memory: int


@dataclass(frozen=True)
class Portable:
    """A plugin on its way: a worker need not look for packages again."""

    name: str
    kind: Kind
    category: str
    entry: tuple[str, str, str] | None
    package: str
    version: str
    file: str

    def plugin(self) -> Plugin:
        entry = None if self.entry is None else Entry(*self.entry)
        return Plugin(self.name, self.kind, self.category, entry, self.package, self.version, file=self.file)


@dataclass(frozen=True, eq=False)
class Import:
    """Import plugins (an analyzer, and the families of its runs), and say what came of it."""

    number: int
    plugins: tuple[Portable, ...]


@dataclass(frozen=True, eq=False)
class Mapped:
    """A region that comes with the order (`fd`: which of its file descriptors), or that the worker has already (`fd` -1)."""

    name: str
    fd: int = -1
    places: Mapping[Any, Placed] = field(default_factory=dict)
    spans: tuple[tuple[int, int], ...] = ()
    extra: Any = None


@dataclass(frozen=True, eq=False)
class Order:
    """Call an analyzer for the one cell of `task`, whose `results` lie in a region: (upstream, span of it) in their order.

    For a cell of the shared pass, `captured` is what the pass captured, `takes` what this analyzer sees of it, `probe` its inputs.
    """

    number: int
    task: Task
    digest: str = ""
    results: Mapped | None = None
    upstream: tuple[str, ...] = ()
    captured: Mapped | None = None
    takes: Mapping[str, Positions] = field(default_factory=dict)
    probe: Mapped | None = None


def portable(plugin: Plugin) -> Portable:
    """A plugin as its metadata describes it, without what was imported here; a file by its absolute path."""
    entry = None if plugin.entry is None else (plugin.entry.name, plugin.entry.value, plugin.entry.group)
    path, _, attribute = plugin.file.rpartition(":")
    file = f"{Path(path).resolve()}:{attribute}" if plugin.file else ""
    return Portable(plugin.name, plugin.kind, plugin.category, entry, plugin.package, plugin.version, file)
