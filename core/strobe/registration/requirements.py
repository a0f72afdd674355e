"""Which Strobe a package says it needs."""

from __future__ import annotations

import re
from functools import cache

REQUIREMENT = re.compile(r"strobe\s*(\[[^]]*\])?\s*(?![-_.\w])\(?(?P<versions>[^;()@]*)\)?\s*(@[^;]*)?(;.*)?", re.IGNORECASE)


def incompatible(package: str, requirements: list[str]) -> str:
    """Why a package's requirements exclude this Strobe, '' when they do not."""
    from ..version import __version__

    for line in (r for r in requirements if r.lower().startswith("strobe") and "extra ==" not in r):
        if needed := excludes(line, __version__):
            return f"{needed}; `pip install -U {package}`"
    return ""


@cache
def excludes(line: str, version: str) -> str:
    """Why a requirement excludes a version of Strobe, '' when it does not. Most packages write the same line."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # packaging.requirements would take 10 ms more

    asked = REQUIREMENT.fullmatch(line)
    if asked is None:
        return ""  # another package, such as strobe-topology
    try:
        wanted = SpecifierSet(asked["versions"] or "")
    except InvalidSpecifier as e:
        return f"its requirement {line!r} cannot be read: {e}"
    return "" if wanted.contains(version, prereleases=True) else f"needs strobe{wanted}, this is strobe {version}"


def remark(requirements: list[str]) -> str:
    """Whether a package leaves open which Strobe it works with."""
    if any((asked := REQUIREMENT.fullmatch(line)) and asked["versions"].strip() for line in requirements):
        return ""
    from ..version import __version__

    major, minor, *_ = __version__.split(".")
    bound = f"strobe>={major}.{minor},<{int(major) + 1}"
    return f"says not which strobe it works with, so that an update may break it: its author should add '{bound}' to its dependencies"
