"""What a plugin may be called: its name is a table, a folder, a word on the command line (`--set NAME.setting=value`), and says whose it is."""

from __future__ import annotations

import re
from collections.abc import Collection

GOOD = re.compile(r"[a-z][a-z0-9_]*")
RESERVED = ("all", "metrics", "runs", "jobs", "results")
"""Tables and words of Strobe's own."""


def problem(name: str, package: str = "", packages: Collection[str] = ()) -> str:
    """Why a plugin may not bear a name, with one that it may; '' when it may. `packages`: module names of everything that brings plugins."""
    if not GOOD.fullmatch(name):
        return f"name {name!r} {_odd(name)}; call it {suggestion(name)!r}: lower-case letters, digits and _"
    if name in RESERVED:
        return f"name {name!r} is a word of Strobe's own; call it {f'{name}_of_mine'!r}, or what it measures"
    owner = _owner(name, packages)
    if owner and owner != module_name(package):
        return f"name {name!r} begins with {owner}_, which is another package's; call it {name.removeprefix(owner + '_')!r}"
    return ""


def module_name(package: str) -> str:
    """`strobe-Phase.space` -> `strobe_phase_space`: what a distribution's module is usually called."""
    return re.sub(r"[-_.]+", "_", package).lower()


def suggestion(name: str) -> str:
    """The nearest name that is allowed."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return re.sub(r"[^a-z0-9]+", "_", snake).strip("_").lstrip("0123456789_") or "my_plugin"


def _odd(name: str) -> str:
    for sign, what in ((" ", "has spaces"), (".", "has dots"), ("/", "has path separators"), ("\\", "has path separators"), (":", "has colons")):
        if sign in name:
            return what
    return "is not in lower case, or has other signs than letters, digits and _"


def _owner(name: str, packages: Collection[str]) -> str:
    """The longest package name that a name begins with."""
    ends = [i for i, letter in enumerate(name) if letter == "_"]
    return next((name[:i] for i in reversed(ends) if name[:i] in packages), "")
