"""The chart of several runs: drawn by the renderer itself where it can, as a difference, or as a grid of small charts, one per run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import StrobeError, UsageError
from ..frame import Frame
from ..renderer import Renderer
from .align import Clock, Shift, anchors
from .compare import pair

if TYPE_CHECKING:
    from .view import View

SMALLEST = 80
"""px; a plot is made no narrower."""
OWN_AXES = "Each on axes of its own."
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
    if drawn_apart(view):
        return grid(view)
    frame = view.frame
    if view.shown.mode != "difference":
        return view.renderer.render(frame)  # type: ignore[attr-defined]
    from .. import charts

    with charts.differences():
        return view.renderer.render(frame)  # type: ignore[attr-defined]


def grid(view: View, across: int = 2) -> Any:
    """A small chart per run, all on the same axes where that can be, else it is said above them; a run without rows is left out."""
    import altair as alt

    from ..charts import colour, compose

    shown = view.shown
    assert shown is not None
    small, frames, problems = smaller(view.renderer), dict[int, Frame](), []
    for i, (name, step) in enumerate(shown.steps(view.cursor).items()):
        try:
            frames[i] = replace(view, renderer=small, shown=None, cursor={**view.cursor, "run": name, "step": step}).frame
        except StrobeError as e:
            problems.append(str(e))
    if not frames:
        raise StrobeError(problems[0])
    drawn, scenes = _alike(small, frames)
    apart = scenes or on_own_axes([chart.to_dict(validate=False) for chart in drawn.values()])
    for i, chart in drawn.items():
        chart.title, chart.name = alt.Title(shown.runs[i], anchor="start", fontSize=11), plot_of(i)
    whole = compose.grid(*drawn.values(), columns=across, spacing=14, independent=["color"], shared=["x", "y"])
    if apart:
        whole.title = alt.Title(OWN_AXES, anchor="start", fontSize=11, fontWeight="normal", color=colour("muted"))
    return whole


def _alike(renderer: Renderer, frames: Mapping[int, Frame]) -> tuple[dict[int, Any], bool]:
    """A chart for each frame; axes of the renderer's that `charts` makes span what they span together. And whether they are scenes, whose do not."""
    from .. import charts

    spans = charts.Spans()

    def drawn(frame: Frame, within: AbstractContextManager[None]) -> Any:
        with within:
            return renderer.render(frame)  # type: ignore[attr-defined]

    found = {i: drawn(frame, spans.learning()) for i, frame in frames.items()}
    if not spans.agree:
        found = {i: drawn(frame, spans.together()) for i, frame in frames.items()}
    still = {i: chart.chart() if isinstance(chart, charts.Scene3D) else chart for i, chart in found.items()}
    return still, still != found


def on_own_axes(specs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether axes of small charts differ, or may: those of plots within them, which Vega-Lite cannot share, and whose domains are not the same."""
    inner = [dict(_domains(spec)) for spec in specs]
    return any(domains != inner[0] or None in domains.values() for domains in inner)


def _domains(spec: Mapping[str, Any], at: str = "", within: bool = False) -> Iterator[tuple[str, str | None]]:
    """Axis of numbers of a plot within a chart of several plots -> its domain as text, None where Vega-Lite chooses."""
    parts = [(kind, i, part) for kind in ("vconcat", "hconcat", "concat") for i, part in enumerate(spec.get(kind, []))]
    for kind, i, part in parts:
        yield from _domains(part, f"{at} {kind} {i}", within=True)
    for channel in ("x", "y") if within and not parts else ():
        if scales := list(_scales(spec, channel)):
            told = sorted({json.dumps(scale["domain"]) for scale in scales if "domain" in scale})
            yield f"{at} {channel}", " ".join(told) or None


def _scales(plot: Mapping[str, Any], channel: str) -> Iterator[Mapping[str, Any]]:
    """The scales that the layers of a plot give a channel of numbers; {} for one that Vega-Lite makes."""
    encoding = plot.get("encoding", {}).get(channel, {})
    if encoding.get("type") == "quantitative" and encoding.get("scale", {}) is not None:
        yield encoding.get("scale", {})
    for layer in plot.get("layer", []):
        yield from _scales(layer, channel)


def axis_clocks(view: View, shift: Shift | None = None) -> dict[str, list[tuple[float, float]]] | None:
    """How a place on an axis over steps is one of the page's run, for each plot: {"": points} for all of them (see
    `align.anchors`), {} where the axes are of that run's own steps; None where no place has such a step, because that run cannot be aligned.

    `shift` is that of a card which is pinned to another run.
    """
    shown = view.shown
    if shown is None:
        return {"": anchors(shift.own, shift.page)} if shift else {}
    page = shift.page if shift else shown.clocks.get(str(view.cursor.get("run")))
    if shown.align == "step" or page is None:
        return {} if shown.align == "step" else None
    if shown.mode == "difference":
        return {"": anchors(shown.clocks[pair(shown, view.cursor)[0]], page)}
    if drawn_apart(view):
        return {plot_of(i): anchors(own, page) for i, own in enumerate(shown.clocks.values())}
    return {"": anchors(Clock(), page)}


def drawn_apart(view: View) -> bool:
    """Whether each run has a chart of its own in a grid, made by a renderer that knows nothing of the others."""
    return view.shown is not None and view.shown.mode == "grid" and "grid" not in view.renderer.compares


def plot_of(i: int) -> str:
    """The name of the small chart of the run at a place among those that are shown."""
    return f"run_{i}"


def smaller(renderer: Renderer, share: Mapping[str, float] = SHARE) -> Renderer:
    """The renderer with its width, size and height reduced; what it has no setting for stays."""
    sizes = {name: getattr(renderer, name, None) for name in share}
    return renderer.model_copy(update={n: max(SMALLEST, round(v * share[n])) for n, v in sizes.items() if isinstance(v, int)})
