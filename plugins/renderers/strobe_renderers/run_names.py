"""Short names for runs that are shown together: what tells them apart."""

from __future__ import annotations

import re
from collections.abc import Mapping

from strobe import Frame

ROOM = 13
"""Characters of a direct label."""
NEXT = re.compile(r", (?=\w+ )")


def run_names(frame: Frame, room: int = ROOM) -> dict[str, str]:
    """Run -> its label, or the parameters in which it differs (`p 113, seed 3`), or its own name; each cut to `room` and unlike the others."""
    whole = _whole(frame)
    for cut in (_end, _start, _middle):
        short = {run: cut(name, room) for run, name in whole.items()}
        if len(set(short.values())) == len(set(whole.values())):
            return short
    return {run: f"{i + 1} {_end(name, room - 3)}" for i, (run, name) in enumerate(whole.items())}


def _whole(frame: Frame) -> Mapping[str, str]:
    labels = {run: str(frame.about.get(run, {}).get("label") or "") for run in frame.runs}
    told = {run: NEXT.split(str(frame.about.get(run, {}).get("varying") or "").replace("=", " ")) for run in frame.runs}
    fewest = ({run: ", ".join(parts[:n]) for run, parts in told.items()} for n in range(1, 1 + max(map(len, told.values()), default=0)))
    for names in (labels, *fewest):
        if all(names.values()) and len(set(names.values())) == len(names) and max(map(len, names.values()), default=0) <= 2 * ROOM:
            return names
    return {run: run for run in frame.runs}


def _end(name: str, room: int) -> str:
    return name if len(name) <= room else f"{name[: room - 1]}…"


def _start(name: str, room: int) -> str:
    return name if len(name) <= room else f"…{name[1 - room :]}"


def _middle(name: str, room: int) -> str:
    half = (room - 1) // 2
    return name if len(name) <= room else f"{name[:half]}…{name[-half:]}"
