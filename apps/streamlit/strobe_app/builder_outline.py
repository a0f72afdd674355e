"""The builder's left column: the sections and panels in their order, and what there is to draw."""

from __future__ import annotations

import streamlit as st

from strobe import StrobeError, Workspace
from strobe.panels.cards import title_of
from strobe.panels.offer import offered
from strobe.reports import edit
from strobe.reports.default import stored_tables
from strobe.reports.edit import Holder
from strobe.reports.model import Panel, Section
from strobe.runs.run import Run
from strobe.schema import TableSchema
from strobe_app.desk import Desk


def show(workspace: Workspace, run: Run, desk: Desk) -> None:
    _part(desk, (), f"**{desk.report.title}**")
    numbers = iter(range(1, len(desk.report.panels) + 1))
    for holder in edit.holders(desk.report):
        section = desk.report.sections[holder[0]]
        title = section.title if len(holder) == 1 else f"· {section.groups[holder[1]].title}"
        _part(desk, holder, f"*{_plain(title)}*")
        for j, panel in enumerate(edit.held(desk.report, holder)):
            _part(desk, (*holder, j), f"{next(numbers)}  {_plain(title_of(panel))}")
    st.button("Add a section", on_click=_add_section, args=(desk,), icon=":material/add:", width="stretch")
    st.markdown("**What there is**")
    _results(workspace, run, desk)


def _part(desk: Desk, at: Holder, label: str) -> None:
    kind = "primary" if desk.chosen == at else "tertiary"
    st.button(label, key=f"builder at {at}", type=kind, on_click=desk.choose, args=(at,), width="stretch")  # type: ignore[arg-type]


def _plain(text: str) -> str:
    """Titles are words, not Markdown."""
    return text.translate({ord(c): f"\\{c}" for c in "*_[]`$:"})


def _add_section(desk: Desk) -> None:
    at = desk.chosen[0] + 1 if desk.chosen else len(desk.report.sections)
    desk.do(edit.add_section(desk.report, Section(title=f"Section {len(desk.report.sections) + 1}"), at), (at,))


# --- results -------------------------------------------------------------------------------------------------------------------------------------


def _results(workspace: Workspace, run: Run, desk: Desk) -> None:
    tables = results_of(workspace, run)
    if not tables:
        st.info(f"Run {run.name} has no results yet: `strobe analyze {run.name}` computes them.")
        return
    table = st.selectbox("Result", tables, key="builder result", help="results that are stored for this run")
    try:
        schema = workspace.schema(table, run)
        renderers = offered(workspace.registry, schema, table)
    except StrobeError as e:
        st.warning(str(e))
        return
    key = f"builder renderer {table}"
    st.selectbox("Drawn as", renderers, key=key, help="the renderers that its columns fit")
    # what is chosen is read at the click: a choice and a click that follow each other closely arrive together
    take = lambda: add(desk, panel_of(workspace, st.session_state[key], table))  # noqa: E731
    st.button("Add the panel", on_click=take, icon=":material/add:", width="stretch")
    with st.expander(f"{len(schema.columns)} columns"):
        _columns(schema)


def results_of(workspace: Workspace, run: Run) -> list[str]:
    """Tables with results of a run, looked up again when a folder of them has changed: a page runs again at every click."""
    folders = sorted(workspace.root.glob(f"results/*/{run.name}/*"))
    state = (str(workspace.root), run.name, *((str(f), f.stat().st_mtime_ns) for f in folders))
    kept = st.session_state.get("builder results")
    if kept is None or kept[0] != state:
        st.session_state["builder results"] = kept = (state, stored_tables(workspace, run))
    return kept[1]  # type: ignore[no-any-return]


def _columns(schema: TableSchema) -> None:
    for column in schema.columns.values():
        unit = f", {column.unit}" if column.unit and column.unit != "1" else ""
        st.caption(f"`{column.name}` {column.kind}{unit}: {column.description}")


def panel_of(workspace: Workspace, renderer: str, table: str) -> Panel:
    """A panel that draws a table; one made for it names no table."""
    made_for_it = workspace.registry.renderer(renderer).tables()[:1] == (table,)
    return Panel(renderer=renderer, table="" if made_for_it else table)


def add(desk: Desk, panel: Panel) -> None:
    """Below the chosen panel, or at the end of the chosen section (the last one, when none is)."""
    report = desk.report if desk.report.sections else edit.add_section(desk.report, Section(title="Section 1"), 0)
    if desk.panel is not None:
        at = (*desk.panel[:-1], desk.panel[-1] + 1)
    else:
        holder = desk.chosen or (len(report.sections) - 1,)
        at = (*holder, len(edit.held(report, holder)))
    desk.do(edit.add_panel(report, panel, at), at)
