"""One panel as a file that others can go on with: a page that Vega draws, or the Vega-Lite specification with its data."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from ..checkpoints import write_atomically
from ..panels.cards import LIGHT

if TYPE_CHECKING:
    from ..panels.view import View
    from .formats import Tick


def write_chart(view: View, path: Path, *, theme: str = LIGHT, progress: Tick | None = None) -> Path:
    """Write HTML (offline) or JSON, by the file's suffix."""
    from .. import charts

    kind = path.suffix.removeprefix(".").lower()
    text = io.StringIO()
    with charts.use(theme):
        view.chart.save(text, format=kind, **({"inline": True} if kind == "html" else {}))
    write_atomically(path, text.getvalue().encode())
    if progress is not None:
        progress(1, 1)
    return path
