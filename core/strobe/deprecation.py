"""How something public goes: it works and warns for one minor version at least, and is gone with a major one (docs/compatibility.md)."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")


class StrobeDeprecation(FutureWarning):
    """Something of Strobe's that will go. Shown by default, so that authors see it; `-W error::strobe.StrobeDeprecation` makes it an error."""


@dataclass(frozen=True)
class Deprecation:
    """What goes, the version that says so first, the one without it, and what to write instead."""

    what: str
    since: str
    gone: str
    instead: str

    def __post_init__(self) -> None:
        """The version without it is a later major one, and so at least a minor version of warning lies between."""
        (since, _), (gone, minor) = _parts(self.since), _parts(self.gone)
        if gone <= since or minor:
            raise ValueError(f"{self.what}: deprecated in {self.since}, it may go in {since + 1}.0 or a later major version, not in {self.gone}")

    def warn(self, who: str = "", stacklevel: int = 2) -> None:
        """Say so, to whom it concerns."""
        of = f"{who}: " if who else ""
        message = f"{of}{self.what} is deprecated since strobe {self.since} and will be gone in {self.gone}; {self.instead}"
        warnings.warn(message, StrobeDeprecation, stacklevel=stacklevel + 1)


def deprecated(since: str, gone: str, instead: str) -> Callable[[Callable[Parameters, Returned]], Callable[Parameters, Returned]]:
    """Mark a function: it works, and warns whoever calls it. `@deprecated("0.3", "1.0", "call `fourier_basis`")`."""

    def marked(function: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
        deprecation = Deprecation(function.__qualname__, since, gone, instead)

        @functools.wraps(function)
        def called(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Returned:
            deprecation.warn()
            return function(*args, **kwargs)

        return called

    return marked


HOOK_ARGUMENTS: dict[tuple[str, str], Deprecation] = {}
"""(hook, argument) that will go: whoever names it is warned when the plugin is registered. None at present."""


def _parts(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
