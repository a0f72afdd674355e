"""What an export says about itself: version, run, step, phases, and what is shown; in the picture, and inside the file."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..runs.run import readable
from ..version import __version__
from .svg import escaped

if TYPE_CHECKING:
    from ..panels.cards import Card
    from ..runs.run import Run


SENTENCE = re.compile(r"(?<=[.!?])\s+")
BY_HAND = re.compile(r"\b(double[ -]|a )?click(s|ed|ing)?\b(?!-)|\bdrag(ging)?\b|\bkeys? [^ ]( and|, )", re.IGNORECASE)
"""What is done to a chart on a screen, and cannot be done to a picture."""


@dataclass(frozen=True)
class Label:
    """What is written into a file besides the picture."""

    title: str
    description: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def json(self) -> str:
        return json.dumps(self.facts, ensure_ascii=False, default=str)

    @property
    def software(self) -> str:
        return f"Strobe {__version__}"


def label_of(title: str, run: Run, cards: Sequence[Card], cursor: Mapping[str, Any], events: Mapping[str, float]) -> Label:
    """The label of a picture of these cards at a cursor."""
    shown = [_of_card(card) for card in cards]
    facts = {
        "strobe": __version__,
        "run": run.name,
        "family": run.record.family,
        "parameters": readable(run.family.model_dump(mode="json")),
        "cursor": dict(cursor),
        "phase": phase(events, cursor["step"]) if "step" in cursor else "",
        "events": dict(events),
        "panels": shown,
    }
    said = [f"{place(run, cursor, events)}.", *(f"{p['title']}: {p['how_to_read']} ({p['source']})" for p in shown), f"Strobe {__version__}."]
    return Label(title, " ".join(said), facts)


def _of_card(card: Card) -> dict[str, Any]:
    return {
        "number": card.number,
        "title": card.title,
        "how_to_read": still(card.how_to_read),
        "source": card.footnote,
        "renderer": card.panel.renderer,
        "tables": list(card.tables),
        "settings": card.view.renderer.model_dump(mode="json") if card.view else dict(card.panel.settings),
        "cursor": dict(card.panel.cursor),
    }


# --- words -------------------------------------------------------------------------------------------------------------------------------------


def still(words: str) -> str:
    """Words about a chart, for a picture of it: without the sentences, and the parts of sentences, that tell what mouse and keys do."""
    if not BY_HAND.search(words):
        return words
    return " ".join(filter(None, map(_still, SENTENCE.split(words))))


def _still(sentence: str) -> str:
    if not BY_HAND.search(sentence):
        return sentence
    kept = "; ".join(part for part in sentence.split("; ") if not BY_HAND.search(part)).rstrip(".")
    return f"{kept[0].upper()}{kept[1:]}." if kept else ""


def phase(events: Mapping[str, float], step: int) -> str:
    """Where a step lies among the events of its run: `after turn (4,100), before generalised (9,250)`; '' when no event is known."""
    before = [(name, at) for name, at in events.items() if at <= step]
    after = [(name, at) for name, at in events.items() if at > step]
    said = [f"after {before[-1][0]} ({before[-1][1]:,.0f})"] if before else []
    return ", ".join(said + ([f"before {after[0][0]} ({after[0][1]:,.0f})"] if after else []))


def place_lines(run: Run, cursor: Mapping[str, Any], events: Mapping[str, float]) -> list[str]:
    """The same in two lines that are always two: the step and its phase, then the run and the rest."""
    step = {"step": cursor["step"]} if "step" in cursor else {}
    first = place(run, step, events).partition(" · ")[2]
    return [*filter(None, [first]), place(run, {name: value for name, value in cursor.items() if name != "step"}, events)]


def place(run: Run, cursor: Mapping[str, Any], events: Mapping[str, float]) -> str:
    """`run NAME · step 5,500 of 25,000 · after turn (4,100), before generalised (9,250) · neuron 12`."""
    step = [f"step {cursor['step']:,} of {run.steps[-1]:,}", phase(events, cursor["step"])] if "step" in cursor else []
    others = [f"{name} {value}" for name, value in cursor.items() if name not in ("step", "run")]
    return " · ".join(filter(None, [f"run {run.name}", *step, *others]))


# --- files -------------------------------------------------------------------------------------------------------------------------------------


def into_svg(svg: str, label: Label) -> str:
    """An SVG with title, description and metadata. Readers show the title; `<metadata>` holds the facts as JSON."""
    end = svg.index(">", svg.index("<svg")) + 1
    said = f"<title>{escaped(label.title)}</title>\n<desc>{escaped(label.description)}</desc>\n"
    return f"{svg[:end]}\n{said}<metadata>{escaped(label.json)}</metadata>{svg[end:]}"


def into_png(png: bytes, label: Label) -> bytes:
    """A PNG with its words as iTXt chunks (UTF-8), before the picture."""
    words = {"Title": label.title, "Description": label.description, "Software": label.software, "Comment": label.json}
    end = 8 + 12 + struct.unpack(">I", png[8:12])[0]  # signature, and the header chunk
    return png[:end] + b"".join(_chunk(name, text) for name, text in words.items()) + png[end:]


def _chunk(name: str, text: str) -> bytes:
    data = b"iTXt" + name.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8")
    return struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))


def into_pdf(pdf: bytes, label: Label) -> bytes:
    """A PDF whose document information names title, subject and creator: an incremental update, as the format has it for later changes."""
    trailer = pdf[pdf.rindex(b"trailer") :]
    size, root = (int(re.search(rb"/" + key + rb"\s+(\d+)", trailer)[1]) for key in (b"Size", b"Root"))  # type: ignore[index]
    start = int(re.search(rb"startxref\s+(\d+)", trailer)[1])  # type: ignore[index]
    words = {"Title": label.title, "Subject": label.description, "Creator": label.software, "Producer": label.software, "Keywords": label.json}
    entries = b" ".join(b"/" + name.encode() + b" <FEFF" + text.encode("utf-16-be").hex().upper().encode() + b">" for name, text in words.items())
    body = pdf if pdf.endswith(b"\n") else pdf + b"\n"
    new = b"%d 0 obj\n<< %s >>\nendobj\n" % (size, entries)
    table = b"xref\n%d 1\n%010d 00000 n\r\ntrailer\n" % (size, len(body))
    last = b"<< /Size %d /Root %d 0 R /Info %d 0 R /Prev %d >>\nstartxref\n%d\n%%%%EOF\n" % (size + 1, root, size, start, len(body) + len(new))
    return body + new + table + last
