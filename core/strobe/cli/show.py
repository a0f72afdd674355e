"""app."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

from ..errors import StrobeError
from ..workspace import Workspace


def app(root: Path, port: int | None, headless: bool) -> None:
    """Start the app, which core knows by its entry point alone."""
    try:
        (entry,) = entry_points(group="strobe.apps", name="streamlit")
        main = entry.load()
    except (ImportError, ValueError) as e:
        raise StrobeError(f"the app cannot start: {e}; reinstall strobe") from e
    Workspace(root)
    raise SystemExit(main(str(root), port, headless))
