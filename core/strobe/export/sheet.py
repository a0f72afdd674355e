"""A page of charts as one SVG: where titles, charts and footnotes stand, as the app lays them out. Pure: charts come in as SVG text.

PNG, PDF and frames of animations are made of the same SVG, so what one shows the others show. Everything that is not a chart is escaped text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .svg import LEADING, Picture, digits, document, escaped, length, placed, wrapped

PADDING, GUTTER, MARGIN, HALF = 16, 20, 20, 664
"""px: inside a card, between cards, around the page; and the width of a card in two columns, as in the app."""
TITLE, BODY, SMALL = 15, 12, 10.5
WIDE = 1.06
"""A chart wider than its card by more than this takes the whole row."""


@dataclass(frozen=True)
class Tile:
    """A card: its words and its chart, or why there is none. `full`: over both columns."""

    title: str
    how: str = ""
    picture: Picture | None = None
    notes: Sequence[str] = ()
    number: int | None = None
    full: bool = False
    problem: str = ""


@dataclass(frozen=True)
class Block:
    """Tiles under a heading."""

    title: str
    description: str
    tiles: Sequence[Tile]


@dataclass(frozen=True)
class Sheet:
    """A page: heading, lines under it, blocks, and the last lines. `colours` are those of `strobe.panels.screen.colours`."""

    blocks: Sequence[Block]
    colours: Mapping[str, str]
    title: str = ""
    lines: Sequence[str] = ()
    footer: Sequence[str] = ()
    columns: int = 2
    framed: bool = True
    """Cards with borders on a page; else charts and words on the plain background."""
    margin: float = 12
    """px around a page without cards."""
    text: float = 1.0
    """Factor of the size of everything that is not in a chart."""


@dataclass(frozen=True)
class Place:
    """Where a chart stands on a page, and how much smaller than it is."""

    picture: Picture
    x: float
    y: float
    factor: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return self.x, self.y, self.x + self.picture.width * self.factor, self.y + self.picture.height * self.factor


@dataclass(frozen=True)
class Line:
    """Words about the run and the cursor: in an animation they change."""

    words: str
    x: float
    y: float
    size: float
    width: float
    look: str
    """Further attributes."""

    @property
    def svg(self) -> str:
        return self._text(self.words, self.x)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the room it has."""
        return self.x - 2, self.y, self.x + self.width + 2, self.y + self.size * LEADING

    @property
    def pieces(self) -> list[tuple[str, tuple[float, float, float, float]]]:
        """Each word as SVG, and its room: most of them are the same in the next frame."""
        found, x = [], self.x
        for word in self.words.split(" "):
            wide = length(word, self.size)
            found.append((self._text(word, x), (x, self.y, x + wide, self.y + self.size * LEADING)))
            x += wide + length(" ", self.size)
        return found

    def _text(self, words: str, x: float) -> str:
        return f'<text x="{digits(x)}" y="{digits(self.y + self.size * 1.1)}" font-size="{digits(self.size)}"{self.look}>{escaped(words)}</text>'


@dataclass(frozen=True)
class Page:
    """A page that is laid out: SVG of frames and words, charts at their places, from the lowest up."""

    parts: Sequence[str | Place | Line]
    width: float
    height: float

    @property
    def places(self) -> list[Place]:
        return [part for part in self.parts if isinstance(part, Place)]


