"""A summary as data: what Markdown, HTML and PDF are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..export.svg import Picture


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Words:
    """A paragraph, or with `items` a list."""

    text: str = ""
    items: tuple[str, ...] = ()
    small: bool = False


@dataclass(frozen=True)
class Grid:
    """A table: cells are text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A chart as SVG, with its title, how to read it, and its source."""

    picture: Picture
    caption: str


Block = Heading | Words | Grid | Figure


@dataclass(frozen=True)
class Document:
    title: str
    blocks: Sequence[Block]
    footer: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Version, runs and events, for the metadata of the file."""
