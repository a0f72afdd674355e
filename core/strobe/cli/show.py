"""view, app."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

from ..errors import StrobeError, UsageError
from ..workspace import Workspace
from .output import parse_settings
from .report import parse_cursor

THEMES = {"light": "strobe", "dark": "strobe_dark"}


def view(root: Path, renderer: str, run: str, output: Path, at: str, table: str, given: Sequence[str], theme: str) -> None:
    from .. import charts

    workspace = Workspace(root)
    cursor = parse_cursor(at)
    if theme not in THEMES:
        raise UsageError(f"no theme {theme!r}; there are {', '.join(THEMES)}")
    drawn = workspace.renderer(renderer, parse_settings(given))
    with charts.use(THEMES[theme]):
        print(workspace.view(drawn, run, table, **cursor).save(output))


def app(root: Path, port: int | None, headless: bool) -> None:
    """Start the app, which core knows by its entry point alone."""
    try:
        (entry,) = entry_points(group="strobe.apps", name="streamlit")
        main = entry.load()
    except (ImportError, ValueError) as e:
        raise StrobeError(f"the app cannot start: {e}; reinstall strobe") from e
    Workspace(root)
    raise SystemExit(main(str(root), port, headless))
