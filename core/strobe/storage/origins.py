"""Which package made a result, and results of analyzers that are not installed any more: read from what the files say of themselves."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..schema import TableSchema, table_schema
from .store import Address, Store

if TYPE_CHECKING:
    from ..analyzer import Analyzer
    from ..registration.registry import Plugin


@dataclass(frozen=True)
class Origin:
    """What a result says of the analyzer that made it. `default`: whether with its default settings."""

    analyzer: str
    category: str
    package: str
    version: str
    summary: str = ""
    scope: str = "run"
    default: bool = True

    @property
    def made_by(self) -> str:
        """`strobe-phase 0.2`."""
        return f"{self.package} {self.version}".strip()

    @property
    def requirement(self) -> str:
        """As pip takes it; '' for a file or a class of a session, which no package brings."""
        return f"{self.package}=={self.version}" if self.version else ""


def said_of(plugin: Plugin, cls: type[Analyzer], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What goes into the footer of a result, so that it can be understood without its analyzer."""
    default = dict(settings) == json.loads(cls().model_dump_json())
    package = Path(plugin.package).name if plugin.file else plugin.package
    return {"package": package, "version": plugin.version, "summary": cls.summary(), "scope": cls.scope, "default": default}


def origin_of(store: Store, address: Address) -> Origin:
    """Who made a result. One from before packages were noted is said to be `?`'s."""
    about = store.about(address)
    return Origin(
        address.analyzer,
        str(about.get("category", "")),
        str(about.get("package", "?")),
        str(about.get("version", "")),
        str(about.get("summary", "")),
        str(about.get("scope", "run" if address.run else "runs")),
        bool(about.get("default", True)),
    )


def latest(store: Store, name: str, runs: Collection[str], probe: str = "", settings: Mapping[str, Any] | None = None) -> list[Address]:
    """The newest results of a table that nobody can compute any more: one of each run, or one of several runs together.

    Those made with default settings, or with the given ones; `probe` left out means the newest of any.
    """
    newest: dict[str | None, tuple[int, Address]] = {}
    for address in _stored(store, name):
        if (address.run is not None and address.run not in runs) or (probe and address.probe not in (None, probe)):
            continue
        if not _asked(store, address, settings):
            continue
        written = max((f.stat().st_mtime_ns for f in address.folder(store.root).glob("*.parquet")), default=0)
        if written > newest.get(address.run, (0, address))[0]:
            newest[address.run] = (written, address)
    return [newest[run][1] for run in (*runs, None) if run in newest]


def _asked(store: Store, address: Address, settings: Mapping[str, Any] | None) -> bool:
    about = store.about(address)
    if settings:
        return bool({**about.get("settings", {}), **settings} == about.get("settings", {}))
    return bool(about.get("default", True))


def stored_schema(store: Store, name: str) -> TableSchema | None:
    """The columns of a table as its newest file declares them, None when there is none."""
    from .parts import schema_of

    files = [f for a in _stored(store, name) for f in a.folder(store.root).glob("*.parquet")]
    return table_schema(schema_of(max(files, key=lambda f: f.stat().st_mtime_ns))) if files else None


def stored_origin(store: Store, name: str) -> Origin | None:
    """Who made a table, None when nothing is stored of it."""
    found = [origin_of(store, a) for a in _stored(store, name)]
    return found[-1] if found else None


def stored_names(store: Store) -> list[str]:
    """Analyzers that have results, installed or not."""
    return sorted(f.name for f in store.root.glob("[!_]*") if any(f.glob("*/*/*/*.parquet")))


def _stored(store: Store, name: str) -> Iterator[Address]:
    for folder in sorted((store.root / name).glob("*/*/*")):
        if (address := store.address_at(folder)) is not None:
            yield address
