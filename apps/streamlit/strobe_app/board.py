"""The board: the cards and the time panel, mounted in the browser, which moves them by itself.

Python says what there is to see, and hears where one looks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import streamlit as st

from strobe import StrobeError, Workspace
from strobe.panels.bookmarks import bookmarks, keep, remove
from strobe.panels.screen import colours

from . import downloads, routes, variants
from .frames import Frames

NAMES = ("step", "layer", "head", "neuron", "frequency", "input")
SHIM = """
let board = null;
export default function (component) {
  let leave = null, left = false;
  board ??= import(new URL("SCRIPT", document.baseURI).href);
  board.then((b) => { if (!left) leave = b.default(component); })
    .catch((error) => { board = null; component.setStateValue("failed", String(error)); });
  return () => { left = true; leave?.(); };
}
"""
"""What Streamlit carries at every run of the page; the script itself is fetched once, under a name made of its content."""


def available() -> bool:
    """Whether the board can be mounted: its routes are there, nobody asked for plain charts, and it did not fail to load before."""
    return bool(routes.serving) and st.query_params.get("board") != "0" and not st.session_state.get("board failed")


def explain() -> None:
    """Say why plain charts are shown."""
    if failed := st.session_state.get("board failed"):
        st.warning(f"The board could not be loaded ({failed}): plain charts are shown instead, and each step is drawn by the server.")
    elif st.query_params.get("board") == "0":
        st.caption("Plain charts, as the address asks for (`board=0`).")


def show(frames: Frames, run: str, report: str, theme: str) -> None:
    """Mount the time panel in the sidebar and the cards on the page."""
    model = described(frames, run, report, theme)
    look = colours(theme)
    with st.sidebar:
        _component("time")(key="time", data={"kind": "time", "model": model, "colours": look}, on_bookmark_change=lambda: _bookmark(frames.workspace))
    _component("board")(
        key="board",
        data={"kind": "board", "model": model, "colours": look},
        on_cursor_change=_learn,
        on_failed_change=_fall_back,
        on_changed_change=lambda: None,  # results were added: this run of the page says what there is now
    )


def described(frames: Frames, run: str, report: str, theme: str) -> dict[str, Any]:
    """The page as data, with what the board needs to ask for frames. `version` changes with anything in it but the cursor."""
    page = frames.page(run, report)
    model = {
        **frames.model(run, report),
        "bookmarks": [b.model_dump(mode="json") for b in bookmarks(frames.workspace.run(run))],
        "stamp": page.stamp,
        "place": f"{run} {report} {theme}",
        "frames": routes.FRAMES,
        "scene": routes.script("scene")[0],
        "watch": routes.STAMP,
        "marks": frames.stamp(run, report)["marks"],
        "doors": {"rows": downloads.ROWS, "source": downloads.SOURCE, "picture": downloads.PICTURE},
        "query": {"run": run, "report": report, "theme": theme},
        "address": {"run": run, "report": report},
    }
    version = hashlib.sha256(json.dumps(model, sort_keys=True).encode()).hexdigest()[:20]
    return {**model, "version": version, "cursor": {**model["cursor"], **st.session_state.get("cursor", {}), **looking()}}


def looking() -> dict[str, int | str]:
    """Coordinates in the address, and words: a brush, a probe, settings of cards."""
    asked = st.query_params.to_dict()
    words = {name: value for name, value in asked.items() if value and variants.WORDS.fullmatch(name)}
    return {**{n: int(v) for n in NAMES if (v := asked.get(n, "")).lstrip("-").isdigit()}, **words}


@cache
def _source() -> tuple[str, str]:
    return SHIM.replace("SCRIPT", routes.script()[0]), files("strobe").joinpath("page", "board.css").read_text("utf-8")


def _component(kind: str) -> Any:
    js, css = _source()
    return st.components.v2.component(f"strobe_{kind}", js=js, css=css)


def _learn() -> None:
    """The cursor came to rest: it goes into the session, for what Python makes of the page. The browser keeps the address."""
    cursor = _value("board", "cursor")
    if isinstance(cursor, Mapping) and cursor.get("run") == st.session_state.get("run"):
        st.session_state["cursor"] = {name: value for name, value in cursor.items() if name in NAMES and isinstance(value, int)}


def _fall_back() -> None:
    st.session_state["board failed"] = str(_value("board", "failed") or "")


def _bookmark(workspace: Workspace) -> None:
    """A bookmark was kept or removed in the time panel."""
    wish = _value("time", "bookmark")
    if not isinstance(wish, Mapping):
        return
    try:
        run = workspace.run(str(wish.get("run")))
        if "save" in wish:
            keep(run, wish["save"])
        else:
            remove(run, str(wish.get("remove")))
    except StrobeError as e:
        st.toast(str(e))


def _value(key: str, name: str) -> Any:
    held = st.session_state.get(key)
    return held.get(name) if hasattr(held, "get") else None
