"""A report as PDF: pages of paper with breaks between rows of panels, or one page as large as what is on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints import write_atomically
from ..errors import UsageError, did_you_mean
from ..panels.cards import LIGHT, cards_of, resolve
from .labels import Label
from .paper import SIDES, SMALL, Paper, check_pypdf, finished, joined, paper
from .pictures import chosen, sheet_of, write_picture
from .sheet import Sheet, Strip, drawn, strips
from .sizes import check_columns, size_of
from .svg import LEADING, digits, escaped, placed, wrapped

if TYPE_CHECKING:
    from ..reports.model import Report
    from ..runs.run import Run
    from ..workspace import Workspace
    from .formats import Tick

NONE = "none"
PAGES = (*SIDES, NONE)
MARGIN = 12.0
"""mm around a page."""
TITLE, BODY, GAP = 22.0, 11.0, 12.0
LEAST = 0.85
"""How much smaller a page may be made so that one row more fits on it."""
LANDSCAPE, WORDS = 900, 1.2
"""Cards wider together than this many px lie across the longer side, and their words are set larger by this factor, for all gets smaller there."""


def write_report_pdf(
    workspace: Workspace,
    report: Report,
    run: Run,
    path: Path,
    *,
    theme: str = LIGHT,
    cursor: Mapping[str, Any] | None = None,
    progress: Tick | None = None,
    only: Sequence[str | int] = (),
    width: str | float | None = None,
    scale: float | None = None,
    columns: int = 2,
    pages: str = "",
) -> Path:
    """Write a report as PDF. Returns the path.

    `pages`: `a4` or `letter`, or `none` for one page as large as what is on it. Left out, several panels without a `width` are `a4`. The rest is as
    in `write_report_picture`. Pages need pypdf, the extra `pdf`. Cost: one chart per panel.
    """
    size, groups = size_of(width, scale), chosen(resolve(workspace, report, run), only)
    check_columns(columns)
    named = pages_of(pages, width, len(cards_of(groups)))
    sheet, label = sheet_of(workspace, report, run, groups, theme=theme, cursor=cursor, progress=progress, columns=columns)
    if named == NONE:
        return write_picture(drawn(sheet), path, size, label)
    write_atomically(path, to_pdf(sheet, named, label))
    return path


def pages_of(pages: str, width: str | float | None, cards: int) -> str:
    """The paper that so many cards are written on. Raises `UsageError`: unknown paper, a width besides, no pypdf."""
    if pages and pages not in PAGES:
        raise UsageError(f"pages {pages!r}{did_you_mean(pages, PAGES)}")
    if pages in SIDES and width:
        raise UsageError(f"pages {pages} are as wide as the paper: leave out the width {width}, or the pages")
    named = pages or (NONE if width or cards == 1 else "a4")
    if named != NONE:
        check_pypdf("a report on pages", "choose pages none (one long page), .html or .png")
    return named


def to_pdf(sheet: Sheet, name: str, label: Label) -> bytes:
    """The pages as one PDF, its outline the headings."""
    found = strips(sheet)
    on = paper(name, MARGIN)
    if max(s.picture.width for s in found) > LANDSCAPE:
        on, found = on.turned(), strips(replace(sheet, text=WORDS))
    first, later = _head(sheet, on), _running(sheet, on)
    factor = on.inner / max(s.picture.width for s in found)
    pages = packed(found, (on.bottom - first.y) / factor, (on.bottom - later.y) / factor)
    parts, outline = [], []
    for number, page in enumerate(pages):
        head = first if number == 0 else later
        parts.append([*head.parts, *_placed(page, number, head.y, factor, on)])
        outline += [(strip.heading, number) for strip in page.strips if strip.heading]
    return joined(finished(parts, on, sheet.colours, " \u00b7 ".join(sheet.footer)), on, label, outline)


# --- which strip on which page -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Page:
    """Strips, and how much smaller than on other pages they are."""

    strips: tuple[Strip, ...]
    factor: float


def packed(found: Sequence[Strip], first: float, later: float) -> list[Page]:
    """Strips on pages with so much room, px of the sheet: headings stay with the row below them.

    A page is made smaller where one row more then fits on it, and as small as it must be for a row that is taller than a page.
    """
    pages: list[list[Strip]] = []
    for unit in _units(found):
        room = first if len(pages) <= 1 else later
        if pages and _tall([*pages[-1], *unit]) * LEAST <= room:
            pages[-1] += unit
        else:
            pages.append(list(unit))
    return [Page(tuple(page), min(1.0, (later if number else first) / _tall(page))) for number, page in enumerate(pages)]


def _units(found: Sequence[Strip]) -> list[list[Strip]]:
    """Each row with the headings above it."""
    units: list[list[Strip]] = []
    for strip in found:
        if units and units[-1][-1].heading:
            units[-1].append(strip)
        else:
            units.append([strip])
    return units


def _tall(strips: Sequence[Strip]) -> float:
    """px from the upper edge of the first to the lower edge of the last."""
    return sum(s.picture.height + s.after for s in strips) - strips[-1].after


def _placed(page: Page, number: int, top: float, factor: float, on: Paper) -> Iterator[str]:
    """A page's strips as SVG from `top` down, in the middle where they are narrower than the page."""
    for i, strip in enumerate(page.strips):
        smaller = factor * page.factor
        yield placed(strip.picture, f"p{number}s{i}-", on.margin + (on.inner - strip.picture.width * smaller) / 2, top, smaller)
        top += (strip.picture.height + strip.after) * smaller


# --- the head of a page --------------------------------------------------------------------------------------------------------------------------


@dataclass
class _Head:
    """Words at the head of a page, and where they end."""

    parts: list[str]
    y: float

    def text(self, words: str, size: float, on: Paper, colour: str, *, bold: bool = False) -> None:
        weight = ' font-weight="700"' if bold else ""
        for line in wrapped(words, size, on.inner, bold):
            place = f'x="{digits(on.margin)}" y="{digits(self.y + size * 1.1)}" font-size="{digits(size)}"'
            self.parts.append(f'<text {place}{weight} fill="{colour}">{escaped(line)}</text>')
            self.y += size * LEADING


def _head(sheet: Sheet, on: Paper) -> _Head:
    """Of the first page: title, description, place."""
    head = _Head([], on.margin)
    head.text(sheet.title, TITLE, on, sheet.colours["ink"], bold=True)
    for line in sheet.lines:
        head.text(line, BODY, on, sheet.colours["text"])
    head.y += GAP
    return head


def _running(sheet: Sheet, on: Paper) -> _Head:
    """Of every other page: the title and the place."""
    head = _Head([], on.margin)
    head.text(" \u00b7 ".join(filter(None, [sheet.title, *sheet.lines[-1:]])), SMALL, on, sheet.colours["muted"])
    head.y += GAP
    return head
