"""Whether an archive is a bundle that may be unpacked: looked at before anything of it is written."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from ..errors import StrobeError
from .manifest import MANIFEST, README, File, Manifest, unit_of

MOST_MANIFEST = 64 * 2**20
MOST_GROWTH = 100
"""Times the bundle's own size that it may unpack to: 1.1 is usual, a bomb has thousands."""
SMALL = 64 * 2**20
"""Bytes that any bundle may unpack to."""


class BundleError(StrobeError):
    """A bundle that cannot be trusted or placed: nothing of it was unpacked."""


def manifest_of(archive: zipfile.ZipFile, path: Path) -> Manifest:
    """The manifest, once every entry of the archive was found to be a sound file of it. Raises `BundleError` naming the entry."""
    entries = _entries(archive, path)
    if MANIFEST not in entries:
        raise BundleError(f"{path.name} is no bundle: it has no {MANIFEST}; `strobe bundle RUN -o FILE.strobe.zip` makes one")
    if entries[MANIFEST].file_size > MOST_MANIFEST:
        raise BundleError(f"{path.name}: its {MANIFEST} has {entries[MANIFEST].file_size:,} bytes, more than any bundle needs")
    try:
        manifest = Manifest.model_validate_json(archive.read(MANIFEST))
    except (ValidationError, zipfile.BadZipFile, OSError) as e:
        raise BundleError(f"{path.name}: its {MANIFEST} cannot be read ({str(e).splitlines()[0]}); ask for the file again") from e
    _agree(manifest, entries, path)
    return manifest


def _entries(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    entries: dict[str, zipfile.ZipInfo] = {}
    seen: set[str] = set()
    for entry in archive.infolist():
        name = entry.orig_filename  # what is written there: zipfile would tidy it
        if problem := _odd(entry, name):
            raise BundleError(f"{path.name}: {name!r} {problem}; nothing was unpacked")
        if name.casefold() in seen:
            raise BundleError(f"{path.name}: {name!r} is in it twice; nothing was unpacked")
        seen.add(name.casefold())
        entries[name] = entry
    _bounded(entries, path)
    return entries


def _odd(entry: zipfile.ZipInfo, name: str) -> str:
    """What is wrong with an entry, '' when nothing is."""
    if name.startswith(("/", "\\")) or name[1:2] == ":":
        return "is an absolute path"
    if "\\" in name or "\0" in name or ".." in name.split("/"):
        return "climbs out of the bundle"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "is a link" if kind == stat.S_IFLNK else "is no plain file"
    if entry.flag_bits & 1:
        return "is encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"is compressed in a way that no bundle is (method {entry.compress_type})"
    if name not in (MANIFEST, README) and unit_of(name) is None:
        return "is nothing that belongs into a workspace: runs, results (Parquet) and reports (YAML) do"
    return ""


def _bounded(entries: Mapping[str, zipfile.ZipInfo], path: Path) -> None:
    """No bomb: entries do not share their bytes, and what they unpack to is in proportion to the file."""
    size = path.stat().st_size
    packed, unpacked = sum(e.compress_size for e in entries.values()), sum(e.file_size for e in entries.values())
    if packed > size:
        raise BundleError(f"{path.name} has {size:,} bytes and claims to hold {packed:,} packed ones; nothing was unpacked")
    if unpacked > max(SMALL, MOST_GROWTH * size):
        raise BundleError(f"{path.name} would unpack from {size:,} to {unpacked:,} bytes: no bundle does that; nothing was unpacked")


def _agree(manifest: Manifest, entries: Mapping[str, zipfile.ZipInfo], path: Path) -> None:
    """The manifest lists what is there, once each, with its size, and nothing else."""
    listed: dict[str, File] = {}
    for file in manifest.files:
        if file.path in listed or unit_of(file.path) is None:
            raise BundleError(f"{path.name}: its {MANIFEST} lists {file.path!r}, which is {'there twice' if file.path in listed else 'no path'}")
        listed[file.path] = file
    if odd := sorted(set(entries) - set(listed) - {MANIFEST, README}):
        raise BundleError(f"{path.name}: {odd[0]!r} is not listed in its {MANIFEST}; nothing was unpacked")
    for name, file in listed.items():
        if name not in entries:
            raise BundleError(f"{path.name}: {name!r} is missing; ask for the file again")
        if entries[name].file_size != file.bytes:
            raise BundleError(f"{path.name}: {name!r} has {entries[name].file_size:,} bytes, and {file.bytes:,} were bundled; nothing was unpacked")
