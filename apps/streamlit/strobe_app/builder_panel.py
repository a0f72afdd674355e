"""The builder's middle column: the chosen panel as it is drawn, and forms of all that it is made of."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st
from pydantic import ValidationError

from strobe import Renderer, StrobeError, Workspace
from strobe.panels.cards import Card, cards_of, choices, resolve, title_of
from strobe.panels.offer import columns_for, offered
from strobe.renderer import bind
from strobe.reports import edit
from strobe.reports.model import COLUMNS, Compare, Panel, Repeat, Report, Section
from strobe.runs.run import Run
from strobe.schema import TableSchema
from strobe.storage.sql import ask
from strobe_app import builder_outline, builder_parts, forms, panels, sidebar
from strobe_app.desk import Desk
from strobe_app.look import theme

OWN = "as the page does"


def show(workspace: Workspace, run: Run, desk: Desk, looking: Mapping[str, Any]) -> None:
    """The chosen panel; for a section or the report itself, its words."""
    if desk.panel is None:
        builder_parts.show(desk)
        return
    panel = edit.panel_at(desk.report, desk.panel)
    _moves(desk)
    cards = cards_of(resolve(workspace, Report(title="x", sections=[Section(title="x", panels=[panel])]), run))
    with st.sidebar:
        coordinates = sidebar.choose_coordinates(choices(workspace, run, cards))
    cursor = {**looking, **coordinates}
    if cards:
        _preview(cards[0], cursor)
    _form(workspace, run, desk, panel, cursor)


def _preview(card: Card, cursor: Mapping[str, Any]) -> None:
    with st.container(border=True, key="card-builder", gap="xsmall"):
        st.markdown(f"**{card.title}**")
        if card.how_to_read:
            st.caption(card.how_to_read)
        drawing = card.draw(cursor, theme())
        if problem := card.problem or drawing.problem:
            st.warning(problem, icon=":material/info:")
        else:
            st.vega_lite_chart(panels.for_streamlit(drawing), theme=None, width="content", key="builder chart")
        st.caption(card.footnote)


def _moves(desk: Desk) -> None:
    """What can be done with a panel as a whole."""
    at, report = desk.panel, desk.report
    assert at is not None
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="bottom"):
        for label, by, icon in (("Up", -1, "arrow_upward"), ("Down", 1, "arrow_downward")):
            nowhere = edit.shifted(report, at, by) == at
            st.button(label, on_click=_shift, args=(desk, by), disabled=nowhere, icon=f":material/{icon}:")
        st.button("Duplicate", on_click=_duplicate, args=(desk,), icon=":material/content_copy:")
        st.button("Remove", on_click=_remove, args=(desk,), icon=":material/delete:")
        holders = edit.holders(report)
        if len(holders) > 1:
            named: Callable[[Any], str] = lambda holder: builder_parts.title(report, holder)  # noqa: E731
            _select(desk, "Section", holders, at[:-1], lambda to: _move_to(desk, to), format_func=named, width=170)


# The chosen panel is looked up at the click: two clicks that follow each other closely both see the page as it was before the first.


def _shift(desk: Desk, by: int) -> None:
    if at := desk.panel:
        to = edit.shifted(desk.report, at, by)
        desk.do(edit.move_panel(desk.report, at, to), to)


def _duplicate(desk: Desk) -> None:
    if at := desk.panel:
        desk.do(edit.duplicate_panel(desk.report, at), (*at[:-1], at[-1] + 1))


def _remove(desk: Desk) -> None:
    if at := desk.panel:
        desk.do(edit.remove_panel(desk.report, at))


def _move_to(desk: Desk, holder: edit.Holder) -> None:
    if (at := desk.panel) and holder in edit.holders(desk.report):
        end = (*holder, len(edit.held(desk.report, holder)))
        desk.do(edit.move_panel(desk.report, at, end), end)


# --- its form ------------------------------------------------------------------------------------------------------------------------------------


def _form(workspace: Workspace, run: Run, desk: Desk, panel: Panel, cursor: Mapping[str, Any]) -> None:
    try:
        schema, table = _source(workspace, run, panel, cursor)
        renderer: type[Renderer] | None = workspace.registry.renderer(panel.renderer)
    except StrobeError as e:
        schema, table, renderer = TableSchema(), panel.table, None
        if panel.sql:
            st.error(str(e))
    names = offered(workspace.registry, schema, table) if schema.columns else []
    with st.container(horizontal=True, gap="small"):
        if not panel.sql:
            tables = list(dict.fromkeys([*builder_outline.results_of(workspace, run), *filter(None, [table])]))
            _select(desk, "Result of the panel", tables, table, lambda t: _draw(workspace, run, desk, t, ""), width=250)
        options = [*dict.fromkeys([*names, panel.renderer])]
        _select(desk, "Renderer", options, panel.renderer, lambda name: _draw(workspace, run, desk, table, name, panel.sql), width=230)
    if panel.sql:
        _text(desk, "sql", panel.sql, area=True)
    if renderer is not None and renderer.slots:
        _slots(desk, panel, renderer, schema)
    _size(desk, panel)
    _text(desk, "title", panel.title, placeholder=title_of(panel))
    if renderer is not None:
        _settings(desk, panel, renderer)
    with st.expander("More"):
        _more(desk, panel, schema)


def _source(workspace: Workspace, run: Run, panel: Panel, cursor: Mapping[str, Any]) -> tuple[TableSchema, str]:
    """The columns that a panel draws from, and their table; "" for a query."""
    if panel.sql:
        return ask(workspace, panel.sql, {**cursor, **panel.cursor}, most=1).schema, ""
    table = panel.table or next(iter(workspace.registry.renderer(panel.renderer).tables()), "")
    return workspace.schema(table, run), table


def _draw(workspace: Workspace, run: Run, desk: Desk, table: str, renderer: str, sql: str = "") -> None:
    """Another result, or another renderer: columns and settings begin anew, words and size stay."""
    at = desk.panel
    if at is None:
        return
    name = renderer or offered(workspace.registry, workspace.schema(table, run), table)[0]
    source = {"renderer": name, "table": "", "sql": sql} if sql else builder_outline.panel_of(workspace, name, table).model_dump()
    desk.do(edit.change_panel(desk.report, at, renderer=name, table=source["table"], slots={}, settings={}))


def _slots(desk: Desk, panel: Panel, renderer: type[Renderer], schema: TableSchema) -> None:
    """A column for each slot, found by itself unless one is chosen."""
    bound = bind(renderer.slots, schema, panel.slots) or {}
    with st.container(horizontal=True, gap="small"):
        for slot, want in renderer.slots.items():
            options = ["", *columns_for(want, schema)]

            def words(name: str, slot: str = slot) -> str:
                return name or ("find one" if panel.slots.get(slot) else f"{bound[slot]} (found)" if slot in bound else "none")

            def take(name: str, slot: str = slot) -> None:
                rest = {k: v for k, v in panel.slots.items() if k != slot}
                _change(desk, slots={**rest, **({slot: name} if name else {})})

            _select(desk, f"{slot}: column", options, panel.slots.get(slot, ""), take, format_func=words, width=205)


def _size(desk: Desk, panel: Panel) -> None:
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        key = f"builder {desk.revision} width"
        widths = list(range(1, COLUMNS + 1))
        take: Callable[[], None] = lambda: _change(desk, width=st.session_state[key])  # noqa: E731
        st.select_slider(f"Width, columns of {COLUMNS}", widths, panel.columns, key=key, on_change=take, width=400)
        tall = f"builder {desk.revision} height"
        grow: Callable[[], None] = lambda: _change(desk, height=st.session_state[tall])  # noqa: E731
        st.number_input("Height, px", 40, 2000, panel.height, step=20, key=tall, on_change=grow, placeholder="its own", width=200)


def _settings(desk: Desk, panel: Panel, renderer: type[Renderer]) -> None:
    """The renderer's settings; what equals its default is not written into the report."""
    own = renderer().model_dump(mode="json")
    if not own:
        return
    form = forms.show(renderer, f"builder {desk.revision}", {**own, **panel.settings}, sweep=False)
    changed = {**panel.settings, **{name: values[0] for name, values in form.values.items()}}
    form.check(panel.settings)
    wanted = {name: value for name, value in changed.items() if name not in own or value != own[name]}
    if not form.problems and wanted != panel.settings:
        _change(desk, settings=wanted)
        st.rerun()


