"""Which analyzers run isolated, and what one call of them may cost."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from ..analysis.desk import Recipe
    from ..registration.registry import Registry

MODES = ("third-party", "all", "none")
DEADLINE, IMPORTING = 600.0, 30.0
"""Seconds: for one call, with its first import; and for an import that is tried out."""
UNITS = {"": 1, "kb": 2**10, "mb": 2**20, "gb": 2**30}
STRIKES = 3
"""Workers that a package may cost in one analysis."""
WORKER = "STROBE_WORKER"
"""Set in the environment of workers and of what they start: an import there is not tried out elsewhere first."""
SUPPORTED = sys.platform.startswith("linux")
"""Workers need memfd, prctl and /proc; elsewhere analyzers run in this process, and the report says so."""


@dataclass(frozen=True)
class Isolation:
    """How one analysis treats analyzers: `mode` says which run isolated; a call may take so many seconds and bytes, and not touch the workspace."""

    mode: str = "third-party"
    deadline: float = DEADLINE
    memory: int = 0
    workspace: Path = Path()


def isolation(mode: str, deadline: float | None, memory: str | int | None, workspace: Path) -> Isolation:
    """From what a user gave; the rest from `$STROBE_DEADLINE` and `$STROBE_MEMORY`, or it is 10 minutes and half of the machine's memory."""
    if mode not in MODES:
        raise UsageError(f"isolate={mode!r}{did_you_mean(mode, MODES)}")
    seconds = deadline or _seconds("STROBE_DEADLINE", DEADLINE)
    if seconds <= 0:
        raise UsageError(f"a deadline of {seconds:g} seconds; give a number above 0 with --deadline")
    return Isolation(mode, seconds, bytes_of(memory or os.environ.get("STROBE_MEMORY") or half_of_memory()), workspace.resolve())


def not_isolated(registry: Registry, recipes: Mapping[str, Recipe], limits: Isolation) -> list[str]:
    """Why analyzers that were to run isolated do not."""
    if limits.mode == "none":
        return []
    strangers = [n for n in recipes if registry.get("analyzer", n).package != "strobe"]
    if not SUPPORTED:
        return [f"{n} runs in this process: isolation needs Linux; --isolate none says that this is meant" for n in strangers]
    session = [n for n, r in recipes.items() if registry.get("analyzer", n).entry is None and not r.file]
    return [f"{n} was defined in this session and runs in this process" for n in session] if limits.mode == "all" else []


def importing() -> float:
    """Seconds that the first import of a package may take: `$STROBE_IMPORT_DEADLINE`, else 30."""
    return _seconds("STROBE_IMPORT_DEADLINE", IMPORTING)


def bytes_of(given: str | int) -> int:
    """`"4GB"`, `"512 MB"` or a number of bytes."""
    if isinstance(given, int):
        return given
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?b)?\s*", given.lower())
    if match is None or not float(match[1]):
        raise UsageError(f"memory {given!r}: write it as 512MB or 4GB")
    return int(float(match[1]) * UNITS[match[2] if match[2] in UNITS else ""])


def half_of_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _seconds(variable: str, default: float) -> float:
    text = os.environ.get(variable) or default
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"${variable} is {text!r}; give seconds") from None
