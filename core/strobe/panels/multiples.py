"""The chart of several runs: drawn by the renderer itself where it can, as a difference, or as a grid of small charts, one per run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import StrobeError, UsageError
from ..renderer import Renderer

if TYPE_CHECKING:
    from .view import View

SMALLEST = 80
"""px; a plot is made no narrower."""
SHARE = {"width": 0.42, "size": 0.5, "height": 0.6}
"""Of a renderer's own width, size and height, in a grid."""


def problem_of(renderer: Renderer, mode: str) -> str:
    """Why a renderer cannot show several runs in this way, '' when it can."""
    if mode == "overlay" and mode not in renderer.compares:
        name = type(renderer).__name__
        return f"{name} draws one run; write `compare: side_by_side`, grid or difference, or take a renderer of several runs: runs_over_steps"
    return "a row of runs side by side is made by a report; write compare='grid'" if mode == "side_by_side" else ""


def chart_of(view: View) -> Any:
    """The chart of a view of several runs. Raises `UsageError` when its renderer cannot."""
    assert view.shown is not None
    if problem := problem_of(view.renderer, view.shown.mode):
        raise UsageError(problem)
    if view.shown.mode == "grid" and "grid" not in view.renderer.compares:
        return grid(view)
    frame = view.frame
    if view.shown.mode != "difference":
        return view.renderer.render(frame)  # type: ignore[attr-defined]
    from .. import charts

    with charts.differences():
        return view.renderer.render(frame)  # type: ignore[attr-defined]


def grid(view: View, across: int = 2) -> Any:
    """A small chart per run, each with the axes that its renderer gives it; a run without rows is left out."""
    import altair as alt

    from ..charts import Scene3D

    shown = view.shown
    assert shown is not None
    small = smaller(view.renderer)
    drawn, problems = [], []
    for name, step in shown.steps(view.cursor).items():
        try:
            one = replace(view, renderer=small, shown=None, cursor={**view.cursor, "run": name, "step": step}).chart
            one = one.chart() if isinstance(one, Scene3D) else one  # it stands still in a grid
            drawn.append(one.properties(title=alt.Title(name, anchor="start", fontSize=11)))
        except StrobeError as e:
            problems.append(str(e))
    if not drawn:
        raise StrobeError(problems[0])
    return alt.concat(*drawn, columns=across, spacing=14).resolve_scale(color="independent", x="independent", y="independent")


def smaller(renderer: Renderer, share: Mapping[str, float] = SHARE) -> Renderer:
    """The renderer with its width, size and height reduced; what it has no setting for stays."""
    sizes = {name: getattr(renderer, name, None) for name in share}
    return renderer.model_copy(update={n: max(SMALLEST, round(v * share[n])) for n, v in sizes.items() if isinstance(v, int)})
