"""Packages that a workspace's results and reports need, and which of them are here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import StrobeError

if TYPE_CHECKING:
    from ..workspace import Workspace


@dataclass(frozen=True)
class Need:
    """A package that something was made with, or asks for. `state`: `installed`, `other version` (results stay readable), or `missing`."""

    requirement: str
    package: str
    needed_by: tuple[str, ...]
    installed: str
    state: str

    @property
    def install(self) -> str:
        """What to type, '' when nothing need be."""
        return f"strobe plugins install {quoted(self.requirement)}" if self.state != "installed" else ""


def quoted(requirement: str) -> str:
    """As a shell takes it."""
    return f"'{requirement}'" if set(requirement) & set("<>;~! []") else requirement


def needs(workspace: Workspace) -> list[Need]:
    """Every package that made a result, or that a report requires, by name. Strobe itself is left out: it is here."""
    by: dict[str, list[str]] = {}
    for requirement, who in [*_of_results(workspace), *_of_reports(workspace)]:
        known = by.setdefault(requirement, [])
        if who not in known:
            known.append(who)
    return sorted((need(r, who) for r, who in by.items()), key=lambda n: (n.package, n.requirement))


def need(requirement: str, needed_by: Iterable[str] = ()) -> Need:
    """A requirement beside what is installed."""
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    try:
        here = version(wanted.name)
    except PackageNotFoundError:
        return Need(requirement, wanted.name, tuple(needed_by), "", "missing")
    fits = wanted.specifier.contains(here, prereleases=True)
    return Need(requirement, wanted.name, tuple(needed_by), here, "installed" if fits else "other version")


def _of_results(workspace: Workspace) -> Iterable[tuple[str, str]]:
    from ..storage.origins import origin_of

    for address in workspace.store.addresses():
        if not address.analyzer.startswith("_"):
            origin = origin_of(workspace.store, address)
            if origin.requirement and origin.package != "strobe":
                yield origin.requirement, f"results of {origin.analyzer}"


def _of_reports(workspace: Workspace) -> Iterable[tuple[str, str]]:
    from ..reports.files import load
    from ..reports.library import named_reports

    for found in named_reports(workspace):
        try:
            report = load(found["file"])
        except StrobeError:  # `strobe report check` says what is wrong with it
            continue
        yield from ((requirement, f"report {found['name']}") for requirement in report.requires)
