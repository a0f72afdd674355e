"""Words and charts as SVG: an SVG as a part of another one, text as XML has it, and how wide it is."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

FONT = "'Liberation Sans', Arial, Helvetica, sans-serif"
"""vl-convert brings Liberation Sans, so that pictures are the same on every machine; other viewers of an SVG have metric twins of it."""
LEADING = 1.45
"""Of lines of text, in sizes of type."""

# Widths of ASCII 32 to 126 in Liberation Sans (those of Helvetica), in thousandths of the size.
_OF_WIDTH = {
    191: "'",
    222: "ijl",
    260: "|",
    278: " !,./:;I[\\]ft",
    333: "()-`r·",
    334: "{}",
    355: '"',
    389: "*",
    469: "^",
    500: "Jcksvxyz",
    556: "#$0123456789?L_abdeghnopqu",
    584: "+<=>~×",
    611: "FTZ",
    667: "&ABEKPSVXY",
    722: "CDHNRUw",
    778: "GOQ",
    833: "Mm",
    889: "%",
    944: "W",
    1015: "@",
}
_WIDTHS = {character: width for width, characters in _OF_WIDTH.items() for character in characters}
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ID = re.compile(r'(\bid="|url\(#|href="#)([A-Za-z_][\w-]*)')


@dataclass(frozen=True)
class Picture:
    """A chart: an SVG document and its size, px. `clipped`: it may draw beyond that, which must not be seen (and costs as much as the page)."""

    svg: str
    width: float
    height: float
    clipped: bool = False

    def within(self, width: float, height: float) -> Picture:
        """The same chart in the top left corner of a larger picture; itself where it is as large, or does not fit."""
        if (width, height) == (self.width, self.height) or width < self.width or height < self.height:
            return self
        return Picture(re.sub(r'viewBox="[^"]*"', f'viewBox="0 0 {digits(width)} {digits(height)}"', self.svg, count=1), width, height, self.clipped)


def document(parts: Iterable[str], width: float, height: float) -> str:
    size = f'width="{digits(width)}" height="{digits(height)}" viewBox="0 0 {digits(width)} {digits(height)}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {size} font-family="{FONT}">\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def placed(picture: Picture, prefix: str, x: float, y: float, factor: float = 1.0) -> str:
    """A chart's SVG as a part of another one. Its ids are numbered anew: Vega counts them through a whole process, and two charts may share one."""
    body = picture.svg[picture.svg.index("<svg") :]
    body = re.sub(r'^<svg\b[^>]*?\bwidth="[^"]*"[^>]*?\bheight="[^"]*"', _opening(picture, x, y, factor), body, count=1)
    known: dict[str, str] = {}

    def renamed(found: re.Match[str]) -> str:
        return found[1] + known.setdefault(found[2], f"{prefix}{len(known)}")

    return _ID.sub(renamed, body)


def _opening(picture: Picture, x: float, y: float, factor: float) -> str:
    size = f'width="{digits(picture.width * factor)}" height="{digits(picture.height * factor)}"'
    seen = "" if picture.clipped else ' overflow="visible"'
    return f'<svg x="{digits(x)}" y="{digits(y)}" {size}{seen}'


def escaped(words: str) -> str:
    """Words as text of an XML element; characters that XML has no place for are left out."""
    return html.escape(_FORBIDDEN.sub("", words), quote=True)


@lru_cache(maxsize=512)
def wrapped(words: str, size: float, width: float, bold: bool = False) -> tuple[str, ...]:
    """Lines of at most `width` px; a word longer than a line is broken."""
    lines: list[str] = []
    for paragraph in words.splitlines() or [""]:
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if length(longer, size, bold) <= width:
                line = longer
                continue
            lines += [line] if line else []
            *whole, line = _broken(word, size, width, bold)
            lines += whole
        lines.append(line)
    return tuple(lines)


def _broken(word: str, size: float, width: float, bold: bool) -> list[str]:
    parts = [""]
    for character in word:
        if parts[-1] and length(parts[-1] + character, size, bold) > width:
            parts.append("")
        parts[-1] += character
    return parts


def length(words: str, size: float, bold: bool = False) -> float:
    """Width of words in px; characters beyond ASCII count as wide ones."""
    units = sum(_WIDTHS.get(c) or (1000 if ord(c) > 0x2E7F else 600) for c in words)
    return units * size / 1000 * (1.07 if bold else 1.0)


def digits(value: float) -> str:
    """A number as SVG has it: at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
