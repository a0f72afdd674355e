"""Bookmarks: named, noted places of a run, kept beside its checkpoints in `runs/<run>/bookmarks.json`."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..checkpoints import write_atomically
from ..errors import UsageError
from ..runs.run import Run

_writing = threading.Lock()  # two tabs of one app may keep a place at the same moment


class Bookmark(BaseModel):
    """A cursor with a name: `{"name": "the turn", "note": "test falls", "cursor": {"step": 5000, "neuron": 12}}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=80)
    note: str = Field("", max_length=500)
    cursor: Mapping[str, int] = Field(description="coordinates; `step` is one of them")


def bookmarks(run: Run) -> list[Bookmark]:
    """The bookmarks of a run, by step. Raises `UsageError` for a file that is none."""
    path = _path(run)
    if not path.is_file():
        return []
    try:
        found = [Bookmark.model_validate(entry) for entry in json.loads(path.read_text("utf-8"))]
    except (ValueError, TypeError) as e:
        raise UsageError(f"{path}: no list of bookmarks: {str(e).splitlines()[0]}; mend it or move it away") from e
    return sorted(found, key=lambda b: (b.cursor.get("step", 0), b.name))


def keep(run: Run, bookmark: Bookmark | Mapping[str, Any]) -> Bookmark:
    """Add a bookmark, in the place of one of the same name. Raises `UsageError` for one that is not valid."""
    try:
        kept = bookmark if isinstance(bookmark, Bookmark) else Bookmark.model_validate(bookmark)
    except ValidationError as e:
        error = e.errors()[0]
        raise UsageError(f"bookmark: {'.'.join(map(str, error['loc']))}: {error['msg']}") from e
    with _writing:
        _write(run, [b for b in bookmarks(run) if b.name != kept.name] + [kept])
    return kept


def remove(run: Run, name: str) -> None:
    """Take a bookmark away; nothing happens when there is none of that name."""
    with _writing:
        _write(run, [b for b in bookmarks(run) if b.name != name])


def _path(run: Run) -> Path:
    return run.folder / "bookmarks.json"


def _write(run: Run, entries: list[Bookmark]) -> None:
    text = json.dumps([b.model_dump(mode="json") for b in entries], indent=1, ensure_ascii=False)
    write_atomically(_path(run), text.encode())
