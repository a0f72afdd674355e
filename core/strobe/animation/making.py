"""The pieces of a film in their order, handed out as soon as they can be done.

Axes hold all frames, so what stays is known when all rows are. But a few frames from all over the film mostly tell: processes that help begin with
the plan that these give, and what they have made is thrown away when a later frame says otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .frames import GROUND, PAGE, PLAN, apart_file, frame_file, over_file, read_json, room_file, write_json
from .painters import Crew, Piece

MADE = ("apart-*", "room-*", "whole-*", "over-*", GROUND, PAGE, "frame-*")
"""What follows from a plan."""
Named = tuple[str, int]
"""A piece but for its version."""


def in_order(frames: int) -> list[int]:
    """Numbers of frames in the order in which their rows are drawn: those from all over the film come first."""
    early = _early(frames)
    return [*early, *(i for i in range(frames) if i not in early)]


def _early(frames: int) -> list[int]:
    """First, last and between."""
    return sorted({0, frames // 4, frames // 2, 3 * frames // 4, frames - 1})


@dataclass
class Making:
    """A film in the making: `panels` of them in each of `frames`; `tick` is called with every frame that is done."""

    folder: Path
    panels: int
    frames: int
    crew: Crew
    tick: Callable[[], None]
    plan: Mapping[str, Any] = field(default_factory=dict)
    version: int = 0
    may_guess: bool = field(init=False)
    stage: int = field(init=False, default=0)
    offered: set[int] = field(init=False, default_factory=set)
    """Frames that were handed out."""

    def __post_init__(self) -> None:
        self.may_guess = bool(self.crew) and not (self.folder / PLAN).is_file()  # else somebody has made frames, by a plan that may well hold

    def go_on(self, plan: Callable[[], Mapping[str, Any]], drawn: Sequence[int]) -> None:
        """Let others begin with the frames that are `drawn`, as long as the plan of the first few holds. Called after each."""
        if not self.may_guess or len(drawn) < len(_early(self.frames)):
            return
        first = not self.plan
        self.may_guess = not self._settle(plan()) or first
        if self.may_guess:
            for piece in self.crew.done():
                self._count(piece)
            self._offer(drawn)

    def finish(self, plan: Mapping[str, Any]) -> None:
        """Make all that is missing."""
        self._settle(plan)
        self.crew.wait(self._count)
        while self._offer(range(self.frames)):
            self.crew.wait(self._count)

    def _settle(self, plan: Mapping[str, Any]) -> bool:
        """Whether the plan is another one than it was: what followed from that goes."""
        plan = json.loads(json.dumps(plan))
        if plan == self.plan:
            return False
        self.crew.withdraw()
        known = self.folder / PLAN
        if not known.is_file() or read_json(known) != plan:
            for file in [f for pattern in MADE for f in self.folder.glob(pattern)]:
                file.unlink()
            write_json(known, plan)
        self.plan, self.version, self.stage, self.offered = plan, self.version + 1, 0, set()
        return True

    def _offer(self, drawn: Sequence[int]) -> bool:
        """Hand out what can be done by now; whether there was anything."""
        while self.stage < len(STAGES) + 1:
            if not self.crew.idle:
                return False
            named = STAGES[self.stage](self, len(drawn) == self.frames) if self.stage < len(STAGES) else []
            if named is None:
                return False
            self.stage += 1
            self.crew.offer([(*piece, self.version) for piece in named])
            if named:
                return True
        new = [i for i in drawn if i not in self.offered and not frame_file(self.folder, i).is_file()]
        self.offered.update(new)
        self.crew.offer([("frame", i, self.version) for i in new])
        return bool(new)

    def _count(self, piece: Piece) -> None:
        if piece[0] == "frame":
            self.tick()

    # --- what must be done before the frames; None: not yet ---------------------------------------------------------------------------------------

    def _apart(self, complete: bool) -> list[Named]:
        return [("apart", at) for at in range(self.panels) if not apart_file(self.folder, at).is_file()]

    def _rooms(self, complete: bool) -> list[Named] | None:
        """Panels that are drawn whole at every frame: how large they get is known when all rows are."""
        lacking = [at for at in range(self.panels) if not room_file(self.folder, at).is_file()]
        entire = [("room", at) for at in lacking if read_json(apart_file(self.folder, at)) is None]
        return entire if complete or not entire else None

    def _behind(self, complete: bool) -> list[Named]:
        ground = [] if (self.folder / GROUND).is_file() else [("ground", 0)]
        return [*ground, *(("over", at) for at in range(self.panels) if not over_file(self.folder, at).is_file())]

    def _page(self, complete: bool) -> list[Named]:
        return [] if (self.folder / PAGE).is_file() else [("page", 0)]


STAGES: Sequence[Callable[[Making, bool], list[Named] | None]] = (Making._apart, Making._rooms, Making._behind, Making._page)
"""One after the other."""
