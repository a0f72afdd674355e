"""PNG, SVG and PDF of one panel, of some panels, or of a whole report, at a cursor. Text and axes are vectors, maps are images, in SVG and PDF."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints import write_atomically
from ..errors import StrobeError, UsageError, did_you_mean
from ..panels.cards import LIGHT, Card, Drawing, card_of, cards_of, resolve, signed
from ..panels.moments import events_of
from ..panels.screen import colours
from ..version import __version__
from .labels import Label, into_pdf, into_png, into_svg, label_of, place, still
from .places import completed
from .raster import POINTS, at_size, rastered, sized
from .sheet import Block, Sheet, Tile, drawn
from .sizes import Size, check_columns, size_of
from .svg import FONT, Picture

if TYPE_CHECKING:
    from ..panels.cards import Group
    from ..panels.view import View
    from ..reports.model import Report
    from ..runs.run import Run
    from ..workspace import Workspace
    from .formats import Tick

PAPER = "strobe_paper"
EVENT_LABEL = 11.5
"""px, at most: the widest event name of a story then stays within the room its neighbour leaves."""


def write_report_picture(
    workspace: Workspace,
    report: Report,
    run: Run,
    path: Path,
    *,
    theme: str = LIGHT,
    cursor: Mapping[str, Any] | None = None,
    progress: Tick | None = None,
    only: Sequence[str | int] = (),
    width: str | float | None = None,
    scale: float | None = None,
    columns: int = 2,
) -> Path:
    """Write a report as one picture, laid out as in the app. Returns the path.

    `only`: numbers or titles of panels, or titles of sections, of those that shall be in it; `width`: of the whole picture (`"174mm"`);
    `scale`: picture elements of a PNG per pixel. Cost: one chart per panel.
    """
    size, groups = size_of(width, scale), chosen(resolve(workspace, report, run), only)
    check_columns(columns)
    sheet, label = sheet_of(workspace, report, run, groups, theme=theme, cursor=cursor, progress=progress, columns=columns)
    return write_picture(drawn(sheet), path, size, label)


def sheet_of(
    workspace: Workspace,
    report: Report,
    run: Run,
    groups: Sequence[Group],
    *,
    theme: str,
    cursor: Mapping[str, Any] | None,
    progress: Tick | None,
    columns: int,
) -> tuple[Sheet, Label]:
    """Groups of a report, drawn at a cursor, ready to be laid out; and what the file says about itself."""
    cards = cards_of(groups)
    looking = completed(workspace, run, cards, cursor)
    blocks, done = [], 0
    for group in groups:
        tiles = []
        for card in group.cards:
            tiles.append(tile_of(card, looking, theme))
            done += 1
            if progress is not None:
                progress(done, len(cards))
        blocks.append(Block(group.title, still(group.description), tiles))
    events = events_of(workspace, run)
    lines = [*filter(None, [still(report.description)]), place(run, looking, events)]
    sheet = Sheet(blocks, colours(theme), report.title, lines, [signed(workspace, run)], columns, framed=theme != PAPER)
    return sheet, label_of(report.title, run, cards, looking, events)


def write_view_picture(
    view: View,
    path: Path,
    *,
    theme: str = LIGHT,
    progress: Tick | None = None,
    width: str | float | None = None,
    scale: float | None = None,
    caption: bool = True,
) -> Path:
    """Write one panel, with its title and how to read it above, and where it comes from below; `caption=False`: the chart alone (the file's metadata
    say the rest). Raises `StrobeError` when it cannot be drawn, or has nothing to show."""
    size, card = size_of(width, scale), card_of(view)
    run = view.workspace.run(view.cursor["run"])
    looking = completed(view.workspace, run, [card], view.cursor)
    _something(card, looking)
    events = events_of(view.workspace, run)

    def laid_out(type_factor: float) -> Picture:
        tile = tile_of(card, looking, theme, type_factor)
        if tile.problem:
            raise StrobeError(tile.problem)
        footer = [f"{place(run, looking, events)} · Strobe {__version__}"] if caption else []
        shown = captioned(tile, theme) if caption else replace(tile, title="", how="", notes=())
        return drawn(
            Sheet(
                [Block("", "", [shown])], colours(theme), footer=footer, columns=1, framed=False, margin=2 if theme == PAPER else 12, text=type_factor
            )
        )

    picture = laid_out(1.0)
    if theme == PAPER and (factor := size.type_factor(picture.width)) > 1:
        picture = laid_out(factor)
    if progress is not None:
        progress(1, 1)
    return write_picture(picture, path, size, label_of(card.title, run, [card], looking, events))


def captioned(tile: Tile, theme: str) -> Tile:
    """A tile with its words where they belong: in print they stand below, as a caption does."""
    tile = replace(tile, number=None)
    if theme != PAPER:
        return tile
    return replace(tile, title="", how="", notes=[" ".join(filter(None, [f"{tile.title}.", tile.how])), *tile.notes])


def _something(card: Card, looking: Mapping[str, Any]) -> None:
    """Refuse to draw a chart of no rows."""
    view = card.looking(looking)
    if len(view.frame.data) == 0:
        where = ", ".join(f"{name} {value}" for name, value in looking.items() if name != "run")
        raise UsageError(f"{view.table or card.panel.renderer} of run {view.cursor['run']} has no rows at {where}: there is nothing to draw")


def chosen(groups: Sequence[Group], only: Sequence[str | int]) -> list[Group]:
    """The groups with those cards alone that `only` names: by number, by title, or by the title of their section."""
    if isinstance(only, str | int):
        only = [only]
    if not only:
        return [g for g in groups if g.cards]
    wanted = {str(name).casefold() for name in only}
    names = {n for g in groups for n in (g.title, *(t for c in g.cards for t in (str(c.number), c.title)))}
    for name in only:
        if str(name).casefold() not in {n.casefold() for n in names}:
            raise UsageError(_no_such(str(name), groups))

    def kept(group: Group) -> tuple[Card, ...]:
        whole = group.title.casefold() in wanted
        return tuple(c for c in group.cards if whole or {str(c.number), c.title.casefold()} & wanted)

    return [replace(g, cards=cards) for g in groups if (cards := kept(g))]


def _no_such(name: str, groups: Sequence[Group]) -> str:
    """What is there instead: a title like it, else the numbers of the panels and the sections."""
    titles, cards = [t for g in groups for t in (g.title, *(c.title for c in g.cards)) if t], cards_of(groups)
    near = "" if name.isdigit() else did_you_mean(name, titles)
    if "did you mean" not in near:
        sections = ", ".join(repr(g.title) for g in groups if g.cards and g.title)
        near = f"; there are panels 1 to {cards[-1].number}, by number or title{f', and sections {sections}' if sections else ''}"
    return f"the report has no panel and no section {name!r}{near}"


# --- one chart ---------------------------------------------------------------------------------------------------------------------------------


def tile_of(card: Card, cursor: Mapping[str, Any], theme: str, type_factor: float = 1.0) -> Tile:
    """A card as it stands on a page: its chart, or why there is none."""
    drawing = card.draw(cursor, theme)
    picture = None if drawing.problem else picture_of(drawing, theme, type_factor)
    earlier = None if drawing.problem else card.as_of(cursor)
    return tiled(card, picture, drawing.problem, earlier)


def tiled(card: Card, picture: Picture | None, problem: str = "", earlier: int | None = None) -> Tile:
    notes = [f"As of step {earlier:,}: nothing is stored for the step itself."] if earlier is not None else []
    full = card.panel.columns > 6
    return Tile(card.title, still(card.how_to_read), picture, [*notes, card.footnote], card.number, full, problem)


def picture_of(drawing: Drawing, theme: str, type_factor: float = 1.0) -> Picture:
    """A chart as SVG."""
    import vl_convert

    spec = restyled(drawing.whole, theme, type_factor)
    return sized(vl_convert.vegalite_to_svg(spec), spec)


def restyled(spec: Mapping[str, Any], theme: str, type_factor: float = 1.0) -> dict[str, Any]:
    """A specification in the font that is there on every machine, with larger type where asked for."""
    from .. import charts

    apart = {key: value for key, value in spec.items() if key != "datasets"}
    text = json.dumps(apart).replace(json.dumps(charts.theme(theme)["config"]["font"]), json.dumps(FONT))
    found = json.loads(text)
    if type_factor != 1.0:
        found = {**_events_legible(found), "config": _larger(found.get("config", {}), type_factor)}
    return {**found, "datasets": spec.get("datasets", {})}


def _larger(value: Any, factor: float) -> Any:
    """Sizes of type times a factor."""
    if isinstance(value, dict):
        return {k: v * factor if k.lower().endswith("fontsize") and isinstance(v, int | float) else _larger(v, factor) for k, v in value.items()}
    return value


def _events_legible(value: Any) -> Any:
    """Labels of events grow no further than they have room: where they stand was chosen by their length. Said of each mark, for Vega-Lite takes the
    size of text marks before that of their style."""
    if isinstance(value, list):
        return [_events_legible(v) for v in value]
    if not isinstance(value, dict):
        return value
    found = {k: _events_legible(v) for k, v in value.items()}
    return {**found, "fontSize": EVENT_LABEL} if found.get("type") == "text" and found.get("style") == "event-label" else found


# --- files -------------------------------------------------------------------------------------------------------------------------------------


def write_picture(picture: Picture, path: Path, size: Size, label: Label) -> Path:
    """Write a laid-out page by the file's suffix, with its label inside."""
    write_atomically(path, WRITERS[path.suffix.lower()](at_size(picture, size), size, label))
    return path


def _svg(picture: Picture, size: Size, label: Label) -> bytes:
    return into_svg(picture.svg, label).encode("utf-8")


def _png(picture: Picture, size: Size, label: Label) -> bytes:
    return into_png(rastered(picture, size), label)


def _pdf(picture: Picture, size: Size, label: Label) -> bytes:
    import vl_convert

    points = at_size(picture, replace(size, width=picture.width * POINTS))  # a PDF takes the numbers of an SVG for points
    return into_pdf(vl_convert.svg_to_pdf(points.svg), label)


WRITERS: Mapping[str, Callable[[Picture, Size, Label], bytes]] = {".png": _png, ".svg": _svg, ".pdf": _pdf}
