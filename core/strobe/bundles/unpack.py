"""A bundle placed into a workspace: verified whole in a temporary folder, then renamed into place. Nothing is overwritten."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ..checkpoints import digest
from ..errors import UsageError
from ..runs.run import RunRecord
from .entries import BundleError, manifest_of
from .manifest import File, Manifest, unit_of

if TYPE_CHECKING:
    from ..workspace import Workspace

CHUNK = 2**20
SAID = ("label.json", "bookmarks.json")
"""What people say about a run: no part of what it is. Yours is kept."""
Tick = Callable[[int, int], None]


@dataclass(frozen=True)
class Placed:
    """What became of a bundle: `placed` and `skipped` are paths of runs, results and reports; `kept` were there with other content that stays."""

    runs: tuple[str, ...]
    placed: tuple[str, ...]
    skipped: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True)
class Move:
    """One thing to put into the workspace: a folder or file that is not there yet."""

    source: Path
    target: Path
    unit: str


def unpack(workspace: Workspace, file: str | Path, progress: Tick | None = None) -> Placed:
    """Verify a bundle and place it. Everything is checked before the first rename; a run appears last, when its results are there.

    What is there with the same content is skipped. Raises `BundleError` naming the entry for a bundle that was changed, is broken or is no bundle,
    and for runs, results and reports that are there with other content.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise UsageError(f"{path} is {'a folder' if path.is_dir() else 'not there'}; give a bundle, the file that `strobe bundle` wrote")
    with _beside(workspace.root) as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                manifest = manifest_of(archive, path)
                _room(workspace.root, manifest, path)
                _extract(archive, manifest, Path(folder), path, progress)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, zlib.error) as e:
            raise BundleError(f"{path.name} cannot be read as a zip file ({e}): it is damaged or no bundle; ask for it again") from e
        _sound(manifest, Path(folder), path)
        moves, skipped, kept = _moves(workspace.root, manifest, Path(folder), path)
        for move in moves:
            _place(move)
    runs = tuple(run.name for run in manifest.runs)
    return Placed(runs, tuple(dict.fromkeys(m.unit for m in moves)), tuple(skipped), tuple(kept))


def _beside(root: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder to unpack into, where a rename suffices to place what is in it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=".unbundle-", dir=root)
    except OSError as e:
        raise UsageError(f"nothing can be written to {root}: {e.strerror or e}; give another folder with --workspace") from e


def _room(root: Path, manifest: Manifest, path: Path) -> None:
    needed, free = sum(f.bytes for f in manifest.files), shutil.disk_usage(root).free
    if needed > free:
        raise BundleError(f"{path.name} needs {needed:,} bytes, and {root} has {free:,} left; free some space and unbundle again")


def _extract(archive: zipfile.ZipFile, manifest: Manifest, folder: Path, path: Path, progress: Tick | None) -> None:
    for i, file in enumerate(manifest.files):
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if _copy(archive, file, target) != file.sha256:
            raise BundleError(
                f"{path.name}: {file.path!r} is not what was bundled (its digest differs); nothing was unpacked, ask for the file again"
            )
        os.utime(target, ns=(file.modified, file.modified))
        if progress is not None:
            progress(i + 1, len(manifest.files))


def _copy(archive: zipfile.ZipFile, file: File, target: Path) -> str:
    """Write one entry, never more bytes than were announced; returns their digest, '' when there are others."""
    seen, left = hashlib.sha256(), file.bytes
    try:
        with archive.open(file.path) as source, target.open("xb") as sink:
            while chunk := source.read(CHUNK):
                left -= len(chunk)
                if left < 0:
                    return ""
                seen.update(chunk)
                sink.write(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError):  # its checksum, or its packing
        return ""
    return seen.hexdigest()


def _sound(manifest: Manifest, folder: Path, path: Path) -> None:
    """Every run that is announced is there, under its own name."""
    for run in manifest.runs:
        file = folder / "runs" / run.name / "run.json"
        try:
            record = RunRecord.model_validate_json(file.read_text("utf-8"))
        except (OSError, ValidationError, UnicodeDecodeError) as e:
            raise BundleError(f"{path.name}: run {run.name!r} has no run.json that this version of Strobe can read ({str(e).splitlines()[0]})") from e
        if record.name != run.name:
            raise BundleError(f"{path.name}: runs/{run.name} calls itself {record.name!r}; nothing was unpacked")


# --- what goes where ---------------------------------------------------------------------------------------------------------------------------


def _moves(root: Path, manifest: Manifest, folder: Path, path: Path) -> tuple[list[Move], list[str], list[str]]:
    """What to place, runs last; what is there already; what is there, is other, and stays. Raises `BundleError` for anything else that is other."""
    moves, skipped, kept, clashes = list[Move](), list[str](), list[str](), list[str]()
    for unit, files in sorted(_units(manifest.files).items(), key=lambda item: (item[0].startswith("runs/"), item[0])):
        target = root / unit
        if not os.path.lexists(target):
            moves.append(Move(folder / unit, target, unit))
            continue
        other, missing = _compared(root, unit, files)
        if other and unit.split("/")[2:3] == ["_runs"]:
            kept.append(unit)
        elif other:
            clashes.append(other)
        elif missing:
            moves += [Move(folder / f.path, root / f.path, unit) for f in missing]
        else:
            skipped.append(unit)
    if clashes:
        more = f", and {len(clashes) - 1} more" if len(clashes) > 1 else ""
        raise BundleError(
            f"{path.name}: {clashes[0]} is in {root} with other content{more}: nothing is overwritten, nothing was unpacked; "
            "give another folder with --workspace, or delete what is there (`strobe delete RUN`)"
        )
    return moves, skipped, kept


def _units(files: Iterable[File]) -> Mapping[str, list[File]]:
    units: dict[str, list[File]] = {}
    for file in files:
        units.setdefault(unit_of(file.path) or "", []).append(file)
    return units


def _compared(root: Path, unit: str, files: Sequence[File]) -> tuple[str, list[File]]:
    """The first file that is there with other content ('' when none is), and those that are not there.

    A run may lack files: one that came without checkpoints gets them from a bundle that has them. A result is the same or it is not.
    """
    missing = [f for f in files if not os.path.lexists(root / f.path)]
    here = {f.path for f in files} - {f.path for f in missing}
    other = next((f.path for f in files if f.path in here and Path(f.path).name not in SAID and not _same(root / f.path, f)), "")
    if not unit.startswith("runs/") and (missing or _more(root / unit, files)):
        other = other or unit
    return other, [f for f in missing if Path(f.path).name not in SAID]


def _more(target: Path, files: Sequence[File]) -> bool:
    """Whether a result has parts that the bundle does not know."""
    return target.is_dir() and {f.name for f in target.glob("*.parquet")} > {Path(f.path).name for f in files}


def _same(target: Path, file: File) -> bool:
    """Whether what is there is what the bundle has; a link is not."""
    return not target.is_symlink() and target.is_file() and target.stat().st_size == file.bytes and digest(target) == file.sha256


def _place(move: Move) -> None:
    """Rename into place; never over something that came there meanwhile."""
    move.target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if move.source.is_dir():
            os.rename(move.source, move.target)
        else:
            os.link(move.source, move.target)
    except OSError as e:
        raise BundleError(f"{move.target} cannot be placed: {e.strerror or e}; unbundle again, what is there already is skipped") from e