def _more(desk: Desk, panel: Panel, schema: TableSchema) -> None:
    _text(desk, "how_to_read", panel.how_to_read, area=True)
    with st.container(horizontal=True, gap="small"):
        for field, options in (("compare", typing.get_args(Compare)), ("repeat", typing.get_args(Repeat))):
            now = getattr(panel, field)
            take: Callable[[Any], None] = lambda value, field=field: _change(desk, **{field: value})  # noqa: E731
            _select(desk, field.capitalize(), [None, *options], now, take, format_func=lambda v: (v or "no").replace("_", " "), width=200)
    places = [c.name for c in schema.of_kind("dim") if c.name not in ("run", "step", "probe") and c.type == "int64"]
    if places:
        key = f"builder {desk.revision} follow"
        options = [*dict.fromkeys([*places, *panel.follow])]
        follow: Callable[[], None] = lambda: _change(desk, follow=list(st.session_state[key]))  # noqa: E731
        st.multiselect("Follows the page's", options, panel.follow, key=key, on_change=follow)
    pinned = ", ".join(f"{name}={value}" for name, value in panel.cursor.items())
    key_ = f"builder {desk.revision} cursor"
    st.text_input(
        "Stays at", pinned, key=key_, on_change=lambda: _pin(desk, st.session_state[key_]), placeholder="step=5000, head=1", autocomplete="off"
    )


