"""Entry points of installed packages, read from their metadata folders.

`importlib.metadata` gives the same, at ten times the price: it parses every package's entry points, and a README as a mail for each version it is
asked for. `strobe plugins list` looks at all of them at every call.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from importlib.machinery import PathFinder
from typing import Any

METADATA = (".dist-info", ".egg-info")


@dataclass(frozen=True)
class Package:
    """An installed distribution. `read` gives the text of a file of its metadata, None when there is none."""

    read: Callable[[str], str | None] = field(repr=False, compare=False)

    @cached_property
    def headers(self) -> dict[str, list[str]]:
        """The header lines of its METADATA, by lower-case name."""
        found: dict[str, list[str]] = {}
        for line in (self.read("METADATA") or self.read("PKG-INFO") or "").partition("\n\n")[0].splitlines():
            name, colon, value = line.partition(":")
            if colon and not line[0].isspace():
                found.setdefault(name.lower(), []).append(value.strip())
        return found

    @property
    def name(self) -> str:
        return self.headers.get("name", ["?"])[0]

    @property
    def version(self) -> str:
        return self.headers.get("version", [""])[0]

    @property
    def requirements(self) -> list[str]:
        return self.headers.get("requires-dist", [])


@dataclass(frozen=True)
class Entry:
    """An entry point: `name = module:attr` in a group."""

    name: str
    value: str
    group: str
    package: Package = field(default=Package(lambda name: None), repr=False, compare=False)

    @property
    def module(self) -> str:
        return self.value.partition(":")[0].strip()

    @property
    def attr(self) -> str:
        return self.value.partition(":")[2].partition("[")[0].strip()

    def load(self) -> Any:
        """Import the module and take the attribute."""
        found: Any = import_module(self.module)
        for part in filter(None, self.attr.split(".")):
            found = getattr(found, part)
        return found


def entries(prefix: str) -> Iterator[Entry]:
    """Entry points of the groups that begin with `prefix`. The first package of a name on the path wins, as for imports."""
    for package in _packages():
        text = package.read("entry_points.txt")
        if text and f"[{prefix}" in text:
            yield from (e for e in _parsed(text, package) if e.group.startswith(prefix))


def _parsed(text: str, package: Package) -> Iterator[Entry]:
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif line and line[0] not in "#;":
            name, _, value = line.partition("=")
            yield Entry(name.strip(), value.partition("#")[0].strip(), group, package)


def _packages() -> Iterator[Package]:
    seen: set[str] = set()
    for folder in dict.fromkeys(sys.path):
        for name, package in _in_folder(folder or "."):
            if name not in seen:
                seen.add(name)
                yield package
    for name, package in _elsewhere():
        if name not in seen:
            seen.add(name)
            yield package


def _in_folder(folder: str) -> Iterator[tuple[str, Package]]:
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if name.endswith(METADATA):
            yield _normal(name.rpartition(".")[0].partition("-")[0]), Package(_reader(os.path.join(folder, name)))


def _reader(folder: str) -> Callable[[str], str | None]:
    def read(name: str) -> str | None:
        try:
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                return f.read()
        except OSError:
            return None

    return read


def _elsewhere() -> Iterator[tuple[str, Package]]:
    """Packages that import systems other than folders on the path know."""
    finders: list[Any] = [f for f in sys.meta_path if hasattr(f, "find_distributions") and f is not PathFinder]
    for finder in finders:
        from importlib.metadata import DistributionFinder

        for dist in finder.find_distributions(DistributionFinder.Context()):
            yield _normal(dist.metadata["Name"]), Package(dist.read_text)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()
