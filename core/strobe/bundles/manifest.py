"""What a bundle says about itself: every file with its size and digest, and which paths a bundle may hold at all."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ..version import __version__

MANIFEST = "bundle.json"
README = "README.md"
_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
PLACES = (
    re.compile(rf"(?P<unit>runs/{_NAME})(/{_NAME}){{1,3}}\.(json|parquet|safetensors)"),
    re.compile(rf"(?P<unit>results(/{_NAME}){{4}})/{_NAME}\.parquet"),
    re.compile(rf"(?P<unit>reports/{_NAME}\.yaml)"),
)
"""What a workspace has, and so what a bundle may bring: no code, no links, no hidden files, no folder above."""


class File(BaseModel):
    """One file of a bundle."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    modified: int = Field(0, ge=0, description="nanoseconds since 1970: a run's manifest knows its checkpoints by it")


class BundledRun(BaseModel):
    """What a reader wants to know of a run before it is unpacked."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    family: str
    checkpoints: int
    versions: dict[str, str] = {}


class Manifest(BaseModel):
    """What bundle.json holds."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: Literal[1] = 1
    strobe_version: str = __version__
    runs: tuple[BundledRun, ...]
    without: tuple[str, ...] = ()
    files: tuple[File, ...]


def unit_of(path: str) -> str | None:
    """The folder or file that is placed at once with this path: a run, a result, a report. None for a path that no bundle may hold."""
    found = next((m for place in PLACES if (m := place.fullmatch(path))), None)
    return found["unit"] if found and ".." not in PurePosixPath(path).parts else None
