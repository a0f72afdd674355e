"""`View`: a renderer bound to a run and a cursor; the same object serves a notebook, a report and an export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..frame import Frame
from ..renderer import Renderer
from .brush import ONLY, narrowed
from .compare import Together, frame_of
from .multiples import chart_of

if TYPE_CHECKING:
    from ..workspace import Workspace


@dataclass(frozen=True, eq=False)
class View:
    """What one panel shows. `.at(step=...)` looks elsewhere; `.chart` draws."""

    workspace: Workspace
    renderer: Renderer
    table: str
    cursor: Mapping[str, Any]
    slots: Mapping[str, str]
    follow: tuple[str, ...] = ()
    """Coordinates the rows are cut at, besides those the renderer names."""
    sql: str = ""
    """A query whose rows are drawn instead of a table's."""
    shown: Together | None = None
    """The runs that are shown with each other, when they are several."""

    def __repr__(self) -> str:
        at = ", ".join(f"{name} {value}" for name, value in self.cursor.items() if value is not None)
        source = f" of {self.table or 'a query'}" if self.table or self.sql else ""
        together = f", {len(self.shown.runs)} runs ({self.shown.mode})" if self.shown is not None else ""
        return f"<View {type(self.renderer).__name__}{source} at {at}{together}>"

    def at(self, **cursor: Any) -> View:
        """The same view with other coordinates."""
        return replace(self, cursor={**self.cursor, **cursor})

    @property
    def frame(self) -> Frame:
        """The rows at the cursor; those that a brush leaves, where the renderer takes one."""
        brush = self.cursor.get(ONLY)
        return narrowed(self._whole, str(brush)) if brush and self.renderer.narrows else self._whole

    @property
    def _whole(self) -> Frame:
        if self.shown is not None:
            return frame_of(self.workspace, self.renderer, self.table, self.cursor, self.slots, self.follow, self.shown, self.sql)
        return self.workspace.frame(self.renderer, self.table, self.cursor, self.slots, self.follow, self.sql)

    @property
    def chart(self) -> Any:
        """The Altair chart, or the `charts.Scene3D`, whose `chart(azimuth, elevation)` is one."""
        return self.renderer.render(self.frame) if self.shown is None else chart_of(self)  # type: ignore[attr-defined]

    def save(self, path: str | Path, *, theme: str = "", **options: Any) -> Path:
        """Write the panel by the file's suffix: PNG, SVG, PDF (`width="85mm"`, `scale=3`, `caption=False`), HTML (offline) or the Vega-Lite JSON.

        `theme` is light, dark or paper; the notebook's own when left out. Raises `UsageError` with what there is.
        """
        from ..export import write_view

        return write_view(self, path, theme=theme or _active(), **options)

    def animate(self, path: str | Path, over: str = "step", *, theme: str = "", **options: Any) -> Path:
        """Write the panel as GIF, WebP or MP4, with one coordinate running: `view.animate("x.mp4", over="step", fps=12, ease="in-out")`.

        Options: `values` (those to show), `fps`, `ease`, `hold`, `loop`, `width`, `scale`, `processes`. Axes hold all frames. Raises `UsageError`.
        """
        from ..export import write_view

        return write_view(self, path, theme=theme or _active(), over=over, **options)

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> Any:
        return self.chart._repr_mimebundle_(*args, **kwargs)


def _active() -> str:
    """The theme that charts of this process are drawn in."""
    from .. import charts

    return charts.active()
