"""Routes beside the page: a panel as a picture, the rows behind it as a file, and the SQL and the Python that give them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strobe import StrobeError
from strobe.export import write_view
from strobe.panels.cards import Card, choices
from strobe.panels.sources import TYPES, WRITERS, file_name, python_of, rows_of, sql_of

from .frames import Frames

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

ROWS = "api/rows"
SOURCE = "api/source"
PICTURE = "api/picture"
PICTURES = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
NO_STORE = {"Cache-Control": "no-store"}


def routes(frames: Callable[[], Frames]) -> list[Route]:
    """`api/source` tells SQL and Python of a card at a cursor, `api/rows/csv` and `api/rows/parquet` give its rows, `api/picture/png`, ... it."""
    from starlette.routing import Route

    return [
        Route(f"/{SOURCE}", _answering(frames, _source)),
        Route(f"/{ROWS}/{{format}}", _answering(frames, _rows)),
        Route(f"/{PICTURE}/{{format}}", _answering(frames, _picture)),
    ]


def _answering(frames: Callable[[], Frames], answer: Callable[[Request, Card, Mapping[str, Any]], Response]) -> Callable[[Request], Response]:
    from starlette.responses import JSONResponse

    def answered(request: Request) -> Response:
        """Runs in a thread of Starlette's."""
        try:
            return answer(request, *_asked(frames(), dict(request.query_params)))
        except (StrobeError, ValueError, KeyError) as e:
            said = f"which {e.args[0]}?" if isinstance(e, KeyError) else str(e)
            return JSONResponse({"error": said}, 400, NO_STORE)

    return answered


def _asked(frames: Frames, query: dict[str, str]) -> tuple[Card, dict[str, Any]]:
    """The card, and the cursor."""
    run, report, number = query.pop("run"), query.pop("report"), int(query.pop("card"))
    query.pop("theme", None)
    page = frames.page(run, report)
    if number not in page.cards:
        raise StrobeError(f"this page has no card {number}")
    return page.cards[number], {"run": run, **{name: int(value) for name, value in query.items()}}


def _source(request: Request, card: Card, cursor: Mapping[str, Any]) -> Response:
    """A panel that has no SQL says why, and has its Python all the same."""
    from starlette.responses import JSONResponse

    try:
        sql = sql_of(card, cursor)
    except StrobeError as e:
        sql = f"-- {e}"
    return JSONResponse({"sql": sql, "python": python_of(card, cursor)}, headers=NO_STORE)


def _rows(request: Request, card: Card, cursor: Mapping[str, Any]) -> Response:
    from starlette.responses import Response

    format_ = request.path_params["format"]
    if format_ not in WRITERS:
        raise ValueError(f"no format {format_!r}; there are {', '.join(WRITERS)}")
    headers = {**NO_STORE, "Content-Disposition": f'attachment; filename="{file_name(card, cursor, format_)}"'}
    return Response(WRITERS[format_](rows_of(card, cursor)), media_type=TYPES[format_], headers=headers)


def _picture(request: Request, card: Card, cursor: Mapping[str, Any]) -> Response:
    """The card at the cursor as PNG, SVG or PDF, with its words."""
    from starlette.responses import Response

    from strobe import charts

    kind = request.path_params["format"]
    if kind not in PICTURES:
        raise StrobeError(f"no picture {kind!r}; there are {', '.join(PICTURES)}")
    theme = "dark" if request.query_params.get("theme") == charts.DARK else "light"
    with tempfile.TemporaryDirectory() as folder:
        known = choices(card.view.workspace, cursor["run"], [card]) if card.view else {}  # the page's other coordinates mean nothing to it
        own = {name: value for name, value in cursor.items() if name in ("run", "step", *known)}
        data = write_view(card.looking(own), Path(folder) / f"panel.{kind}", theme=theme).read_bytes()
    name = file_name(card, cursor, kind)
    return Response(data, media_type=PICTURES[kind], headers={**NO_STORE, "Content-Disposition": f'attachment; filename="{name}"'})
