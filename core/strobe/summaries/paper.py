"""A summary on A4 pages: words and charts laid out as SVG, each page made a PDF, the pages joined. Everything on them is text and lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..export.labels import Label
from ..export.paper import SMALL, finished, joined, paper
from ..export.svg import LEADING, Picture, escaped, length, placed, wrapped
from .document import Document, Figure, Grid, Heading, Words

A4 = paper("a4", margin=18)
MARGIN, INNER = A4.margin, A4.inner
SIZES = {1: 24.0, 2: 17.0, 3: 14.0}
BODY, GAP = 12.0, 9.0
FOLLOWS = 80.0
"""px that must be left below a heading: three rows of a table."""
LEAST = 0.75
"""How much smaller a figure may be made to stand on the page of its words."""


@dataclass
class _Pages:
    """Pages so far; `y` is how far down the last one is."""

    palette: Mapping[str, str]
    pages: list[list[str]] = field(default_factory=lambda: [[]])
    y: float = MARGIN
    pictures: int = 0

    def room(self, height: float) -> None:
        """Begin a new page when what comes does not fit."""
        if self.y + height > A4.bottom and self.y > MARGIN:
            self.pages.append([])
            self.y = MARGIN

    def line(self, words: str, size: float, x: float = MARGIN, *, colour: str = "text", bold: bool = False) -> None:
        weight = ' font-weight="700"' if bold else ""
        fill = self.palette[colour]
        self.pages[-1].append(f'<text x="{x:g}" y="{self.y + size * 1.1:g}" font-size="{size:g}"{weight} fill="{fill}">{escaped(words)}</text>')

    def text(self, words: str, size: float, *, indent: float = 0, colour: str = "text", bold: bool = False) -> None:
        for line in wrapped(words.replace("`", ""), size, INNER - indent, bold):
            self.room(size * LEADING)
            self.line(line, size, MARGIN + indent, colour=colour, bold=bold)
            self.y += size * LEADING

    def picture(self, picture: Picture, caption: str) -> None:
        """A chart as wide as the page at most; smaller by up to a quarter where it then fits below what is there."""
        factor = min(1.0, INNER / picture.width, 0.8 * (A4.bottom - MARGIN) / picture.height)
        below = len(wrapped(caption, SMALL, INNER)) * SMALL * LEADING + 4
        left = (A4.bottom - self.y - below) / picture.height
        if LEAST * factor <= left < factor:
            factor = left
        self.room(picture.height * factor + below)
        self.pictures += 1
        self.pages[-1].append(placed(picture, f"f{self.pictures}-", MARGIN, self.y, factor))
        self.y += picture.height * factor + 4
        self.text(caption, SMALL, colour="muted")

    def grid(self, grid: Grid) -> None:
        """Columns as wide as they need, narrower where they are together wider than the page; cells wrap. Each page has the names of the columns."""
        cells = [grid.columns, *grid.rows]
        wanted = [max(length(row[i], SMALL, True) for row in cells) + 12 for i in range(len(grid.columns))]
        widths = [w * min(1.0, INNER / sum(wanted)) for w in wanted]
        head, *rows = ([wrapped(c, SMALL, w - 8, i == 0) or ("",) for c, w in zip(row, widths, strict=True)] for i, row in enumerate(cells))
        self.room(_tall(head) + sum(map(_tall, rows[:2])))  # not alone at the foot of a page
        self._row(head, widths, bold=True)
        for row in rows:
            if self.y + _tall(row) > A4.bottom:
                self.room(_tall(row))
                self._row(head, widths, bold=True)
            self._row(row, widths)

    def _row(self, cells: Sequence[Sequence[str]], widths: Sequence[float], *, bold: bool = False) -> None:
        top, x = self.y, MARGIN
        for cell, width in zip(cells, widths, strict=True):
            self.y = top
            for line in cell:
                self.line(line, SMALL, x, bold=bold)
                self.y += SMALL * LEADING
            x += width
        self.y = top + _tall(cells)
        self.pages[-1].append(f'<rect x="{MARGIN:g}" y="{self.y - 2:g}" width="{INNER:g}" height="0.5" fill="{self.palette["border"]}"/>')


def _tall(cells: Sequence[Sequence[str]]) -> float:
    """px of a row of a table."""
    return max(map(len, cells)) * SMALL * LEADING + 3


def to_pdf(summary: Document, palette: Mapping[str, str]) -> bytes:
    """The pages as one PDF, with the facts in its document information. Needs pypdf, the extra `pdf`."""
    return joined(laid_out(summary, palette), A4, Label(summary.title, summary.footer, summary.facts))


def laid_out(summary: Document, palette: Mapping[str, str]) -> list[str]:
    """The pages as SVG."""
    pages = _Pages(palette)
    pages.text(summary.title, SIZES[1], colour="ink", bold=True)
    for block in summary.blocks:
        pages.y += GAP
        if isinstance(block, Heading):
            pages.y += GAP
            pages.room(SIZES[block.level] * LEADING + FOLLOWS)  # not alone at the foot of a page
            pages.text(block.text, SIZES[block.level], colour="ink", bold=True)
        elif isinstance(block, Figure):
            pages.picture(block.picture, block.caption)
        elif isinstance(block, Grid):
            pages.grid(block)
        else:
            _words(pages, block)
    pages.y += 2 * GAP
    pages.text(summary.footer, SMALL, colour="muted")
    return finished(pages.pages, A4, palette)


def _words(pages: _Pages, block: Words) -> None:
    size, colour = (SMALL, "muted") if block.small else (BODY, "text")
    for item in block.items:
        pages.room(size * LEADING)
        pages.line("•", size, MARGIN + 4, colour=colour)
        pages.text(item, size, indent=18, colour=colour)
    if block.text:
        pages.text(block.text, size, colour=colour)
