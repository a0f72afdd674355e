"""Short names for runs that are shown together: what tells them apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import combinations

from strobe import Frame

from .shortened import without_end, without_middle, without_start

ROOM = 13
"""Characters of a direct label."""
NEXT = re.compile(r", (?=\w+=)")


def run_names(frame: Frame, room: int = ROOM) -> dict[str, str]:
    """Run -> its label, or the parameters in which it differs (`p 113, seed 3`), or its own name; each cut to `room` and unlike the others."""
    whole = _whole(frame)
    for cut in (without_end, without_start, without_middle):
        short = {run: cut(name, room) for run, name in whole.items()}
        if len(set(short.values())) == len(set(whole.values())):
            return short
    return {run: f"{i + 1} {without_end(name, room - 3)}" for i, (run, name) in enumerate(whole.items())}


def _whole(frame: Frame) -> Mapping[str, str]:
    labels = {run: str(frame.about.get(run, {}).get("label") or "") for run in frame.runs}
    told = told_apart({run: str(frame.about.get(run, {}).get("varying") or "") for run in frame.runs})
    for names in (labels, {run: name.replace("=", " ") for run, name in told.items()}):
        if all(names.values()) and len(set(names.values())) == len(names) and max(map(len, names.values()), default=0) <= 2 * ROOM:
            return names
    return {run: run for run in frame.runs}


def told_apart(varying: Mapping[str, str]) -> dict[str, str]:
    """Run -> the fewest of the parameters in which the runs differ (`p=7, seed=1, lr=0.1`) that tell all of them apart; all where two do not."""
    known = {run: dict(part.partition("=")[::2] for part in NEXT.split(said) if part) for run, said in varying.items()}
    names = [name for name in next(iter(known.values()), {}) if all(own.get(name, "None") != "None" for own in known.values())]
    for few in (*combinations(names, 1), *combinations(names, 2)):
        told = {run: ", ".join(f"{name}={own[name]}" for name in few) for run, own in known.items()}
        if len(set(told.values())) == len(told):
            return told
    return dict(varying)
