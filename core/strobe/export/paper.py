"""Pages of paper: how large they are, what stands at the foot of each, and one PDF of all. Reports and summaries are laid out on them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from ..errors import UsageError
from .labels import Label
from .raster import POINTS, at_size
from .sizes import PIXELS, Size
from .svg import Picture, digits, document, escaped, length

SMALL = 10.0
"""px of the type at the foot."""


@dataclass(frozen=True)
class Paper:
    """A page: its sides and its margin, px."""

    width: float
    height: float
    margin: float

    @property
    def inner(self) -> float:
        """Between the margins, from left to right."""
        return self.width - 2 * self.margin

    @property
    def bottom(self) -> float:
        """Where the lower margin begins."""
        return self.height - self.margin

    def turned(self) -> Paper:
        """With its longer side across."""
        return Paper(self.height, self.width, self.margin)


SIDES: Mapping[str, tuple[float, float]] = {"a4": (210.0, 297.0), "letter": (215.9, 279.4)}
"""mm of the papers that there are, upright."""


def paper(name: str, margin: float) -> Paper:
    """A paper upright; its margin in mm."""
    width, height = SIDES[name]
    return Paper(width * PIXELS["mm"], height * PIXELS["mm"], margin * PIXELS["mm"])


def check_pypdf(what: str, instead: str) -> None:
    """Refuse to begin what pypdf, the extra `pdf`, is needed for."""
    if find_spec("pypdf") is None:
        raise UsageError(f"{what} needs pypdf: `pip install 'strobe[pdf]'`, or {instead}")


def finished(pages: Sequence[Sequence[str]], on: Paper, palette: Mapping[str, str], foot: str = "") -> list[str]:
    """Pages as SVG: their parts on the background, `foot` and the number below."""
    background = f'<rect width="{digits(on.width)}" height="{digits(on.height)}" fill="{palette["card"]}"/>'
    numbered = [[background, *parts, *_foot(foot, f"{i} of {len(pages)}", on, palette["muted"])] for i, parts in enumerate(pages, 1)]
    return [document(parts, on.width, on.height) for parts in numbered]


def _foot(words: str, number: str, on: Paper, colour: str) -> list[str]:
    room = on.inner - length(number, SMALL) - 20
    size = min(SMALL, SMALL * room / max(length(words, SMALL), 1))
    look = f'y="{digits(on.height - on.margin / 2)}" fill="{colour}"'
    left = f'<text x="{digits(on.margin)}" {look} font-size="{digits(size)}">{escaped(words)}</text>'
    right = f'<text x="{digits(on.width - on.margin)}" {look} font-size="{digits(SMALL)}" text-anchor="end">{number}</text>'
    return [left, right] if words else [right]


def joined(pages: Sequence[str], on: Paper, label: Label, outline: Sequence[tuple[str, int]] = ()) -> bytes:
    """The pages as one PDF with its label in the document information; `outline`: headings with the number of their page, from 0. Needs pypdf."""
    import vl_convert
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter()
    for page in pages:
        points = at_size(Picture(page, on.width, on.height), Size(on.width * POINTS))  # a PDF takes the numbers of an SVG for points
        writer.append(PdfReader(io.BytesIO(vl_convert.svg_to_pdf(points.svg))))
    for title, number in outline:
        writer.add_outline_item(title=title, page_number=number)
    said = {"Title": label.title, "Subject": label.description, "Creator": label.software, "Producer": label.software, "Keywords": label.json}
    writer.add_metadata({f"/{name}": words for name, words in said.items()})
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()
