"""What the numbers of a summary mean: quoted from the analyzers that computed them, with the settings they had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..errors import StrobeError
from ..plugin import definition
from .document import Block, Words

if TYPE_CHECKING:
    from ..workspace import Workspace


def definitions(workspace: Workspace, names: Sequence[str]) -> Iterator[Block]:
    """A list of them; nothing for no names."""
    if names:
        yield Words("How it is defined:", small=True)
        yield Words(items=tuple(defined(workspace, name) for name in names), small=True)


def defined(workspace: Workspace, name: str) -> str:
    """`table.column`: its description with its unit; `table`: what the analyzer says that it measures, with its default settings."""
    table, _, column = name.partition(".")
    try:
        if not column:
            return f"{table}: {definition(workspace.registry.analyzer(table)())}"
        known = workspace.schema(table).columns[column]
    except (StrobeError, KeyError):
        return f"{name}: not installed here"
    return f"{column.replace('_', ' ')}: {known.description}{f' ({known.unit})' if known.unit not in ('', '1') else ''}"
