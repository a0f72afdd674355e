"""The checks of a renderer. Each raises `Unfit` with the line to change, or `NotMeant` with why it says nothing here."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ContractError, StrobeError
from ..registration.contract import renderer_contract
from ..registration.registry import Registry
from ..renderer import Renderer
from .analyzers import settings_described
from .drawing import METRICS, Drawn, tables
from .findings import NotMeant, Source, Unfit
from .state import digests, unharmed

MAX_RECTS = 2_000
"""Cells that may be drawn as rectangles; more are an image (`strobe.charts.heatmap`): 18 times less CPU, 65 times smaller."""
LARGE = 64
"""Length to which the axes of a map are stretched to see how it is drawn when it is large."""


class Subject:
    """A renderer under examination, with what it draws: made once, looked at by all checks."""

    def __init__(self, renderer: Renderer | type[Renderer], table: str = "", registry: Registry | None = None, name: str = "") -> None:
        self.cls = renderer if isinstance(renderer, type) else type(renderer)
        self._given, self._table = renderer, table
        self.registry = registry or Registry.discover()
        self.source = Source(self.cls)
        self.who = f"renderer {name or self.cls.__qualname__}"

    @functools.cached_property
    def drawn(self) -> list[Drawn]:
        """The renderer with each table it is tried on."""
        names = [self._table] if self._table else tables(self.cls, self.registry)
        return [Drawn(self._given, name, None, self.registry) for name in names]

    @functools.cached_property
    def pictures(self) -> list[tuple[Drawn, dict[str, Any], Any]]:
        """(table, cursor, drawing) of all of them. Raises what the renderer raises."""
        with unharmed():
            return [(d, cursor, d.draw(d.frame(cursor), validate=not i)) for d in self.drawn for i, cursor in enumerate(d.cursors())]

    @property
    def render(self) -> Any:
        return self.source.line("render")

    def all(self) -> list[tuple[Drawn, dict[str, Any], Any]]:
        """As `pictures`; when it raised, checks that need them say so."""
        try:
            return self.pictures
        except NotMeant:
            raise
        except Exception as e:  # the plugin boundary: a stranger's renderer may raise anything
            raise NotMeant(f"it raised {type(e).__name__}; mend that first (see draws)") from e


Check = Callable[[Subject], None]


def registers(subject: Subject) -> None:
    """It keeps the contract: a marked `render(self, frame)`, and a table or slots."""
    try:
        renderer_contract(subject.cls, subject.who)
    except ContractError as e:
        problem, _, fix = str(e).partition("; ")
        raise Unfit(problem, fix, subject.source.line("render")) from e
    for pick in subject.cls.picks:
        if not pick.field:
            raise Unfit("a Pick names no field", 'write `Pick("neuron")`', subject.source.line("picks"))


def is_documented(subject: Subject) -> None:
    """A docstring, and a description of each setting."""
    if not (subject.cls.__doc__ or "").strip() or subject.cls.__doc__ == Renderer.__doc__:
        raise Unfit(f"{subject.cls.__qualname__} has no docstring: cards have nothing to say", "say what the picture shows", subject.source.line())
    settings_described(subject.cls, subject.source)


def draws(subject: Subject) -> None:
    """At the first, a middle and the last step of a tiny run it gives a chart that is valid Vega-Lite, with a description (alt text)."""
    try:
        pictures = subject.pictures
    except NotMeant:
        raise
    except Exception as e:  # the plugin boundary
        place = subject.source.raised(e.__traceback__) or subject.render
        said = str(e).partition("\n")[0]
        raise Unfit(f"it raises while drawing: {type(e).__name__}: {said}", "mend this line", place) from e
    for drawn, _, drawing in pictures:
        if not drawing.spec.get("scene", drawing.spec).get("description"):
            raise Unfit(
                f"the chart of {drawn.table} has no description: who cannot see it has nothing",
                'write `alt.Chart(..., description="...")`',
                subject.render,
            )


def keeps_the_cursor_out_of_the_chart(subject: Subject) -> None:
    """The specification is the same wherever the cursor is; only rows differ. So moving the cursor swaps rows and draws nothing anew."""
    for drawn in subject.drawn:
        pictures = [(cursor, drawing) for d, cursor, drawing in subject.all() if d is drawn]
        for cursor, drawing in pictures[1:]:
            first_cursor, first = pictures[0]
            for path, a, b in differences(first.spec, drawing.spec):
                if _names_cursor(a, b, first_cursor, cursor):
                    fix = "take it from a column of the rows instead, or leave it out"
                    raise Unfit(f"the chart says {a!r} at one cursor and {b!r} at another, at {path}", fix, subject.render)


def _names_cursor(a: Any, b: Any, at: Mapping[str, Any], then: Mapping[str, Any]) -> bool:
    """Whether two values differ by what the cursor says."""
    return any(at[c] != then[c] and _holds(a, at[c]) and _holds(b, then[c]) for c in at if c in then)


def _holds(value: Any, coordinate: Any) -> bool:
    if isinstance(value, bool):
        return False
    return value == coordinate or (isinstance(value, str) and bool(re.search(rf"(?<![\d.]){re.escape(str(coordinate))}(?![\d.])", value)))


def differences(a: Any, b: Any, path: str = "chart") -> list[tuple[str, Any, Any]]:
    """Where two specifications differ: (path, one, other)."""
    if isinstance(a, dict) and isinstance(b, dict):
        return [d for key in a.keys() | b.keys() for d in differences(a.get(key), b.get(key), f"{path}.{key}")]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b, strict=True)) for d in differences(x, y, f"{path}[{i}]")]
    return [] if a == b else [(path, a, b)]


def takes_no_rows(subject: Subject) -> None:
    """Without a row to draw (nothing computed at this step, everything filtered away) it gives an empty chart, or a `StrobeError`."""
    subject.all()
    for drawn in subject.drawn:
        try:
            with unharmed():
                drawn.draw(drawn.frame(drawn.cursors()[-1], rows=drawn.data[drawn.table].iloc[:0]))
        except StrobeError:
            continue
        except Exception as e:  # the plugin boundary
            place = subject.source.raised(e.__traceback__) or subject.render
            said = str(e).partition("\n")[0]
            raise Unfit(
                f"it raises when there are no rows: {type(e).__name__}: {said}", "return a chart without marks when `frame.data` is empty", place
            ) from e


def leaves_its_frame_alone(subject: Subject) -> None:
    """The rows it is handed are as before after drawing."""
    subject.all()
    for drawn in subject.drawn:
        frame = drawn.frame(drawn.cursors()[-1])
        watched = {"frame.data": frame.data, **{f"frame.others[{n!r}]": t for n, t in frame.others.items()}}
        before = digests(watched)
        drawn.renderer.render(frame)
        if changed := [n for n, digest in digests(watched).items() if digest != before[n]]:
            again = drawn.frame(drawn.cursors()[-1])
            tables_now = {"data": again.data, **again.others}
            place = subject.source.changing(lambda: drawn.renderer.render(again), lambda: digests(tables_now))  # noqa: B023 (called at once)
            raise Unfit(
                f"it changes {', '.join(changed)}, which other panels draw too",
                "work on a copy: `frame.data.copy()`, `.assign(...)`",
                place or subject.render,
            )


def draws_large_maps_as_images(subject: Subject) -> None:
    """A map of more than 2,000 cells is an image, never as many rectangles."""
    for _, cursor, drawing in subject.all():
        if (cells := rectangles(drawing)) > MAX_RECTS:
            raise Unfit(f"{cells:,} rectangles at {cursor}", "draw it as one image: `strobe.charts.heatmap(...)`", subject.render)
    for drawn in subject.drawn:
        stretched = _stretched(drawn)
        if stretched is not None:
            with unharmed():
                try:
                    cells = rectangles(drawn.draw(drawn.frame(drawn.cursors()[-1], rows=stretched)))
                except Exception:  # the stretched rows need not make sense to it: that is no mistake of its own
                    continue
            if cells > MAX_RECTS:
                raise Unfit(
                    f"a map of {LARGE} x {LARGE} becomes {cells:,} rectangles", "draw it as one image: `strobe.charts.heatmap(...)`", subject.render
                )


def rectangles(drawing: Any) -> int:
    """Rows that the chart draws as rectangles."""
    return sum(len(drawing.datasets.get(name, ())) for name in _rect_data(drawing.spec, None))


def _rect_data(node: Any, data: str | None) -> list[str]:
    """Names of the datasets behind rect marks."""
    if isinstance(node, list):
        return [name for child in node for name in _rect_data(child, data)]
    if not isinstance(node, dict):
        return []
    data = node["data"].get("name", data) if isinstance(node.get("data"), dict) else data
    mark = node.get("mark")
    own = [data] if data and (mark == "rect" or (isinstance(mark, dict) and mark.get("type") == "rect")) else []
    return own + [name for key, child in node.items() if key not in ("data", "mark") for name in _rect_data(child, data)]


def _stretched(drawn: Drawn) -> Any:
    """The rows with every array of two or more axes repeated until each axis is long; None when there is no such array."""
    import numpy as np

    maps = [c.name for c in drawn.schema.of_kind("array") if len(c.dims) > 1]
    if not maps or drawn.table == METRICS:
        return None
    rows = drawn.data[drawn.table].copy()
    for name in maps:
        blocks: list[Any] = [None if v is None else np.tile(v, [-(-LARGE // n) if n > 1 else 1 for n in v.shape]) for v in rows[name]]
        rows[name] = blocks
    return rows


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        registers,
        is_documented,
        draws,
        keeps_the_cursor_out_of_the_chart,
        takes_no_rows,
        leaves_its_frame_alone,
        draws_large_maps_as_images,
    )
}
