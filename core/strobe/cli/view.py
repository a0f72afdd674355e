"""view: one panel into a file, still or moving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..export import write_view
from ..export.formats import writer
from ..workspace import Workspace
from .output import parse_settings, progress_bar
from .report import parse_cursor


def view(
    root: Path, renderer: str, run: str, output: Path, at: str, table: str, given: Sequence[str], theme: str, options: Mapping[str, Any], quiet: bool
) -> None:
    writer(output, "view")  # a wrong name is said before anything is read
    workspace = Workspace(root)
    drawn = workspace.renderer(renderer, parse_settings(given))
    shown = workspace.view(drawn, run, table, **parse_cursor(at))
    with progress_bar(quiet, output.name) as bar:
        written = write_view(shown, output, theme=theme, progress=lambda done, total: bar(done, total, ""), **options)
    print(written)
