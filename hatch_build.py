"""Hatchling metadata hook: `entrypoints.toml` is the only place where entry points are declared."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")

MODULE = re.compile(r"[A-Za-z_][\w.]*")
PYTEST = "pytest11."
"""pytest loads modules, everyone else an object in one."""


def flatten(table: dict[str, Any], prefix: str = "") -> dict[str, dict[str, str]]:
    """`[strobe.analyzers.weights]` in TOML becomes the entry-point group `strobe.analyzers.weights`."""
    groups: dict[str, dict[str, str]] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            groups |= flatten(value, f"{prefix}{key}.")
        elif isinstance(value, str) and prefix and (MODULE if prefix == PYTEST else TARGET).fullmatch(value):
            groups.setdefault(prefix[:-1], {})[key] = value
        else:
            raise ValueError(f'entrypoints.toml: [{prefix[:-1]}] {key} = {value!r} is not "module:object"')
    return groups


class EntryPoints(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        groups = flatten(tomllib.loads(Path(self.root, "entrypoints.toml").read_text("utf-8")))
        metadata["scripts"] = groups.pop("console_scripts", {})
        metadata["entry-points"] = groups
