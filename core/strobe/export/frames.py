"""Frames of an animation as PNG files: drawn from files alone, by processes of their own, so that a killed one costs the frame it was at.

A folder holds `plan.json` (what all frames share), `drawing-00000.json` (specifications and rows of each panel) and `frame-00000.png`. A process
reads numbers of frames from its standard input and answers with them; it imports neither torch nor plugins. (A forked process hangs in vl-convert.)
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from ..checkpoints import write_atomically
from ..errors import StrobeError
from .raster import at_size, rastered, sized
from .sheet import Block, Picture, Sheet, Tile, drawn
from .sizes import Size
from .sweep import Domains

Kept = TypeVar("Kept")
PLAN = "plan.json"
TEMPLATES, PICTURES = 64, 64
"""Compiled charts and drawn ones that a process keeps: a panel that does not change is drawn once."""


def drawing_file(folder: Path, i: int) -> Path:
    return folder / f"drawing-{i:05d}.json"


def frame_file(folder: Path, i: int) -> Path:
    return folder / f"frame-{i:05d}.png"


def write_json(path: Path, content: Any) -> None:
    write_atomically(path, json.dumps(content, separators=(",", ":")).encode())


# --- one process -------------------------------------------------------------------------------------------------------------------------------


@dataclass
class Painter:
    """Draws frames of one folder. `templates`: fixed specification -> compiled Vega."""

    folder: Path
    plan: Mapping[str, Any]
    templates: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict)
    pictures: OrderedDict[str, Picture] = field(default_factory=OrderedDict)

    @classmethod
    def of(cls, folder: Path) -> Painter:
        return cls(folder, json.loads((folder / PLAN).read_bytes()))

    def paint(self, i: int) -> None:
        """Draw frame `i`, and put it into its place whole."""
        content = json.loads(drawing_file(self.folder, i).read_bytes())
        size = Size(**self.plan["size"])
        write_atomically(frame_file(self.folder, i), rastered(at_size(self.sheet(content), size), size))

    def sheet(self, content: Mapping[str, Any]) -> Picture:
        plan = self.plan
        tiles = iter([self._tile(i, panel) for i, panel in enumerate(content["panels"])])
        blocks = [Block(b["title"], "", [next(tiles) for _ in range(b["panels"])]) for b in plan["blocks"]]
        shape = {"columns": plan["columns"], "framed": plan["framed"], "margin": plan["margin"]}
        lines, footer = (content["lines"], plan["footer"]) if plan["title"] else ([], [*content["lines"], *plan["footer"]])
        return drawn(Sheet(blocks, plan["colours"], plan["title"], lines, footer, **shape))

    def _tile(self, i: int, panel: Mapping[str, Any]) -> Tile:
        words = self.plan["panels"][i]
        picture = None if panel["problem"] else self._picture(i, panel)
        return Tile(words["title"], words["how"], picture, words["notes"], words["number"], words["full"], panel["problem"])

    def _picture(self, i: int, panel: Mapping[str, Any]) -> Picture:
        key = f"{i} {json.dumps([panel['spec'], panel['datasets']])}"
        return _kept(self.pictures, key, PICTURES, lambda: self._draw(i, panel))

    def _draw(self, i: int, panel: Mapping[str, Any]) -> Picture:
        import vl_convert

        template = self._template(i, panel)
        rows = panel["datasets"]
        data = [{**entry, "values": rows[entry["name"]]} if entry["name"] in rows and "values" in entry else entry for entry in template["data"]]
        return sized(vl_convert.vega_to_svg({**template, "data": data}))

    def _template(self, i: int, panel: Mapping[str, Any]) -> dict[str, Any]:
        """The compiled chart. Rows do not change what Vega-Lite makes of a specification, once its domains are fixed: only those under a name of
        their own are swapped, and specifications of other frames that are equal by then share it."""
        import vl_convert

        spec = Domains.from_json(self.plan["panels"][i]["domains"]).fixed(panel["spec"])
        whole = {**spec, "datasets": panel["datasets"]}
        return _kept(self.templates, json.dumps([spec, sorted(panel["datasets"])]), TEMPLATES, lambda: vl_convert.vegalite_to_vega(whole))


def _kept(cache: OrderedDict[str, Kept], key: str, most: int, make: Callable[[], Kept]) -> Kept:
    if key not in cache:
        cache[key] = make()
        while len(cache) > most:
            cache.popitem(last=False)
    cache.move_to_end(key)
    return cache[key]


def serve(folder: Path) -> None:
    """Paint what is asked for, until nobody asks."""
    painter = Painter.of(folder)
    for line in sys.stdin:
        painter.paint(int(line))
        print(int(line), flush=True)


# --- all of them -------------------------------------------------------------------------------------------------------------------------------


def paint_all(folder: Path, frames: Iterable[int], processes: int, tick: Callable[[int], None]) -> None:
    """Paint frames in `processes` processes (0: in this one); `tick` is called with each that is done. Raises `StrobeError` when one of them dies."""
    wanted = list(frames)
    if processes == 0 or not wanted:
        painter = Painter.of(folder) if wanted else None
        for i in wanted:
            painter.paint(i)  # type: ignore[union-attr]
            tick(i)
        return
    workers = [_start(folder) for _ in range(min(processes, len(wanted)))]
    try:
        _share(workers, wanted, tick)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
            for pipe in (worker.stdin, worker.stdout, worker.stderr):
                with contextlib.suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]


def _start(folder: Path) -> subprocess.Popen[str]:
    call = [sys.executable, "-P", "-m", "strobe.export.frames", str(folder)]
    return subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _share(workers: Sequence[subprocess.Popen[str]], wanted: Sequence[int], tick: Callable[[int], None]) -> None:
    """Hand out one frame at a time to whoever is free. Each worker has a thread that waits for it; `tick` runs in this one."""
    todo: SimpleQueue[int] = SimpleQueue()
    answers: SimpleQueue[int | str] = SimpleQueue()
    for i in wanted:
        todo.put(i)
    for worker in workers:
        threading.Thread(target=_converse, args=(worker, todo, answers), daemon=True).start()
    for _ in wanted:
        answer = answers.get()
        if isinstance(answer, str):
            raise StrobeError(answer)
        tick(answer)


def _converse(worker: subprocess.Popen[str], todo: SimpleQueue[int], answers: SimpleQueue[int | str]) -> None:
    assert worker.stdin is not None
    assert worker.stdout is not None
    assert worker.stderr is not None
    while True:
        try:
            i = todo.get_nowait()
        except Empty:
            return
        with contextlib.suppress(OSError):
            worker.stdin.write(f"{i}\n")
            worker.stdin.flush()
        if not worker.stdout.readline():
            said = worker.stderr.read().strip().splitlines()
            answers.put(
                f"the process that draws frame {i} ended: {said[-1] if said else 'killed, or out of memory'}; ask again, and it goes on from here"
            )
            return
        answers.put(i)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
