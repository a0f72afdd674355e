"""Animations of one panel, some panels or a report, over steps or any other coordinate: GIF, WebP and MP4.

Each frame is drawn by its renderer once, as rows; then axes are fixed over all of them; then processes make pictures; then one file is written.
What is done lies in a folder of the workspace that is named after everything it depends on, so that whoever asks again goes on from there; it goes
when the file is written.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, did_you_mean
from ..export.labels import Label, label_of, place_lines, still
from ..export.pictures import PAPER, chosen, restyled
from ..export.places import completed
from ..export.sizes import Size, check_columns, size_of
from ..panels.cards import LIGHT, Card, Drawing, card_of, cards_of, resolve
from ..panels.film import moved, only_the_cursor_moves
from ..panels.moments import events_of
from ..panels.screen import colours, places
from ..version import __version__
from .compose import Reel
from .frames import PAGE, apart, cleared, drawing_file, frame_file, moving, read_json, write_json
from .making import Making, in_order
from .movies import ENCODERS, check_mp4
from .painters import Crew, processes_for
from .sweep import Domains, Pace

if TYPE_CHECKING:
    from ..export.formats import Tick
    from ..panels.cards import Group
    from ..panels.view import View
    from ..reports.model import Report
    from ..runs.run import Run
    from ..workspace import Workspace

FOLDER = "exports"
"""Of a workspace: where frames lie until their animation is written."""
ROUND = "azimuth"
"""What a scene in three dimensions is turned over, in degrees."""
TURN = 36
"""Frames of a whole turn."""
MOST_FRAMES = 5_000


@dataclass(frozen=True, eq=False)
class Film:
    """What is to be seen: cards of a run at one cursor after another, and how it looks."""

    workspace: Workspace
    run: Run
    title: str
    groups: Sequence[Group]
    cursors: Sequence[Mapping[str, Any]]
    over: str
    theme: str
    size: Size
    columns: int
    framed: bool

    @property
    def cards(self) -> list[Card]:
        return cards_of(self.groups)


def write_report_animation(
    workspace: Workspace,
    report: Report,
    run: Run,
    path: Path,
    *,
    theme: str = LIGHT,
    cursor: Mapping[str, Any] | None = None,
    progress: Tick | None = None,
    only: Sequence[str | int] = (),
    over: str = "step",
    values: Sequence[int] | None = None,
    fps: float = 8.0,
    ease: str = "linear",
    hold: float = 1.0,
    loop: int = 0,
    width: str | float | None = None,
    scale: float = 1.0,
    columns: int = 2,
    processes: int | None = None,
) -> Path:
    """Write a report as an animation; `only` names its panels or sections. Returns the path.

    `over`: the coordinate that runs (step, neuron, head, ..., or azimuth for what is three-dimensional), through `values` (all there are). `fps`,
    `ease` (linear or in-out), `hold` (seconds of the last frame), `loop` (times, 0 for ever). Memory: one frame, whatever their number.
    """
    groups = chosen(resolve(workspace, report, run), only)
    check_columns(columns)
    cursors = _cursors(workspace, run, cards_of(groups), cursor, over, values)
    film = Film(workspace, run, report.title, groups, cursors, over, theme, size_of(width, scale), columns, theme != PAPER)
    return _made(film, path, Pace(fps, ease, hold, loop), progress, processes)


def write_view_animation(
    view: View,
    path: Path,
    *,
    theme: str = LIGHT,
    progress: Tick | None = None,
    over: str = "step",
    values: Sequence[int] | None = None,
    fps: float = 8.0,
    ease: str = "linear",
    hold: float = 1.0,
    loop: int = 0,
    width: str | float | None = None,
    scale: float = 1.0,
    processes: int | None = None,
) -> Path:
    """Write one panel as an animation: options as of `write_report_animation`."""
    from ..panels.cards import Group

    workspace, card = view.workspace, card_of(view)
    run = workspace.run(view.cursor["run"])
    cursors = _cursors(workspace, run, [card], view.cursor, over, values)
    group = Group("", "", (replace(card, number=0),))
    film = Film(workspace, run, "", [group], cursors, over, theme, size_of(width, scale), 1, False)
    return _made(film, path, Pace(fps, ease, hold, loop), progress, processes)


def _cursors(
    workspace: Workspace, run: Run, cards: Sequence[Card], cursor: Mapping[str, Any] | None, over: str, values: Sequence[int] | None
) -> list[dict[str, Any]]:
    """The cursor at every frame. Raises `UsageError` for a coordinate or a value that is not there."""
    base = completed(workspace, run, cards, cursor)
    if over == ROUND:
        known: Sequence[int] = [round(i * 360 / TURN) for i in range(TURN)]
    elif over == "step":
        known = list(run.steps)
    else:
        there = places(workspace, run, cards)
        if over not in there:
            raise UsageError(f"nothing here changes with {over!r}{did_you_mean(over, ['step', ROUND, *there])}")
        known = there[over]
    wanted = list(known if values is None else values)
    if over != ROUND and (odd := [v for v in wanted if v not in known]):
        raise UsageError(f"{over} {odd[0]!r} is outside the data: there are {', '.join(map(str, known[:40]))}")
    if not 2 <= len(wanted) <= MOST_FRAMES:
        raise UsageError(f"an animation of {len(wanted)} frames over {over}: it needs 2 to {MOST_FRAMES:,}")
    return [{**base, over: value} for value in wanted]


# --- the work ----------------------------------------------------------------------------------------------------------------------------------


def _made(film: Film, path: Path, pace: Pace, progress: Tick | None, processes: int | None) -> Path:
    encode = ENCODERS[path.suffix.lower()]
    if path.suffix.lower() == ".mp4":
        check_mp4()
    folder, count = film.workspace.root / FOLDER / _key(film), len(film.cursors)
    if folder.is_dir():
        cleared(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _frames(film, folder, _Meter(progress, 2 * count), processes)
    temporary = path.with_name(f".{path.name}.part")
    background = colours(film.theme)["page" if film.framed else "card"]
    reel = Reel([frame_file(folder, i) for i in range(count)], background, folder / PAGE)
    try:
        encode(reel, pace.durations(count), temporary, pace.loop, _label(film))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    shutil.rmtree(folder)
    return path


def _frames(film: Film, folder: Path, meter: _Meter, processes: int | None) -> None:
    """Make the frames that are not there yet. Processes that help start before the rows are drawn."""
    count, panels = len(film.cursors), len(film.cards)
    missing = [i for i in range(count) if not frame_file(folder, i).is_file()]
    helpers = processes_for(len(missing), panels) if processes is None else min(processes, len(missing))
    with Crew(folder, helpers, alone=processes is not None) as crew:
        making = Making(folder, panels, count, crew, meter)
        rows, drawn = _Rows(film, folder), list[int]()
        for i in in_order(count):
            rows.draw(i)
            meter()
            drawn.append(i)
            making.go_on(rows.plan, drawn)
        making.finish(rows.plan())
        meter.skip(meter.total - meter.done)


@dataclass
class _Meter:
    """Progress in rows drawn and pictures made."""

    progress: Tick | None
    total: int
    done: int = 0

    def __call__(self) -> None:
        self.skip(1)

    def skip(self, done: int) -> None:
        self.done = min(self.done + done, self.total)
        if self.progress is not None and done:
            self.progress(self.done, self.total)


def _key(film: Film) -> str:
    """A digest of everything that the frames depend on."""
    from ..analysis.plan import fingerprint

    results = [(str(f), f.stat().st_mtime_ns) for f in sorted((film.workspace.root / "results").glob("*/**/*.parquet"))]
    shown = [(c.panel.model_dump(mode="json"), _settings(c), c.who, c.title, c.how_to_read) for c in film.cards]
    groups = [(g.title, len(g.cards)) for g in film.groups]
    look = (film.theme, asdict(film.size), film.columns, film.framed, film.title, film.over)
    return fingerprint(__version__, film.run.name, film.run.digests, results, shown, groups, look, list(film.cursors))[:24]


def _settings(card: Card) -> Any:
    return [type(card.view.renderer).__qualname__, card.view.renderer.model_dump(mode="json")] if card.view else None


class _Rows:
    """Frames drawn as rows, one after the other, with what all of them share: what axes must hold, and what moves. Those that lie there are read."""

    def __init__(self, film: Film, folder: Path) -> None:
        self.film, self.folder, self.drawer = film, folder, _Drawer(film)
        self.domains = [Domains() for _ in film.cards]
        self.moving: list[set[str]] = [set() for _ in film.cards]
        self.first: dict[str, Any] = {}

    def draw(self, i: int) -> None:
        """Draw a frame; the first one comes first."""
        file = drawing_file(self.folder, i)
        if not file.is_file():
            shown = self.drawer.frame(i)
            write_json(file, apart(shown, self.first) if self.first else shown)
        content = read_json(file)
        self.first = self.first or content
        for known, panel, before in zip(self.domains, content["panels"], self.first["panels"], strict=True):
            known.see(before["spec"] if panel["spec"] is None else panel["spec"], panel["datasets"])
        for names, more in zip(self.moving, moving([content], self.first), strict=True):
            names.update(more)

    def plan(self) -> dict[str, Any]:
        """What all frames share, as far as they are drawn."""
        return {**_plan(self.film, self.domains), "frames": len(self.film.cursors), "moving": [sorted(names) for names in self.moving]}


class _Drawer:
    """Draws cards at cursors. Of a card on which only the cursor's rule moves, it draws three frames and moves the rule in the others."""

    def __init__(self, film: Film) -> None:
        self.film, self.events = film, events_of(film.workspace, film.run)
        self.still: dict[int, Drawing] = {}
        self.checked: set[int] = set()
        self.styled: dict[int, tuple[Mapping[str, Any], dict[str, Any]]] = {}

    def frame(self, i: int) -> dict[str, Any]:
        """What one frame shows, as JSON."""
        cursor = self.film.cursors[i]
        panels = [self._panel(at, card, cursor) for at, card in enumerate(self.film.cards)]
        where = {name: value for name, value in cursor.items() if name != ROUND}
        return {"lines": place_lines(self.film.run, where, self.events), "panels": panels}

    def _panel(self, at: int, card: Card, cursor: Mapping[str, Any]) -> dict[str, Any]:
        drawing = flat(self._drawing(at, card, cursor), cursor)
        if drawing.problem:
            return {"spec": {}, "datasets": {}, "problem": drawing.problem}
        if at not in self.styled or self.styled[at][0] != drawing.spec:
            self.styled[at] = drawing.spec, {k: v for k, v in restyled(drawing.spec, self.film.theme).items() if k != "datasets"}
        return {"spec": self.styled[at][1], "datasets": dict(drawing.datasets), "problem": ""}

    def _drawing(self, at: int, card: Card, cursor: Mapping[str, Any]) -> Drawing:
        if self.film.over == "step" and at not in self.checked:
            self.checked.add(at)
            self._check(at, card)
        if at in self.still:
            return moved(self.still[at], cursor["step"])
        return card.draw({k: v for k, v in cursor.items() if k != ROUND}, self.film.theme, validate=False)

    def _check(self, at: int, card: Card) -> None:
        """Whether a chart over all steps, or of a pinned one, is the same at every step but for the rule of the cursor."""
        if card.view is None or not ("step" in card.view.renderer.over or "step" in card.panel.cursor):
            return
        cursors = self.film.cursors
        some = {c["step"]: card.draw(c, self.film.theme, validate=False) for c in (cursors[0], cursors[len(cursors) // 2], cursors[-1])}
        if only_the_cursor_moves(card, some):
            self.still[at] = some[cursors[0]["step"]]


def flat(drawing: Drawing, cursor: Mapping[str, Any]) -> Drawing:
    """A chart as Vega-Lite: a scene in three dimensions as seen from the cursor's azimuth."""
    if "scene" not in drawing.spec:
        return drawing
    scene = dict(drawing.spec["scene"])
    if ROUND in cursor:
        scene["camera"] = {**scene["camera"], ROUND: float(cursor[ROUND])}
    return Drawing({**drawing.spec, "scene": scene}, drawing.datasets).flat


def _plan(film: Film, domains: Sequence[Domains]) -> dict[str, Any]:
    panels = [
        {
            "title": card.title,
            "how": still(card.how_to_read),
            "notes": [card.footnote],
            "number": card.number or None,
            "full": card.panel.columns > 6,
            "domains": known.to_json(),
        }
        for card, known in zip(film.cards, domains, strict=True)
    ]
    return {
        "title": film.title,
        "blocks": [{"title": g.title, "panels": len(g.cards)} for g in film.groups],
        "panels": panels,
        "footer": [f"Strobe {__version__} · {film.run.record.family}"],
        "columns": film.columns,
        "framed": film.framed,
        "margin": 12,
        "colours": colours(film.theme),
        "size": asdict(film.size),
    }


def _label(film: Film) -> Label:
    first = film.cursors[0]
    label = label_of(film.title or film.cards[0].title, film.run, film.cards, first, events_of(film.workspace, film.run))
    through = [c[film.over] for c in film.cursors]
    return replace(label, facts={**label.facts, "over": film.over, "values": through})