def _pin(desk: Desk, text: str) -> None:
    """`step=5000, head=1` as coordinates."""
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    if wrong := [name for name, equals, value in parts if not (equals and name.strip() and value.strip())]:
        st.session_state["builder said"] = (False, f"{wrong[0].strip()!r}: write a coordinate and its value, such as step=5000")
        return
    _change(desk, cursor={name.strip(): _number(value.strip()) for name, _, value in parts})


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


# --- widgets that change the report --------------------------------------------------------------------------------------------------------------


def _change(desk: Desk, **fields: Any) -> None:
    """The panel with other fields; what is wrong with them is said above."""
    if desk.panel is None:
        return
    try:
        desk.do(edit.change_panel(desk.report, desk.panel, **fields), typed_in_form=True)
    except ValidationError as e:
        st.session_state["builder said"] = (False, "; ".join(f"{'.'.join(map(str, x['loc']))}: {x['msg']}" for x in e.errors()))


def _text(desk: Desk, field: str, value: str, *, area: bool = False, placeholder: str | None = None) -> None:
    key = f"builder {desk.revision} {field}"
    label = {"sql": "Query", "how_to_read": "How to read it"}.get(field, field.capitalize())
    take: Callable[[], None] = lambda: _change(desk, **{field: st.session_state[key]})  # noqa: E731
    if area:
        st.text_area(label, value, key=key, on_change=take, height=110, placeholder=placeholder)
    else:
        st.text_input(label, value, key=key, on_change=take, placeholder=placeholder, autocomplete="off")


def _select(desk: Desk, label: str, options: Sequence[Any], value: Any, take: Callable[[Any], None], **more: Any) -> None:
    """A choice that shows the report's value, and changes it."""
    key = f"builder {desk.revision} {label}"
    at = list(options).index(value) if value in options else None
    st.selectbox(label, options, at, key=key, on_change=lambda: take(st.session_state[key]), **more)
