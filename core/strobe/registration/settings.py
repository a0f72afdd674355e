"""Which plugins are disabled: for a user, and in a workspace."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

FILE = "plugins.json"


@dataclass(frozen=True)
class Disabled:
    """Names (`NAME` or `PACKAGE:NAME`) that are off: for the user everywhere, in the workspace, and those the workspace brings back."""

    user: frozenset[str] = frozenset()
    workspace: frozenset[str] = frozenset()
    enabled: frozenset[str] = frozenset()
    root: Path | None = None

    def why(self, package: str, name: str) -> str:
        """Why a plugin is off and how to bring it back, '' when it is on. What a workspace says comes before what its user says."""
        both = {name, f"{package}:{name}"}
        if both & self.workspace:
            return f"disabled in the workspace {self.root}; `strobe plugins enable {name} --workspace {self.root}` brings it back"
        if both & self.user and not both & self.enabled:
            return f"disabled for this user; `strobe plugins enable {name} --user` brings it back"
        return ""


def settings_file() -> Path:
    """Where a user's disabled plugins are remembered: `$STROBE_CONFIG`, else `~/.config/strobe/plugins.json`."""
    return Path(os.environ.get("STROBE_CONFIG") or Path.home() / ".config" / "strobe" / FILE)


def disabled(root: Path | None = None) -> Disabled:
    """What is disabled for the user, and in the workspace `root`."""
    here = _read(root / FILE) if root is not None else {}
    return Disabled(_names(_read(settings_file()), "disabled"), _names(here, "disabled"), _names(here, "enabled"), root)


def set_disabled(name: str, *, off: bool, root: Path | None = None) -> Path:
    """Disable or enable `NAME` or `PACKAGE:NAME`, in the workspace `root` or (None) for the user; returns the file that says so."""
    if not off:
        from ..isolation.imports import forget

        forget()
    file = settings_file() if root is None else root / FILE
    kept = _read(file)
    without = {key: {n for n in _names(kept, key) if not _same(n, name)} for key in ("disabled", "enabled")}
    if off:
        without["disabled"] |= {name}
    elif root is not None and any(_same(n, name) for n in disabled().user):
        without["enabled"] |= {name}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({key: sorted(names) for key, names in without.items() if names or key == "disabled"}))
    return file


def _same(one: str, other: str) -> bool:
    """Whether two names are of one plugin: `PACKAGE:NAME` is `NAME` too."""
    return one == other or one.partition(":")[2] == other or other.partition(":")[2] == one


def _read(file: Path) -> dict[str, list[str]]:
    return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else {}


def _names(settings: dict[str, list[str]], key: str) -> frozenset[str]:
    return frozenset(settings.get(key, ()))
