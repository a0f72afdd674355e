"""The pieces of work that a film is made of, done by this process and by some of their own, from files alone: a killed one costs the piece it was at.
(A forked process hangs in vl-convert.)

A process reads pieces from its standard input and answers with them; it imports neither torch nor plugins.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from queue import Empty, SimpleQueue

from ..errors import StrobeError
from .frames import GROUND, PAGE, apart_file, frame_file, over_file
from .painter import Painter

QUICK, APART, STARTING = 0.03, 0.25, 1.0
"""Seconds: a panel in a frame, a panel taken apart, and the start of a process."""
Piece = tuple[str, int]
"""`apart`, `over` and a panel, `ground` and `page`, or `frame` and its number."""
NAMES = {"apart": "panel", "over": "panel", "ground": "page", "page": "page", "frame": "frame"}
Tick = Callable[[int], None]


class Hand:
    """Who does pieces of a folder, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def painter(self) -> Painter:
        return Painter.of(self.folder)

    def do(self, kind: str, number: int) -> None:
        painter, back = self.painter, self.painter.backdrop
        if kind in ("ground", "page"):
            (back.draw_ground if kind == "ground" else back.draw_page)()
        else:
            {"apart": back.apart, "over": back.draw_over, "frame": painter.paint}[kind](number)


def processes_for(frames: int, panels: int) -> int:
    """How many processes are worth it beside this one: one for each other core, none where starting them takes longer than they save."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores - 1 if panels * (frames * QUICK + APART) > STARTING else 0


class Crew:
    """Processes that do pieces of one folder, started before there is anything to do; `alone`: this process does not take part.

    A process that has ended is missed when it was at a piece: `StrobeError`.
    """

    def __init__(self, folder: Path, processes: int, alone: bool = False) -> None:
        self.folder, self.takes_part = folder, not (alone and processes)
        self._todo: SimpleQueue[Piece | None] = SimpleQueue()
        self._answers: SimpleQueue[Piece | str] = SimpleQueue()
        self._workers = [_start(folder) for _ in range(processes)]
        for worker in self._workers:
            threading.Thread(target=_converse, args=(worker, self._todo, self._answers), daemon=True).start()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.kill()
            worker.wait()
            self._todo.put(None)
            for pipe in (worker.stdin, worker.stdout, worker.stderr):
                with contextlib.suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]

    @cached_property
    def _hand(self) -> Hand:
        return Hand(self.folder)

    def paint_all(self, panels: int, frames: Iterable[int], tick: Tick) -> None:
        """Make these frames, and before that what stays of all; `tick` is called with each frame that is done."""
        wanted = list(frames)
        if not wanted:
            return
        for stage in (self._lacking_apart(panels), self._lacking_ground(panels), self._lacking_page()):
            self.do(stage, lambda i: None)
        self.do([("frame", i) for i in wanted if not frame_file(self.folder, i).is_file()], tick)

    def _lacking_apart(self, panels: int) -> list[Piece]:
        return [("apart", at) for at in range(panels) if not apart_file(self.folder, at).is_file()]

    def _lacking_ground(self, panels: int) -> list[Piece]:
        ground = [] if (self.folder / GROUND).is_file() else [("ground", 0)]
        return [*ground, *(("over", at) for at in range(panels) if not over_file(self.folder, at).is_file())]

    def _lacking_page(self) -> list[Piece]:
        return [] if (self.folder / PAGE).is_file() else [("page", 0)]

    def do(self, pieces: Sequence[Piece], tick: Tick) -> None:
        """Have pieces done that need not wait for each other. `tick` runs in this thread."""
        for piece in pieces:
            self._todo.put(piece)
        left = len(pieces)
        while left:
            answer: Piece | str = (self._own_piece() if self.takes_part else None) or self._answers.get()
            if isinstance(answer, str):
                raise StrobeError(answer)
            left -= 1
            tick(answer[1])

    def _own_piece(self) -> Piece | None:
        try:
            piece = self._todo.get_nowait()
        except Empty:
            return None
        assert piece is not None
        self._hand.do(*piece)
        return piece


def _start(folder: Path) -> subprocess.Popen[str]:
    call = [sys.executable, "-P", "-m", "strobe.animation.painters", str(folder)]
    return subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _converse(worker: subprocess.Popen[str], todo: SimpleQueue[Piece | None], answers: SimpleQueue[Piece | str]) -> None:
    """Hand out one piece at a time, once the process is there. It has a thread of its own that waits for it."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    with contextlib.suppress(ValueError):  # its pipes are closed when the crew goes home
        if not worker.stdout.readline():
            answers.put(f"a process that draws frames ended: {_last_words(worker)}; ask again, and it goes on from here")
            return
        while (piece := todo.get()) is not None:
            with contextlib.suppress(OSError):
                worker.stdin.write(f"{piece[0]} {piece[1]}\n")
                worker.stdin.flush()
            if not worker.stdout.readline():
                answers.put(f"the process that draws {NAMES[piece[0]]} {piece[1]} ended: {_last_words(worker)}; ask again, and it goes on from here")
                return
            answers.put(piece)


def _last_words(worker: subprocess.Popen[str]) -> str:
    assert worker.stderr is not None
    said = worker.stderr.read().strip().splitlines()
    return said[-1] if said else "killed, or out of memory"


def serve(folder: Path) -> None:
    """Do what is asked for, until nobody asks."""
    _warm()
    hand = Hand(folder)
    print("ready", flush=True)
    for line in sys.stdin:
        kind, number = line.split()
        hand.do(kind, int(number))
        print(line, end="", flush=True)


def _warm() -> None:
    """What the first chart would wait for."""
    import vl_convert
    from PIL import Image, PngImagePlugin  # noqa: F401

    vl_convert.vegalite_to_svg({"data": {"values": [{"x": 1}]}, "mark": "bar", "encoding": {"x": {"field": "x", "type": "quantitative"}}})


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
