"""Routes beside the page, on its port: frames of cards, and the board's scripts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from strobe import StrobeError, Workspace, charts

from . import downloads, variants
from .frames import Answer, Frames, Stale

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

FRAMES = "api/frames"
STAMP = "api/stamp"
SCRIPTS = ("board", "scene")
"""The board, and what draws scenes, which is fetched with the first one."""
FOR_EVER = "public, max-age=31536000, immutable"
serving: list[str] = []
"""The workspace these routes serve; empty where Streamlit runs the page without them, as in its test harness."""


@cache
def frames_of(folder: str) -> Frames:
    """One per workspace and process: the routes and the page share what was drawn."""
    return Frames(Workspace(folder))


@cache
def script(name: str = "board") -> tuple[str, bytes]:
    """The address under which one of the scripts may be kept for ever, and its content."""
    content = files("strobe").joinpath("page", f"{name}.js").read_bytes()
    return f"api/{name}/{hashlib.sha256(content).hexdigest()[:20]}.js", content


def routes(folder: str) -> list[Route]:
    """Routes for `st.App(routes=...)` of a workspace."""
    from starlette.routing import Route

    serving[:] = [folder]
    answers = [Route(f"/{FRAMES}/{{stamp}}", _answering(folder)), Route(f"/{STAMP}", _stamping(folder))]
    return [*answers, *(Route(f"/{script(name)[0]}", _sending(name)) for name in SCRIPTS), *downloads.routes(lambda: frames_of(folder))]


def _answering(folder: str) -> Callable[[Request], Response]:
    from starlette.responses import JSONResponse, Response

    def answer(request: Request) -> Response:
        """Runs in a thread of Starlette's: drawing a step must not hold up the page's own connection."""
        try:
            frame = _frame(frames_of(folder), request)
        except Stale:
            return JSONResponse({"changed": True}, 409, {"Cache-Control": "no-store"})
        except (StrobeError, ValueError, KeyError) as e:
            return JSONResponse({"error": str(e)}, 400, {"Cache-Control": "no-store"})
        if not frame.fresh:
            return Response(frame.text, media_type="application/json", headers={"Cache-Control": "no-store"})
        return _tagged(request, frame.text.encode(), FOR_EVER)

    return answer


def _stamping(folder: str) -> Callable[[Request], Response]:
    """Whether there is anything new: what a page asks for now and then, and mostly hears 304."""
    from starlette.responses import JSONResponse

    def answer(request: Request) -> Response:
        query = request.query_params
        try:
            told = frames_of(folder).stamp(query["run"], query["report"])
        except KeyError as e:
            return JSONResponse({"error": f"which {e.args[0]}?"}, 400, {"Cache-Control": "no-store"})
        return _tagged(request, json.dumps(told).encode(), "no-cache")

    return answer


def _tagged(request: Request, body: bytes, keep: str) -> Response:
    """JSON with its digest as its tag; nothing but the tag for a reader who has it."""
    from starlette.responses import Response

    tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    headers = {"Cache-Control": keep, "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _frame(frames: Frames, request: Request) -> Answer:
    query = dict(request.query_params)
    run, report, theme = (query.pop(name) for name in ("run", "report", "theme"))
    if theme not in (charts.LIGHT, charts.DARK):
        raise ValueError(f"no theme {theme!r}")
    cards = {int(number): int(base) if base else None for number, _, base in (c.partition("@") for c in query.pop("cards").split(","))}
    cursor = {name: variants.place(name, value) for name, value in query.items()}
    if "step" not in cursor:
        raise ValueError("which step?")
    return frames.frame(run, report, theme, request.path_params["stamp"], cursor, cards)


def _sending(name: str) -> Callable[[Request], Response]:
    from starlette.responses import Response

    return lambda request: Response(script(name)[1], media_type="text/javascript", headers={"Cache-Control": FOR_EVER})
