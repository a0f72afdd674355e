"""The app: the report of a run at one step, and the page Runs. Streamlit runs this file from top to bottom at every change."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from strobe import StrobeError, Workspace, charts
from strobe.panels.cards import Group, cards_of, choices, resolve, signed
from strobe.panels.moments import events_of
from strobe.reports.default import default_report
from strobe.reports.library import find
from strobe.reports.model import Report
from strobe.runs.labels import unarchived
from strobe.runs.run import Run
from strobe_app import board, builder_page, cursor, exports_page, panels, plugins_page, query_page, runs_page, sidebar
from strobe_app.folder import workspace_folder
from strobe_app.gallery import Gallery
from strobe_app.look import theme
from strobe_app.routes import frames_of

LOOK = """<style>
.stMainBlockContainer {{ padding: 2rem 1.25rem 3rem; }}
.stMainBlockContainer h1 {{ font-size: 26px; padding: 0; }}
.stMainBlockContainer h3 {{ font-size: 17px; padding: 10px 0 0; }}
.stMainBlockContainer [data-testid="stCaptionContainer"] p {{ font-size: 12px; }}
[class*="st-key-card-"] {{ background: {card}; border-color: {border}; border-radius: 10px; }}
[class*="st-key-card-"] [data-testid="stVegaLiteChart"] {{ overflow-x: auto; }}
.st-key-jobs {{ margin-top: 10px; }}
.st-key-jobs p {{ overflow-wrap: anywhere; }}
[class*="st-key-event"] button {{ min-height: 24px; padding: 0 8px; }}
</style>"""


def main() -> None:
    st.set_page_config("Strobe", layout="wide", initial_sidebar_state="expanded")
    st.html(_look())
    # no icons: Streamlit makes a favicon of a page's icon, and fetches it from the network
    report = st.Page(_report_page, title="Report", default=True)
    runs = st.Page(lambda: _said(lambda workspace: runs_page.show(workspace, report)), title="Runs", url_path="runs")
    builder = st.Page(lambda: _said(lambda workspace: builder_page.show(workspace, report)), title="Builder", url_path="builder")
    query = st.Page(lambda: _said(lambda workspace: query_page.show(workspace, builder)), title="Query", url_path="query")
    plugins = st.Page(lambda: _said(plugins_page.show), title="Plugins", url_path="plugins")
    exports = st.Page(lambda: _said(exports_page.show), title="Exports", url_path="exports")
    st.session_state["exports page"] = exports
    st.navigation([report, builder, query, runs, exports, plugins]).run()


def _report_page() -> None:
    _said(page)


def _said(shown: Callable[[Workspace], None]) -> None:
    try:
        shown(workspace_at(workspace_folder()))
    except StrobeError as e:  # what a person can mend is said in words; anything else is a bug and shows its traceback
        st.error(str(e))


def page(workspace: Workspace) -> None:
    """The sidebar, then the report."""
    runs = unarchived(workspace.runs())
    if not runs:
        _nothing_yet(workspace)
        return
    with st.sidebar:
        run = sidebar.choose_run(workspace, runs)
        report = sidebar.choose_report(workspace, run)
        if not run.steps:
            st.info(f"Run {run.name} has no checkpoints yet: `strobe train {run.name} --resume` makes some.")
            return
    if board.available():
        board_page(workspace, run, report)
    else:
        plain_page(workspace, run, report)


def board_page(workspace: Workspace, run: Run, report: str) -> None:
    """The report on the board, which moves by itself."""
    frames = frames_of(workspace_folder())
    page = frames.page(run.name, report)
    if page.problem:
        st.error(page.problem)
    _head(workspace, run, page.report, page.groups)
    cursor.to_address({"run": run.name, "report": report, **board.looking()})
    board.show(frames, run.name, report, theme())
    with st.sidebar:
        sidebar.sign(workspace)
    st.caption(signed(workspace, run))


def plain_page(workspace: Workspace, run: Run, report: str) -> None:
    """The report as plain charts: every step is drawn by the server."""
    board.explain()
    with st.sidebar:
        step = sidebar.choose_step(run, events_of(workspace, run))
    chosen = _report(workspace, report, run)
    groups = resolve(workspace, chosen, run)
    with st.sidebar:
        coordinates = sidebar.choose_coordinates(choices(workspace, run, cards_of(groups)))
        sidebar.sign(workspace)
    _head(workspace, run, chosen, groups)
    plain = {"board": "0"} if st.query_params.get("board") == "0" else {}
    cursor.to_address({"run": run.name, "report": report, "step": step, **coordinates, **plain})
    panels.show(workspace, groups, {"run": run.name, "step": step, **coordinates}, theme(), _gallery())
    st.caption(signed(workspace, run))


def _head(workspace: Workspace, run: Run, report: Report, groups: Sequence[Group]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.title(report.title, anchor=False)
        if "exports page" in st.session_state:
            st.page_link(st.session_state["exports page"], label="Export", help="This report as HTML, picture, film or Markdown")
    if report.description:
        st.markdown(report.description)
    if not groups:
        st.info(f"Nothing has been computed for this run yet. Type `strobe analyze {run.name} --workspace {workspace.root}`, then reload this page.")


def _nothing_yet(workspace: Workspace) -> None:
    at = f"--workspace {workspace.root}"
    st.title("Strobe", anchor=False)
    st.info(f"The workspace {workspace.root} has no runs yet. Make one in a terminal, then reload this page:")
    st.code(f"strobe demo {at}\nstrobe train modular_addition {at}\nstrobe import CHECKPOINTS --family modular_addition {at}", language=None)
    with st.sidebar:
        sidebar.sign(workspace)


def _report(workspace: Workspace, name: str, run: Run) -> Report:
    """The chosen report; one that cannot be read is said to be so, and the run's own is shown."""
    try:
        return find(workspace, name, run)
    except StrobeError as e:
        st.error(str(e))
        return default_report(workspace, run)


def _look() -> str:
    look = charts.theme(theme())["usermeta"]["strobe"]
    return LOOK.format(card=look["palette"]["card"], border=look["card"]["border"])


def workspace_at(folder: str) -> Workspace:
    """One workspace per folder and process: the installed plugins are looked up once."""
    return frames_of(folder).workspace


@st.cache_resource(show_spinner=False)
def _gallery() -> Gallery:
    return Gallery()


main()