@dataclass
class _Canvas:
    """What is drawn so far, and how far down the page is."""

    sheet: Sheet
    parts: list[str | Place | Line] = field(default_factory=list)

    def rect(self, x: float, y: float, width: float, height: float, *, fill: str, stroke: str = "none", radius: float = 0) -> None:
        place = f'x="{digits(x)}" y="{digits(y)}" width="{digits(width)}" height="{digits(height)}"'
        self.parts.append(f'<rect {place} rx="{digits(radius)}" fill="{fill}" stroke="{stroke}"/>')

    def text(
        self, x: float, y: float, words: str, size: float, width: float, *, colour: str = "text", bold: bool = False, changes: bool = False
    ) -> float:
        """Words from `y` down, wrapped at `width`; returns where they end."""
        for line in wrapped(words, size, width, bold):
            weight = ' font-weight="700"' if bold else ""
            text = Line(line, x, y, size, width, f'{weight} fill="{self.sheet.colours[colour]}"')
            self.parts.append(text if changes else text.svg)
            y += size * LEADING
        return y

    def picture(self, picture: Picture, x: float, y: float, width: float) -> float:
        """A chart at its own size, smaller where the room is; returns where it ends. On whole pixels, so that its lines are sharp."""
        factor, x, y = min(1.0, width / picture.width), math.ceil(x), math.ceil(y)
        self.parts.append(Place(picture, x, y, factor))
        return y + picture.height * factor


def drawn(sheet: Sheet) -> Picture:
    """The page."""
    page = laid_out(sheet)
    return Picture(document(page_parts(page), page.width, page.height), page.width, page.height)


def page_parts(page: Page) -> list[str]:
    """The parts of a page as SVG, each chart where it stands, its ids told from those of the others."""
    parts, charts = [], 0
    for part in page.parts:
        if isinstance(part, Place):
            charts += 1
            parts.append(placed(part.picture, f"c{charts}-", part.x, part.y, part.factor))
        else:
            parts.append(part.svg if isinstance(part, Line) else part)
    return parts


def laid_out(sheet: Sheet) -> Page:
    """Where everything stands."""
    canvas, size = _Canvas(sheet), sheet.text
    margin = MARGIN if sheet.framed else sheet.margin
    columns, inner = _columns(sheet)
    width, y = inner + 2 * margin, float(margin)
    if sheet.title:
        y = canvas.text(margin, y, sheet.title, 26 * size, inner, colour="ink", bold=True) + 2
    for line in sheet.lines:
        y = canvas.text(margin, y, line, BODY * size, inner, changes=True)
    for block in sheet.blocks:
        y = _block(canvas, block, margin, y, columns, inner)
    for line in sheet.footer:
        y = canvas.text(margin, y + 6, line, SMALL * size, inner, colour="muted", changes=True)
    height = y + (margin or 4)
    background = _Canvas(sheet)
    background.rect(0, 0, width, height, fill=sheet.colours["page" if sheet.framed else "card"])
    return Page([*background.parts, *canvas.parts], width, height)


def _inner(sheet: Sheet, columns: int) -> float:
    """The width of what stands between the margins: two cards of a report, or as much as a single chart needs."""
    if columns > 1:
        return columns * HALF + (columns - 1) * GUTTER
    around = 2 * PADDING + 2 if sheet.framed else 0
    widest = max((t.picture.width for b in sheet.blocks for t in b.tiles if t.picture is not None), default=0.0)
    single = sum(len(b.tiles) for b in sheet.blocks) == 1
    return max(widest + around, 320.0 if single else HALF)


def _block(canvas: _Canvas, block: Block, x: float, y: float, columns: int, inner: float) -> float:
    y = _heading(canvas, block, x, y, inner) + (10 if canvas.sheet.framed else 0)
    for row in rows(block.tiles, columns, inner):
        y = _row(canvas, row, x, y, columns, inner) + _between(canvas.sheet)
    return y - _between(canvas.sheet) if block.tiles else y


def _between(sheet: Sheet) -> float:
    """px between two rows."""
    return GUTTER if sheet.framed else 12


def _heading(canvas: _Canvas, block: Block, x: float, y: float, inner: float) -> float:
    size = canvas.sheet.text
    if block.title:
        y = canvas.text(x, y + 22, block.title, 17 * size, inner, colour="ink", bold=True)
    return canvas.text(x, y, block.description, BODY * size, inner) if block.description else y


