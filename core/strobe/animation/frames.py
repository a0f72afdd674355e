"""The folder of an animation in the making: what lies where, and what each frame shows.

`plan.json`: what all frames share. `drawing-00000.json`: specifications and rows of each panel; every later one holds what differs from the first.
`still.json`: panels taken apart. `page.png`, `ground.png`: what stays on the page, all of it and what lies below everything that moves.
`frame-00000.png`: what a frame shows besides.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..checkpoints import write_atomically

PLAN, STILL, PAGE, GROUND = "plan.json", "still.json", "page.png", "ground.png"
Panel = Mapping[str, Any]
"""`spec`, `datasets` by name, `problem`."""


def drawing_file(folder: Path, i: int) -> Path:
    return folder / f"drawing-{i:05d}.json"


def frame_file(folder: Path, i: int) -> Path:
    return folder / f"frame-{i:05d}.png"


def write_json(path: Path, content: Any) -> None:
    write_atomically(path, json.dumps(content, separators=(",", ":")).encode())


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
