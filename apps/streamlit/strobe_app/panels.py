"""Cards on the page: title, how to read it, the chart, and its data as a table."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Literal

import streamlit as st

from strobe import StrobeError, Workspace
from strobe.panels.cards import Card, Drawing, Group
from strobe.panels.sizes import pixels
from strobe.panels.sources import TYPES, WRITERS, file_name, python_of, rows_of, sql_of
from strobe.reports.markdown import to_html
from strobe.reports.model import COLUMNS, Panel

from . import cursor
from .gallery import Gallery

MANY = 16
"""A section of more cards than this waits until somebody asks for it."""
PICK = "pick_"


def show(workspace: Workspace, groups: list[Group], looking: Mapping[str, Any], theme: str, gallery: Gallery) -> None:
    """All sections; each card is drawn for itself, and a problem stays in its card."""
    for group in groups:
        _words(group)
        if len(group.cards) > MANY and not st.toggle(f"Show {len(group.cards)} charts", key=f"show {group.title}"):
            continue
        for row in rows(group.cards):
            with st.container(horizontal=True, gap="medium"):
                for card in row:
                    with st.container(border=True, width=width_of(card.panel), gap="xsmall", key=f"card-{card.number}"):
                        _card(workspace, card, looking, theme, gallery)


def _words(group: Group) -> None:
    """The heading of a section, or of a group within one, and its text."""
    if group.level:
        st.markdown(f"**{group.title}**")
    else:
        st.subheader(group.title, anchor=False)
    if group.description:
        st.markdown(group.description)
    if group.markdown:
        st.html(f'<div class="words">{to_html(group.markdown)}</div>')  # not as Streamlit's own Markdown, which has images and links to anywhere


def width_of(panel: Panel) -> int | Literal["stretch"]:
    """px of a card, or as wide as the page."""
    return "stretch" if panel.columns == COLUMNS else pixels(panel.columns)


def rows(cards: Iterable[Card]) -> list[list[Card]]:
    """Cards that follow each other share a row, which breaks where the window ends; a full card has its own."""
    return [
        row for full, run in groupby(cards, lambda card: card.panel.columns == COLUMNS) for row in ([[card] for card in run] if full else [list(run)])
    ]


def _card(workspace: Workspace, card: Card, looking: Mapping[str, Any], theme: str, gallery: Gallery) -> None:
    st.markdown(f"{card.number}  **{card.title}**")
    if card.how_to_read:
        st.caption(card.how_to_read)
    drawing = Drawing({}, {}, card.problem) if card.problem else gallery.draw(workspace, card, looking, theme)
    if drawing.problem:
        st.warning(drawing.problem, icon=":material/info:")
        return
    _chart(card, drawing)
    st.caption(card.footnote)
    with st.expander("Data", key=f"data-{card.number}", on_change="rerun") as data:
        if data.open:
            _table(card, looking)


def _chart(card: Card, drawing: Drawing) -> None:
    fields = {pick.field: pick.to or pick.field for pick in card.view.renderer.picks} if card.view else {}
    moves = {field: to for field, to in fields.items() if to in st.session_state}
    spec, key = for_streamlit(drawing), f"chart-{card.number}"
    if moves and (params := clickable(spec, list(moves))):
        st.vega_lite_chart(spec, theme=None, width="content", key=key, on_select=lambda: _picked(card, moves), selection_mode=params)
    else:
        st.vega_lite_chart(spec, theme=None, width="content", key=key)


def for_streamlit(drawing: Drawing) -> dict[str, Any]:
    """A copy of the specification with what Streamlit's way of passing it on needs; a scene is projected.

    Streamlit would squeeze axes and labels into the width of the plot, unless told to pad; and it sends rows as Arrow, where a list (the lines of a
    text, in Vega) does not survive: lists travel as one text, and are split again in the browser.
    """
    drawing = drawing.flat
    spec = {"autosize": "pad", **copy.deepcopy(dict(drawing.spec))}
    lists = {name: {k for row in rows for k, v in row.items() if isinstance(v, list)} for name, rows in drawing.datasets.items()}
    _split_again(spec, lists)
    return {**spec, "datasets": {name: _without_lists(rows) if lists[name] else rows for name, rows in drawing.datasets.items()}}


def _split_again(node: Any, lists: Mapping[str, set[str]]) -> None:
    """Add the splitting to each view that brings in a dataset with lists, in place."""
    if isinstance(node, list):
        for inner in node:
            _split_again(inner, lists)
    elif isinstance(node, dict):
        if fields := lists.get(node.get("data", {}).get("name", "") if isinstance(node.get("data"), dict) else ""):
            splits = [{"calculate": f"split(datum['{field}'], '\\n')", "as": field} for field in sorted(fields)]
            node["transform"] = [*splits, *node.get("transform", [])]
        for key in ("layer", "vconcat", "hconcat", "concat", "spec"):
            _split_again(node.get(key), lists)


def _without_lists(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: "\n".join(map(str, v)) if isinstance(v, list) else v for k, v in row.items()} for row in rows]


def clickable(spec: dict[str, Any], fields: list[str]) -> list[str]:
    """Add to a specification, in place, a click selection for each view whose rows have one of the fields; returns the selections' names."""
    names = []
    for view in list(_views(spec)):
        rows = spec["datasets"].get(view.get("data", {}).get("name"), [])
        having = [field for field in fields if rows and field in rows[0]]
        if having:
            name = f"{PICK}{len(names)}"
            view["name"] = f"view_{name}"
            select = {"type": "point", "fields": having, "on": "click", "toggle": False, "clear": False}
            spec.setdefault("params", []).append({"name": name, "select": select, "views": [view["name"]]})
            names.append(name)
    return names


def _views(spec: Mapping[str, Any], data: Any = None) -> Iterator[dict[str, Any]]:
    """The unit views of a specification that have their data to themselves: facets are left alone, their views have no data of their own."""
    for inner in [*spec.get("layer", []), *spec.get("vconcat", []), *spec.get("hconcat", [])]:
        if "mark" in inner and "data" in inner:
            yield inner
        else:
            yield from _views(inner)
    if "mark" in spec and "data" in spec:
        yield spec  # type: ignore[misc]


def _picked(card: Card, moves: Mapping[str, str]) -> None:
    """The callback of a click on a mark: its fields become the cursor's coordinates, a step that of the page's run."""
    selection = st.session_state[f"chart-{card.number}"]["selection"]
    for name, rows in selection.items():
        if str(name).startswith(PICK) and rows:
            for field, to in moves.items():
                value = rows[0].get(field)
                if to == "run" and isinstance(value, str):
                    st.session_state["run"] = value
                elif isinstance(value, (int, float)) and (place := card.step_of(value) if to == "step" else value) is not None:
                    cursor.go(to, round(place))


def _table(card: Card, looking: Mapping[str, Any]) -> None:
    """The rows, as files, and how to get them elsewhere."""
    try:
        rows = card.rows(looking)
    except StrobeError as e:
        st.warning(str(e), icon=":material/info:")
        return
    st.dataframe(rows, hide_index=True)
    with st.container(horizontal=True):
        for format_, mime in TYPES.items():
            name = file_name(card, looking, format_)
            key = f"download-{card.number}-{format_}"
            st.download_button(
                format_.upper() if format_ == "csv" else "Parquet", lambda f=format_: WRITERS[f](rows_of(card, looking)), name, mime, key=key
            )
    try:
        st.code(sql_of(card, looking), language="sql", wrap_lines=True)
    except StrobeError as e:
        st.caption(str(e))
    st.code(python_of(card, looking), language="python", wrap_lines=True)