def _row(canvas: _Canvas, row: Sequence[Tile], x: float, y: float, columns: int, inner: float) -> float:
    """Draw cards side by side from `y` down; returns where they end."""
    width = inner if len(row) == 1 and (columns == 1 or _is_full(row[0], inner, columns)) else (inner - (columns - 1) * GUTTER) / columns
    tall = max(_tile(_Canvas(canvas.sheet), tile, 0, 0, width) for tile in row)
    for i, tile in enumerate(row):
        at = x + i * (width + GUTTER)
        if canvas.sheet.framed:
            canvas.rect(at + 0.5, y + 0.5, width - 1, tall - 1, fill=canvas.sheet.colours["card"], stroke=canvas.sheet.colours["border"], radius=10)
        _tile(canvas, tile, at, y, width)
    return y + tall


@dataclass(frozen=True)
class Strip:
    """A row of cards, or the words above rows (`heading`, '' for a row), as a picture. `after`: px between it and what comes next."""

    picture: Picture
    heading: str
    after: float


def strips(sheet: Sheet) -> list[Strip]:
    """What stands between heading and last lines, in pieces that a page break must not part, all of one width.

    Where one column was asked for, wide charts are made as narrow as the others.
    """
    columns, inner = _columns(sheet) if sheet.columns > 1 else (1, HALF)
    found = []
    for block in sheet.blocks:
        canvas = _Canvas(sheet)
        if block.title or block.description:
            found.append(_strip(canvas, inner, _heading(canvas, block, 0, 0, inner), block.title or block.description))
        for row in rows(block.tiles, columns, inner):
            canvas = _Canvas(sheet)
            found.append(_strip(canvas, inner, _row(canvas, row, 0, 0, columns, inner)))
    return found


def _strip(canvas: _Canvas, width: float, height: float, heading: str = "") -> Strip:
    parts = page_parts(Page(canvas.parts, width, height))
    return Strip(Picture(document(parts, width, height), width, height), heading, 10 if heading else _between(canvas.sheet))


def _columns(sheet: Sheet) -> tuple[int, float]:
    """How many columns there are, and the px between the margins: where no two cards stand side by side, no half stays empty."""
    inner = _inner(sheet, sheet.columns)
    columns = sheet.columns if any(len(row) > 1 for b in sheet.blocks for row in rows(b.tiles, sheet.columns, inner)) else 1
    return columns, _inner(sheet, columns)


def rows(tiles: Iterable[Tile], columns: int, inner: float) -> list[list[Tile]]:
    """Tiles in rows of `columns`, full ones alone in theirs; the order stays."""
    found: list[list[Tile]] = []
    room = 0
    for tile in tiles:
        full = columns == 1 or _is_full(tile, inner, columns)
        if full or room == 0:
            found.append([tile])
            room = 0 if full else columns - 1
        else:
            found[-1].append(tile)
            room -= 1
    return found


def _is_full(tile: Tile, inner: float, columns: int) -> bool:
    room = (inner - (columns - 1) * GUTTER) / columns - 2 * PADDING
    return tile.full or (tile.picture is not None and tile.picture.width > room * WIDE)


def _tile(canvas: _Canvas, tile: Tile, x: float, y: float, width: float) -> float:
    """Draw a card from `y` down; returns where it ends."""
    padding, size = (PADDING + 1 if canvas.sheet.framed else 0), canvas.sheet.text
    x, y, room = x + padding, y + padding, width - 2 * padding
    if tile.title:
        number = f"{tile.number}\u2002" if tile.number is not None else ""
        y = canvas.text(x, y, f"{number}{tile.title}", TITLE * size, room, colour="ink", bold=True)
    if tile.how:
        y = canvas.text(x, y + 2, tile.how, BODY * size, room) + 8
    if tile.problem:
        lines = wrapped(tile.problem, BODY * size, room - 24)
        canvas.rect(x, y, room, len(lines) * BODY * size * LEADING + 20, fill=canvas.sheet.colours["problem"], radius=6)
        y = canvas.text(x + 12, y + 10, tile.problem, BODY * size, room - 24, colour="ink") + 10
    if tile.picture is not None:
        y = canvas.picture(tile.picture, x, y, room)
    for note in tile.notes:
        y = canvas.text(x, y + 4, note, SMALL * size, room, colour="muted")
    return y + padding
