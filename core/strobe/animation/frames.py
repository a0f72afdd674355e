"""The folder of an animation in the making: what lies where, and what each frame shows.

`plan.json`: what all frames share. `drawing-00000.json`: specifications and rows of each panel; every later one holds what differs from the first.
`apart-00.json`: a panel taken apart, or null; then `whole-00-00000.svg` is the panel at each frame, and `room-00.json` how large it gets.
`ground.png`: what lies below everything that moves. `over-00.png`: of a panel the layers that stay above it. `page.png`: all that stays.
`frame-00000.png`: what a frame shows besides.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import StoreError

PLAN, PAGE, GROUND = "plan.json", "page.png", "ground.png"
NAMED = re.compile("[0-9a-f]{24}")
"""What such a folder is called: by everything that its frames depend on."""
IDLE = 120.0
"""Seconds without a new file after which nobody works on it."""
Panel = Mapping[str, Any]
"""`spec`, `datasets` by name, `problem`."""


def drawing_file(folder: Path, i: int) -> Path:
    return folder / f"drawing-{i:05d}.json"


def frame_file(folder: Path, i: int) -> Path:
    return folder / f"frame-{i:05d}.png"


def apart_file(folder: Path, at: int) -> Path:
    return folder / f"apart-{at:02d}.json"


def room_file(folder: Path, at: int) -> Path:
    return folder / f"room-{at:02d}.json"


def whole_file(folder: Path, at: int, i: int) -> Path:
    return folder / f"whole-{at:02d}-{i:05d}.svg"


def over_file(folder: Path, at: int) -> Path:
    return folder / f"over-{at:02d}.png"


def put(path: Path, data: bytes) -> None:
    """Write a file that is there as a whole or not at all when the process dies. Not flushed: `cleared` finds what a power cut has left."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as e:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {e.strerror or e}; free some space and ask again, it goes on from here") from e


def left(exports: Path) -> list[Path]:
    """Folders of films that were never finished, in the folder `exports` of a workspace; not of one that somebody works on."""
    found = [folder for folder in sorted(exports.glob("*")) if NAMED.fullmatch(folder.name) and folder.is_dir()]
    return [folder for folder in found if time.time() - max((f.stat().st_mtime for f in folder.iterdir()), default=0.0) > IDLE]


def cleared(folder: Path) -> None:
    """Remove what is not sound from a folder that somebody left."""
    for file in sorted(folder.iterdir()):
        if not _sound(file):
            file.unlink()


def _sound(file: Path) -> bool:
    from PIL import Image

    try:
        if file.suffix == ".json":
            read_json(file)
        elif file.suffix == ".png":
            with Image.open(file) as image:
                image.load()
        return file.suffix != ".tmp" and (file.suffix != ".svg" or file.read_bytes().rstrip().endswith(b"</svg>"))
    except (OSError, ValueError, SyntaxError):
        return False


def write_json(path: Path, content: Any) -> None:
    put(path, json.dumps(content, separators=(",", ":")).encode())


def read_json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def apart(drawing: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, Any]:
    """What a frame shows, without what the first one shows too: a panel's specification is then None, and rows that are the same are left out."""
    return {**drawing, "panels": [_apart(panel, known) for panel, known in zip(drawing["panels"], first["panels"], strict=True)]}


def _apart(panel: Panel, known: Panel) -> Panel:
    if panel["spec"] != known["spec"] or panel["datasets"].keys() != known["datasets"].keys() or panel["problem"] != known["problem"]:
        return panel
    return {**panel, "spec": None, "datasets": {name: rows for name, rows in panel["datasets"].items() if rows != known["datasets"][name]}}


def together(drawing: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, Any]:
    """The other way round."""
    return {**drawing, "panels": [_together(panel, known) for panel, known in zip(drawing["panels"], first["panels"], strict=True)]}


def _together(panel: Panel, known: Panel) -> Panel:
    if panel["spec"] is not None:
        return panel
    return {**panel, "spec": known["spec"], "datasets": {**known["datasets"], **panel["datasets"]}}


def moving(drawings: Iterable[Mapping[str, Any]], first: Mapping[str, Any]) -> list[list[str]]:
    """Of each panel the datasets that change from frame to frame, where rows are all that changes. `drawings`: as they lie in the folder."""
    found: list[set[str]] = [set() for _ in first["panels"]]
    for drawing in drawings:
        for names, panel, known in zip(found, drawing["panels"], first["panels"], strict=True):
            if panel["datasets"].keys() <= known["datasets"].keys():
                names.update(name for name, rows in panel["datasets"].items() if panel["spec"] is None or rows != known["datasets"][name])
    return [sorted(names) for names in found]
