"""Short names for runs that are shown together: what tells them apart."""

from __future__ import annotations

from strobe import Frame

ROOM = 15
"""Characters of a direct label."""


def run_names(frame: Frame, room: int = ROOM) -> dict[str, str]:
    """Run -> its label, or the parameters in which it differs (`p 113, seed 3`), or its own name; each cut to `room` and unlike the others."""
    return {run: name if len(name) <= room else f"{name[: room - 1]}…" for run, name in _whole(frame).items()}


def _whole(frame: Frame) -> dict[str, str]:
    labels = {run: str(frame.about.get(run, {}).get("label") or "") for run in frame.runs}
    told = {run: str(frame.about.get(run, {}).get("varying") or "").replace("=", " ") for run in frame.runs}
    for names in (labels, told):
        if names and all(names.values()) and len(set(names.values())) == len(names) and max(map(len, names.values())) <= 2 * ROOM:
            return names
    return {run: run for run in frame.runs}
