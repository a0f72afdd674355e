"""The page Query: SQL over the results, drawn by a generic renderer, as lines of Python, as a file, and as a panel of a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from strobe import StrobeError, Workspace
from strobe.panels.cards import Card, Drawing, cards_of, resolve
from strobe.panels.moments import events_of
from strobe.panels.offer import columns_for, offered
from strobe.panels.sources import TYPES, WRITERS, python_of, python_of_rows
from strobe.renderer import bind
from strobe.reports.library import named_reports
from strobe.reports.model import Panel, Report, Section
from strobe.runs.labels import unarchived
from strobe.runs.run import Run
from strobe.storage.sql import MOST_ROWS, OWN, SECONDS, Answer, ask, limited, tables_here
from strobe_app import builder_outline, forms, panels, sidebar
from strobe_app.desk import Desk, opened
from strobe_app.look import theme

LOOK = """<style>
.st-key-query-text textarea { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 13px; line-height: 1.5; }
</style>"""
FIRST = "select step, train_loss, test_loss\nfrom metrics\nwhere run = $run and test_loss is not null\norder by step"
TEXT = "query text"
BUILDER = "the builder"


def show(workspace: Workspace, builder: Any = None) -> None:
    """The page. `builder` is the page Builder, to link to."""
    st.html(LOOK)
    st.title("Query", anchor=False)
    runs = unarchived(workspace.runs())
    if not runs:
        st.info("A query reads results, and the workspace has no runs yet: `strobe demo` makes one.")
        return
    with st.sidebar:
        run = sidebar.choose_run(workspace, runs)
        step = sidebar.choose_step(run, events_of(workspace, run)) if run.steps else 0
    cursor = {"run": run.name, "step": step}
    with st.container(horizontal=True, gap="medium"):
        with st.container(width=250, gap="xsmall"):
            _tables(workspace, run)
        with st.container(width="stretch"):
            answer = _asked(workspace, cursor)
            if answer is not None:
                sql = st.session_state[TEXT].strip()
                _answered(workspace, run, cursor, answer, limited(sql, MOST_ROWS) if answer.more else sql, builder)
    with st.sidebar:
        sidebar.sign(workspace)


def _tables(workspace: Workspace, run: Run) -> None:
    """What can be asked for, with the columns of one."""
    st.markdown("**Tables**")
    table = st.selectbox("Columns of", tables_here(workspace), key="query table")
    try:
        columns = (
            workspace.schema(table, run).columns if table == "metrics" or table not in OWN else ask(workspace, f"from {table}", most=1).schema.columns
        )
    except StrobeError as e:
        st.warning(str(e))
        return
    for column in columns.values():
        unit = f", {column.unit}" if column.unit and column.unit != "1" else ""
        st.caption(f"`{column.name}` {column.kind}{unit}: {column.description}")


# --- the query -----------------------------------------------------------------------------------------------------------------------------------


def _asked(workspace: Workspace, cursor: Mapping[str, Any]) -> Answer | None:
    """The answer; None when there is none, and why is said."""
    st.session_state.setdefault(TEXT, FIRST)
    with st.container(key="query-text"):
        st.text_area("SQL", key=TEXT, height=150, help="`$run` and `$step` are those chosen on the left; Ctrl+Enter asks")
    again = st.button("Ask", type="primary")
    text = st.session_state[TEXT]
    asked = (str(workspace.root), text, *(cursor[name] for name in ("run", "step") if f"${name}" in text))
    kept = st.session_state.get("query answer")
    if again or kept is None or kept[0] != asked:
        try:
            with st.spinner("Asking…"):
                kept = (asked, ask(workspace, text, cursor, most=MOST_ROWS, seconds=SECONDS))
        except StrobeError as e:
            st.session_state.pop("query answer", None)
            st.error("The query cannot be answered.")
            st.code(str(e), language=None, wrap_lines=True)
            return None
        st.session_state["query answer"] = kept
    return kept[1]  # type: ignore[no-any-return]


def _answered(workspace: Workspace, run: Run, cursor: Mapping[str, Any], answer: Answer, sql: str, builder: Any) -> None:
    """`sql` gives the answer: the query, cut when it has more rows."""
    if answer.more:
        st.warning(f"The query gives more than {MOST_ROWS:,} rows: the first {MOST_ROWS:,} are shown, drawn and downloaded.")
    rows = answer.frame
    st.dataframe(rows, hide_index=True, height=min(38 + 35 * len(rows), 260))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{len(rows):,} rows, {len(rows.columns)} columns")
        for format_, mime in TYPES.items():
            st.download_button(
                format_.upper() if format_ == "csv" else format_.capitalize(), lambda f=format_: WRITERS[f](rows), f"query.{format_}", mime
            )
    names = offered(workspace.registry, answer.schema)
    if not names:
        st.info("No renderer fits these columns.")
        return
    panel = _panel(workspace, names, answer, sql)
    (card,) = cards_of(resolve(workspace, Report(title="x", sections=[Section(title="x", panels=[panel])]), run))
    drawing = _drawn(card, cursor)
    if drawing.problem:
        st.warning(drawing.problem, icon=":material/info:")
        st.code(python_of_rows(workspace, sql), language="python")
        return
    with st.container(border=True, key="card-query"):
        st.vega_lite_chart(panels.for_streamlit(drawing), theme=None, width="content", key="query chart")
    st.caption("The same in a notebook")
    st.code(python_of(card, cursor), language="python", wrap_lines=True)
    _keep(workspace, run, panel, builder)


def _drawn(card: Card, cursor: Mapping[str, Any]) -> Drawing:
    """Drawn once: a page runs again at every click."""
    asked = (st.session_state["query answer"], card.panel, dict(cursor), theme())
    kept = st.session_state.get("query drawing")
    if kept is None or kept[0] != asked:
        drawing = Drawing({}, {}, card.problem) if card.problem else card.draw(cursor, theme())
        st.session_state["query drawing"] = kept = (asked, drawing)
    return kept[1]  # type: ignore[no-any-return]


def _panel(workspace: Workspace, names: list[str], answer: Answer, sql: str) -> Panel:
    """The panel that is described by the widgets: a renderer, its columns and its settings."""
    key = f"query {','.join(answer.schema.columns)}"
    with st.container(horizontal=True, gap="small"):
        first = names.index("line_over_steps") if "line_over_steps" in names and "step" in answer.schema.columns else 0
        name = st.selectbox("Drawn as", names, first, key=f"{key} renderer", width=210)
        renderer = workspace.registry.renderer(name)
        bound = bind(renderer.slots, answer.schema) or {}
        slots = {}
        for slot, want in renderer.slots.items():
            options = ["", *columns_for(want, answer.schema)]
            found = f"{bound[slot]} (found)" if slot in bound else "none"
            slots[slot] = st.selectbox(f"{slot}: column", options, key=f"{key} {name} {slot}", format_func=lambda c, f=found: c or f, width=190)
    with st.expander("Settings"):
        form = forms.show(renderer, f"query {name}", sweep=False)
        form.check()
    settings = {} if form.problems else {setting: values[0] for setting, values in form.values.items()}
    return Panel(renderer=name, sql=sql, slots={slot: column for slot, column in slots.items() if column}, settings=settings)


# --- into a report -------------------------------------------------------------------------------------------------------------------------------


def _keep(workspace: Workspace, run: Run, panel: Panel, builder: Any) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = [BUILDER, *(r["name"] for r in named_reports(workspace))]
        st.selectbox("Add to report", names, key="query report", width=210)
        st.text_input("Title of the panel", key="query title", width=260, autocomplete="off")
        st.button("Add", on_click=_add, args=(workspace, run, panel))
        if builder is not None:
            st.page_link(builder, label="Open the builder", query_params={"run": run.name})
    if said := st.session_state.pop("query said", None):
        (st.success if said[0] else st.error)(said[1])


def _add(workspace: Workspace, run: Run, panel: Panel) -> None:
    name, panel = st.session_state["query report"], panel.model_copy(update={"title": st.session_state["query title"]})
    try:
        if name == BUILDER:
            desk: Desk = st.session_state.setdefault("desk", opened(workspace, "", run.name))
            builder_outline.add(desk, panel)
        else:
            desk = opened(workspace, name, run.name)
            desk.choose(())
            builder_outline.add(desk, panel)
            desk.save(workspace, run.name, name)
        st.session_state["query said"] = (True, f"Added to {name}.")
    except (StrobeError, OSError) as e:
        st.session_state["query said"] = (False, str(e))
