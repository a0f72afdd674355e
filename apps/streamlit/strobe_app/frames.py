"""Frames: what the cards in sight show at a cursor, as text the browser can keep for ever.

A shot is a card at a cursor: the key of its specification, and of the rows of each of its datasets. Keys are digests of the content, so a browser
that holds a key never needs it again. Drawings are not kept, only their JSON: an hour of moving about takes no more memory than the caches below.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strobe import StrobeError, Workspace, __version__
from strobe.panels.cards import Card, Drawing, Group, cards_of, resolve
from strobe.panels.companions import Companions
from strobe.panels.film import moved
from strobe.panels.screen import model
from strobe.reports.default import default_report
from strobe.reports.library import find
from strobe.reports.model import Report

from . import variants

MOST_SHOTS = 4000
MOST_BYTES = 128 * 2**20
"""Of rows and specifications, as JSON."""
MOST_PAGES = 32
REST = 1.0
"""Seconds for which the state of the disk is taken for known: a play of 20 steps a second does not look 20 times."""
BORN = str(time.time_ns())
"""Two starts of the app may draw differently (code was changed): what a browser kept of the last one does not count."""


class Stale(StrobeError):
    """Nothing is known of the page any more: results have changed since, or the app was started again."""


@dataclass(frozen=True)
class Answer:
    """A frame as JSON. `fresh`: it is of the page as it is now, so it may be kept for ever."""

    text: str
    fresh: bool


@dataclass(frozen=True)
class Shot:
    """A card at a cursor; `still`: at other steps only the rows of the dataset `cursor` differ."""

    spec: str = ""
    datasets: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    as_of: int | None = None
    still: bool = False

    def to_json(self) -> dict[str, Any]:
        if self.problem:
            return {"problem": self.problem}
        told = {"asOf": self.as_of} if self.as_of is not None else {}
        return {"spec": self.spec, "datasets": dict(self.datasets), **told, **({"still": True} if self.still else {})}


@dataclass(frozen=True, eq=False)
class Page:
    """A report of a run: its cards, and the stamp that changes with anything they are made of. `problem`: why another report than asked for."""

    stamp: str
    report: Report
    groups: tuple[Group, ...]
    cards: Mapping[int, Card]
    problem: str = ""
    others: tuple[str, ...] | None = None
    """Further runs whose results it shows; None for a page of one run, which does not change when runs come and go."""


class Frames:
    """Pages and shots of one workspace, for every reader of it. Safe to call from several threads."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._pages: OrderedDict[tuple[str, str], Page] = OrderedDict()
        self._past: OrderedDict[str, Page] = OrderedDict()
        self._models: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._shots: OrderedDict[str, Shot] = OrderedDict()
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._bytes = 0
        self._first: OrderedDict[str, tuple[int, Drawing]] = OrderedDict()
        self._still: OrderedDict[str, bool] = OrderedDict()
        self._states: dict[str, tuple[float, str]] = {}
        self._lock = threading.RLock()

    # --- pages -----------------------------------------------------------------------------------------------------------------------------

    def page(self, run: str, report: str) -> Page:
        """The report, resolved; made anew when anything under it changed."""
        with self._lock:
            kept = self._pages.get((run, report))
        if kept is not None and kept.stamp == self._stamped(run, report, kept.others):
            return kept
        chosen, problem = self._report(run, report)
        company = Companions(self.workspace, chosen, self.workspace.run(run))
        groups = tuple(resolve(self.workspace, chosen, run, company))
        others = company.others if company.asked else None
        page = Page(self._stamped(run, report, others), chosen, groups, {card.number: card for card in cards_of(groups)}, problem, others)
        with self._lock:
            _keep(self._pages, (run, report), page, MOST_PAGES)
            _keep(self._past, page.stamp, page, MOST_PAGES)
        return page

    def stamp(self, run: str, report: str) -> dict[str, str]:
        """What tells whether a page is still the newest, without making it: `stamp`, and `marks` for what changes no picture (bookmarks, runs)."""
        root = self.workspace.root
        kept = self._pages.get((run, report))
        files = [root / "runs" / run / "bookmarks.json", *root.glob("runs/*/run.json")]
        marks = sorted(f"{f} {f.parent.name == run and s.st_mtime_ns}" for f in files if (s := _stat(f)))
        return {"stamp": self._stamped(run, report, kept.others if kept else None), "marks": _digest("\n".join(marks))}

    def _stamped(self, run: str, report: str, others: tuple[str, ...] | None) -> str:
        """The stamp of a page now: of what is stored for its runs, and where it is of several, of which runs there are and what is said of them."""
        states = [self.state(name) for name in (run, *(others or ()))]
        if others is not None:
            files = sorted(self.workspace.root.glob("runs/*/*.json"))
            states.append("\n".join(f"{f} {s.st_mtime_ns}" for f in files if f.name != "bookmarks.json" and (s := _stat(f))))
        return _stamp(" ".join(states), report)

    def _report(self, run: str, name: str) -> tuple[Report, str]:
        try:
            return find(self.workspace, name, run), ""
        except StrobeError as e:
            return default_report(self.workspace, run), str(e)

    def model(self, run: str, report: str) -> dict[str, Any]:
        """What the board is told before anything is drawn; see `strobe.panels.screen`."""
        page = self.page(run, report)
        with self._lock:
            if page.stamp in self._models:
                return self._models[page.stamp]
        made = model(self.workspace, self.workspace.run(run), page.groups, {n: v for n, v in page.report.cursor.items() if isinstance(v, int)})
        for card in (card for section in made["sections"] for card in section["cards"]):
            card["at"] = list(variants.follows(page.cards[card["number"]]))
        made["probes"] = variants.probes(self.workspace, self.workspace.run(run))
        with self._lock:
            _keep(self._models, page.stamp, made, MOST_PAGES)
        return made

    def state(self, run: str) -> str:
        """A digest of what is stored for a run: names, sizes and times of its files, and of the reports."""
        at, kept = self._states.get(run, (0.0, ""))
        if time.monotonic() - at < REST:
            return kept
        root = self.workspace.root
        folders = [root / "runs" / run, root / "reports", *[f for f in root.glob(f"results/*/{run}") if not f.parent.name.startswith("_")]]
        files = sorted(f"{f} {s.st_size} {s.st_mtime_ns}" for folder in folders for f in _files(folder) if (s := _stat(f)))
        state = _digest("\n".join(files))
        self._states[run] = (time.monotonic(), state)
        return state

    # --- shots -----------------------------------------------------------------------------------------------------------------------------

    def frame(self, run: str, report: str, theme: str, stamp: str, cursor: Mapping[str, int | str], cards: Mapping[int, int | None]) -> Answer:
        """JSON of the cards (number -> step of a shot that the reader holds) at a cursor. Raises `Stale` for a stamp that nothing is known of.

        While a run grows its page is of the past at every moment: such a page is drawn on, from what is stored now, until the reader has the next.
        """
        newest = self.page(run, report)
        with self._lock:
            page = newest if newest.stamp == stamp else self._past.get(stamp)
        if page is None:
            raise Stale("the results have changed")
        fresh = page is newest
        shots, held = {}, set[str]()
        for number, base in cards.items():
            if number not in page.cards:
                raise StrobeError(f"this page has no card {number}")
            shots[number] = self.shot(page, number, {"run": run, **cursor}, theme)
            if base is not None and fresh:  # what was drawn earlier of a page of the past may be drawn differently now
                before = self.shot(page, number, {"run": run, **cursor, "step": base}, theme)
                held |= {before.spec, *before.datasets.values()}
        return Answer(self._written(page, shots, held, cursor, run, theme, fresh), fresh)

    def _written(
        self, page: Page, shots: Mapping[int, Shot], held: set[str], cursor: Mapping[str, int | str], run: str, theme: str, fresh: bool
    ) -> str:
        specs, rows = {}, {}
        for number, shot in shots.items():
            for key, kind in [(shot.spec, specs), *((key, rows) for key in shot.datasets.values())]:
                if key and key not in held:
                    kind[key] = self._text(key, page, number, {"run": run, **cursor}, theme)
        told = json.dumps({number: shot.to_json() for number, shot in shots.items()}, separators=(",", ":"))
        changed = "" if fresh else '"changed":true,'
        return f'{{{changed}"shots":{told},"specs":{{{_joined(specs)}}},"rows":{{{_joined(rows)}}}}}'

    def shot(self, page: Page, number: int, cursor: Mapping[str, Any], theme: str) -> Shot:
        """A card at a cursor; drawn once."""
        card = page.cards[number]
        place = " ".join([page.stamp, str(number), theme, *(f"{name}={cursor.get(name)}" for name in variants.follows(card))])
        key = f"{place} {None if 'step' in card.panel.cursor else cursor.get('step')}"
        with self._lock:
            if key in self._shots:
                self._shots.move_to_end(key)
                return self._shots[key]
        drawing = Drawing({}, {}, card.problem) if card.problem else variants.draw(card, cursor, theme)
        shot = self._kept(
            drawing,
            card.as_of(cursor) if not drawing.problem else None,
            "minus" not in cursor and self._stands_still(place, card, int(cursor["step"]), drawing),
        )
        with self._lock:
            _keep(self._shots, key, shot, MOST_SHOTS)
        return shot

    def _stands_still(self, place: str, card: Card, step: int, drawing: Drawing) -> bool:
        """Whether only the cursor mark moves: known once a card over all steps was drawn at two of them."""
        if drawing.problem or not card.spans_steps:
            return False
        with self._lock:
            if place in self._still:
                return self._still[place]
            earlier = self._first.get(place)
            if earlier is None or earlier[0] == step:
                _keep(self._first, place, (step, drawing), MOST_PAGES)
                return False
            same = moved(earlier[1], step)
            alike = same.signature == drawing.signature and same.datasets == drawing.datasets
            _keep(self._still, place, alike, MOST_SHOTS)
            self._first.pop(place, None)
            return alike

    def _kept(self, drawing: Drawing, as_of: int | None, still: bool) -> Shot:
        if drawing.problem:
            return Shot(problem=drawing.problem)
        return Shot(self._keep_text(drawing.spec), {name: self._keep_text(rows) for name, rows in drawing.datasets.items()}, "", as_of, still)

    def _keep_text(self, content: Any) -> str:
        text = json.dumps(content, separators=(",", ":"), default=str)
        key = _digest(text)
        with self._lock:
            if key not in self._texts:
                self._texts[key] = text
                self._bytes += len(text)
                while self._bytes > MOST_BYTES and len(self._texts) > 1:
                    self._bytes -= len(self._texts.popitem(last=False)[1])
        return key

    def _text(self, key: str, page: Page, number: int, cursor: Mapping[str, Any], theme: str) -> str:
        """Rows or a specification by key; drawn again when they had to make room."""
        with self._lock:
            if key in self._texts:
                self._texts.move_to_end(key)
                return self._texts[key]
        self._kept(variants.draw(page.cards[number], cursor, theme), None, False)
        return self._texts[key]


def _keep(cache: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > most:
        cache.popitem(last=False)


def _joined(texts: Mapping[str, str]) -> str:
    return ",".join(f'"{key}":{text}' for key, text in texts.items())


def _stamp(state: str, report: str) -> str:
    return _digest(f"{state} {report} {__version__} {BORN}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _files(folder: Path) -> list[Path]:
    return [f for f in folder.rglob("*") if f.suffix in (".parquet", ".json", ".yaml") and f.name != "bookmarks.json"] if folder.is_dir() else []


def _stat(file: Path) -> Any:
    try:
        return file.stat()
    except OSError:  # compacted away while we looked
        return None
