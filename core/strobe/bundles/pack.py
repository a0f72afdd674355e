"""Runs, results and reports written into one file."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StrobeError, UsageError, did_you_mean
from ..storage.outdated import is_outdated
from .manifest import MANIFEST, README, BundledRun, File, Manifest, unit_of
from .readme import readme

if TYPE_CHECKING:
    from ..runs.run import Run
    from ..workspace import Workspace

PARTS = ("checkpoints", "results", "reports")
"""What can be left out. Optimizer states go with the checkpoints."""
SUFFIX = ".zip"
CHUNK = 2**20
DAY_ONE = (1980, 1, 1, 0, 0, 0)
Tick = Callable[[int, int], None]


def pack(workspace: Workspace, runs: Sequence[str | Run], output: str | Path, without: Collection[str] = (), progress: Tick | None = None) -> Path:
    """Write a bundle; returns its path. One pass over the files, nothing held in memory.

    `without` leaves out checkpoints, results or reports. Raises `UsageError` for an unknown run or part, a folder, and a file that is no .zip.
    """
    chosen = [workspace.run(run) for run in dict.fromkeys(r if isinstance(r, str) else r.name for r in runs)]
    path = _output(output, chosen)
    for part in without:
        if part not in PARTS:
            raise UsageError(f"a bundle cannot be made without {part!r}{did_you_mean(part, PARTS)}")
    files = sorted(set(_files(workspace, chosen, without)))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(temporary, workspace, chosen, files, tuple(p for p in PARTS if p in without), progress)
        os.replace(temporary, path)
    except FileNotFoundError as e:
        raise StrobeError(f"{e.filename} went away while it was bundled: a run or an analysis is at work; bundle again when it is done") from e
    except OSError as e:
        raise UsageError(f"{path} cannot be written: {e.strerror or e}") from e
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _output(output: str | Path, runs: Sequence[Run]) -> Path:
    path = Path(output).expanduser()
    if not runs:
        raise UsageError("which runs? a bundle holds at least one; `strobe runs` lists them")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it, for example {path / f'{runs[0].name}.strobe.zip'}")
    if path.suffix != SUFFIX:
        raise UsageError(f"{path.name}: a bundle is a .zip file, for example {path.with_name(path.stem + '.strobe.zip')}")
    return path


def _files(workspace: Workspace, runs: Sequence[Run], without: Collection[str]) -> Iterator[str]:
    """Paths below the workspace. Tables of several runs come along when they are about no other run; outdated results stay behind."""
    root, names = workspace.root, {run.name for run in runs}
    for run in runs:
        for file in _below(root, root / "runs" / run.name):
            heavy = "/states/" in file or ("/checkpoints/" in file and file.endswith(".safetensors"))
            if not (heavy and "checkpoints" in without):
                yield file
    for address in () if "results" in without else workspace.store.addresses():
        concerned = address.run in names or (address.run is None and _about(workspace, address) <= names)
        if concerned and not is_outdated(workspace, address):
            yield from _below(root, address.folder(workspace.store.root))
    if "reports" not in without:
        yield from _below(root, root / "reports")


def _below(root: Path, folder: Path) -> list[str]:
    """What a bundle may hold of a folder: no temporaries, no links."""
    found = (f for f in folder.rglob("*") if f.is_file() and not f.is_symlink())
    return [path for f in found if unit_of(path := f.relative_to(root).as_posix())]


def _about(workspace: Workspace, address: object) -> set[str]:
    """The runs that a table of several runs speaks of."""
    table = workspace.store.read(address)  # type: ignore[arg-type]
    columns = [c for c in ("run", "other_run") if table is not None and c in table.column_names]
    return {name for c in columns for name in table[c].unique().to_pylist() if name is not None}  # type: ignore[index]


# --- writing -----------------------------------------------------------------------------------------------------------------------------------


def _write(path: Path, workspace: Workspace, runs: Sequence[Run], files: Sequence[str], without: tuple[str, ...], progress: Tick | None) -> None:
    told = [BundledRun(name=r.name, family=r.record.family, checkpoints=len(r.steps), versions=r.record.versions) for r in runs]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        written = []
        for i, file in enumerate(files):
            written.append(_add(archive, workspace.root, file))
            if progress is not None:
                progress(i + 1, len(files))
        manifest = Manifest(runs=tuple(told), without=without, files=tuple(written))
        archive.writestr(_entry(README), readme(workspace, manifest))
        archive.writestr(_entry(MANIFEST), manifest.model_dump_json(indent=1))


def _entry(name: str, compression: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, DAY_ONE)
    entry.compress_type, entry.external_attr = compression, 0o644 << 16
    return entry


def _add(archive: zipfile.ZipFile, root: Path, name: str) -> File:
    """One file, its digest taken while it is copied. Parquet and safetensors are stored as they are: nothing is left to press out of them."""
    entry = _entry(name, zipfile.ZIP_DEFLATED if name.endswith((".json", ".yaml")) else zipfile.ZIP_STORED)
    digest, size = hashlib.sha256(), 0
    with (root / name).open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
        modified = os.fstat(source.fileno()).st_mtime_ns
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            target.write(chunk)
    return File(path=name, bytes=size, sha256=digest.hexdigest(), modified=modified)
