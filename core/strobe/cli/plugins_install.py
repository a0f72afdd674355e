"""plugins install, uninstall: pip in the environment that Strobe runs in, said before and shown as it is."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import UsageError
from ..registration.registry import Registry

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
REQUIREMENT = re.compile(rf"{NAME.pattern}\s*(\[[A-Za-z0-9,._ -]*\])?\s*([<>=!~][<>=!~\w.,*+ -]*)?")


def install(given: Sequence[str], root: Path, *, folders: bool, editable: bool) -> int:
    """Run `pip install`, then say which plugins came, went, or cannot be used; pip's exit status."""
    wanted = [_wanted(text, folders or editable) for text in given]
    return _pip(["install", *(["--editable"] if editable else []), *wanted], root)


def uninstall(given: Sequence[str], root: Path) -> int:
    """Run `pip uninstall`, then say which plugins went; pip's exit status. Stored results stay."""
    for name in given:
        if not NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no package's name: write it as `strobe plugins list` shows it in the column package")
        if re.sub(r"[-_.]+", "-", name).lower() == "strobe":
            raise UsageError("that is Strobe itself: `pip uninstall strobe` removes it")
    return _pip(["uninstall", "--yes", *given], root)


def _wanted(text: str, folders: bool) -> str:
    if text.startswith("-"):
        raise UsageError(f"{text!r} is an option: `strobe plugins install` passes none on to pip; run pip yourself for that")
    if "://" in text or re.search(r"(^|\s)@(\s|$)|\bgit\+", text):
        raise UsageError(f"{text!r} is an address, whose code nobody has named: run `pip install` yourself if you trust it")
    if Path(text).exists() and ("/" in text or text.startswith(".") or folders):
        if not folders:
            raise UsageError(f"{text!r} is a folder or file: say --folder (or -e) to install from it")
        return text
    if not REQUIREMENT.fullmatch(text.strip()):
        raise UsageError(f"{text!r} is no requirement: write a package and its versions, such as 'strobe-phase>=0.2'")
    return text.strip()


def _pip(arguments: Sequence[str], root: Path) -> int:
    command = [sys.executable, "-m", "pip", *arguments]
    print(f"$ {shlex.join(command)}", flush=True)
    before = _plugins(root)
    status = subprocess.run(command, check=False).returncode  # its output is the user's to read
    after = _plugins(root)
    print(f"pip ended with status {status}")
    for key in sorted(after.keys() - before.keys()):
        print(f"came: {' '.join(key)}, {after[key]}")
    for key in sorted(before.keys() - after.keys()):
        print(f"gone: {' '.join(key)}, {before[key]}")
    for key in sorted(k for k in before.keys() & after.keys() if before[k] != after[k]):
        print(f"changed: {' '.join(key)}, {before[key]} -> {after[key]}")
    if before == after and not status:
        print("no plugin came or went")
    return status


def _plugins(root: Path) -> dict[tuple[str, str], str]:
    """(kind, name) -> package, version and state."""
    return {(p.kind, p.name): f"{p.package} {p.version}: {p.state}{f' ({p.why})' if p.why else ''}" for p in Registry.discover(root).all()}
