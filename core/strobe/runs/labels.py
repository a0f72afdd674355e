"""What people say about runs (label, tags, note, archived or not), and the deletion of runs.

Kept beside run.json in `runs/<run>/label.json`: none of it is part of a run's identity, and a run without the file has said nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ..checkpoints import write_atomically
from ..errors import StrobeError, UsageError

if TYPE_CHECKING:
    from ..workspace import Workspace
    from .run import Run

FILE = "label.json"


class Label(BaseModel):
    """What label.json holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    label: str = Field("", max_length=200, description="a name for people, shown beside the run's own")
    tags: tuple[str, ...] = Field((), description="words to find runs by")
    note: str = Field("", description="whatever is worth remembering")
    archived: bool = Field(False, description="left out of listings")

    @field_validator("label", "note")
    @classmethod
    def _trimmed(cls, text: str) -> str:
        return text.strip()

    @field_validator("tags")
    @classmethod
    def _words(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        """Sorted, each once. No commas: they separate tags wherever tags are typed."""
        words = {tag.strip() for tag in tags} - {""}
        if odd := sorted(tag for tag in words if "," in tag or "\n" in tag):
            raise ValueError(f"tag {odd[0]!r}: a tag has no comma and is on one line")
        return tuple(sorted(words))


def label_of(run: Run) -> Label:
    """What has been said about a run. Raises `StrobeError` naming a file that cannot be read."""
    file = run.folder / FILE
    try:
        return Label.model_validate_json(file.read_text("utf-8"))
    except FileNotFoundError:
        return Label()
    except (OSError, ValueError) as e:
        raise StrobeError(f"{file} cannot be read ({_problem(e)}); mend or delete it: it holds only label, tags, note, archived") from e


def relabel(run: Run, **changes: Any) -> Label:
    """Change some of what is said about a run. Raises `UsageError` where a value is wrong."""
    try:
        label = Label(**{**label_of(run).model_dump(), **changes})
    except ValidationError as e:
        raise UsageError(f"run {run.name}: {_problem(e)}") from e
    write_atomically(run.folder / FILE, (label.model_dump_json(indent=1) + "\n").encode())
    return label


def unarchived(runs: Sequence[Run]) -> list[Run]:
    """Runs without the archived ones; one whose label cannot be read stays."""
    return [run for run in runs if not _archived(run)]


def _archived(run: Run) -> bool:
    try:
        return label_of(run).archived
    except StrobeError:
        return False


def _problem(e: Exception) -> str:
    if not isinstance(e, ValidationError):
        return str(e)
    first = e.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}"


# --- deletion --------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """Something that goes with a run: what it is, where it lies, and how much of it there is."""

    what: str
    path: Path
    files: int
    bytes: int


def footprint(workspace: Workspace, run: Run) -> list[Part]:
    """Everything that `delete` takes away, largest first: the run's folder by its parts, and its results by analyzer."""
    inside = [_part(entry.name, entry) for entry in sorted(run.folder.iterdir()) if entry.is_dir()]
    files = [f for f in run.folder.iterdir() if f.is_file()]
    rest = Part("run.json, split, label", run.folder, len(files), sum(f.stat().st_size for f in files))
    results = [_part(f"results of {folder.parent.name.lstrip('_')}", folder) for folder in _results(workspace, run)]
    return sorted([*inside, rest, *results], key=lambda part: -part.bytes)


def _part(what: str, folder: Path) -> Part:
    sizes = [f.stat().st_size for f in folder.rglob("*") if f.is_file()]
    return Part(what, folder, len(sizes), sum(sizes))


def _results(workspace: Workspace, run: Run) -> Iterator[Path]:
    yield from (f for f in sorted(workspace.root.glob(f"results/*/{run.name}")) if f.is_dir())


def delete(workspace: Workspace, run: Run) -> None:
    """Take a run away, with its results. Raises `StrobeError` while a job or another process works on it.

    The run vanishes in one rename, so that no reader meets half of it; branches keep their own copies of what they share with it.
    """
    from ..training.trainer import held

    refuse_busy(workspace, run)
    with held(run):
        doomed = run.folder.with_name(f".deleted-{run.name}-{os.getpid()}")
        run.folder.rename(doomed)
        for folder in _results(workspace, run):
            shutil.rmtree(folder)
        shutil.rmtree(doomed)


def refuse_busy(workspace: Workspace, run: Run) -> None:
    """Raise `UsageError` when a job that has not ended concerns a run."""
    from ..jobs.queue import JobStore

    for job in JobStore(workspace.root).all(("queued", "running")):
        if run.name == job.run or run.name in (job.request.get("runs") or ()):
            raise UsageError(f"run {run.name}: job {job.id} ({job.title}) is {job.state}; `strobe jobs cancel {job.id}`, or wait for it")
