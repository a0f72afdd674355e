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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

from ..errors import StrobeError
from .painter import Painter

QUICK, APART, STARTING = 0.03, 0.25, 1.0
"""Seconds: a panel in a frame, a panel taken apart, and the start of a process."""
Piece = tuple[str, int, int]
"""`apart`, `room`, `over` and a panel, `ground` and `page`, or `frame` and its number; and the version of the plan."""
NAMES = {"apart": "panel", "room": "panel", "over": "panel", "ground": "page", "page": "page", "frame": "frame"}
Tick = Callable[[Piece], None]


class Hand:
    """Who does pieces of a folder, one after the other. `version`: of the plan, which may turn out to be another one."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.version = folder, -1

    def do(self, kind: str, number: int, version: int) -> None:
        if version != self.version:
            self.painter, self.version = Painter.of(self.folder), version
        back = self.painter.backdrop
        if kind in ("ground", "page"):
            (back.draw_ground if kind == "ground" else back.draw_page)()
        else:
            {"apart": back.apart, "room": back.room, "over": back.draw_over, "frame": self.painter.paint}[kind](number)


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
        self._hand, self._out = Hand(folder), 0
        self._todo: SimpleQueue[Piece | None] = SimpleQueue()
        self._answers: SimpleQueue[Piece | str] = SimpleQueue()
        self._workers = [_start(folder) for _ in range(processes)]
        for worker in self._workers:
            threading.Thread(target=_converse, args=(worker, self._todo, self._answers), daemon=True).start()

    def __bool__(self) -> bool:
        """Whether anybody helps."""
        return bool(self._workers)

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

    def offer(self, pieces: Sequence[Piece]) -> None:
        """Put pieces there that need not wait for each other: processes begin with them."""
        self._out += len(pieces)
        for piece in pieces:
            self._todo.put(piece)

    def done(self) -> Iterator[Piece]:
        """What was done in the meantime, without waiting."""
        with contextlib.suppress(Empty):
            while True:
                yield self._taken(self._answers.get_nowait())

    @property
    def idle(self) -> bool:
        return self._out == 0

    def withdraw(self) -> None:
        """Take back what nobody has begun, and wait for the rest."""
        with contextlib.suppress(Empty):
            while True:
                self._todo.get_nowait()
                self._out -= 1
        while self._out:
            self._taken(self._answers.get())

    def wait(self, tick: Tick) -> None:
        """Take part until all is done. `tick` runs in this thread."""
        while self._out:
            tick(self._taken((self._own_piece() if self.takes_part else None) or self._answers.get()))

    def _taken(self, answer: Piece | str) -> Piece:
        if isinstance(answer, str):
            raise StrobeError(answer)
        self._out -= 1
        return answer

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
                worker.stdin.write(" ".join(map(str, piece)) + "\n")
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
        kind, number, version = line.split()
        hand.do(kind, int(number), int(version))
        print(line, end="", flush=True)


def _warm() -> None:
    """What the first chart would wait for."""
    import vl_convert
    from PIL import Image, PngImagePlugin  # noqa: F401

    vl_convert.vegalite_to_svg({"data": {"values": [{"x": 1}]}, "mark": "bar", "encoding": {"x": {"field": "x", "type": "quantitative"}}})


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
