"""The page Plugins: what is installed, what is broken and how to mend it, what reports and results need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from strobe import Workspace
from strobe.registration.describe import line
from strobe.registration.needs import Need, needs, quoted
from strobe.registration.registry import CATEGORIES, Plugin
from strobe.reports.library import check, shelves
from strobe.reports.requirements import unmet
from strobe_app import plugin_card, sidebar

UNUSABLE = ("broken", "clash", "incompatible")
KINDS = ("analyzer", "renderer", "family", "report", "hook")
LISTED = ["name", "kind", "category", "package", "version", "state", "needs", "produces"]
CHOSEN = "plugin chosen"


def show(workspace: Workspace) -> None:
    """The page, on one workspace."""
    with st.sidebar:
        sidebar.sign(workspace)
    st.title("Plugins", anchor=False)
    listed = workspace.registry.all()
    broken = [p for p in listed if _line(p)["state"] in UNUSABLE]
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        packages = {p.package for p in listed}
        st.markdown(f"**{len(listed):,}** plugins of {len(packages):,} package{'s' if len(packages) != 1 else ''}", width="content")
        st.button("Look again", key="plugins again", on_click=forget, args=(workspace,), help="After `strobe plugins install` or `uninstall`")
    names = ("Installed", f"To mend ({len(broken)})" if broken else "To mend", "Needed here")
    installed, mend, needed = st.tabs(names, key="plugins tabs", on_change="rerun")
    if installed.open:
        with installed:
            _installed(workspace, listed)
    if mend.open:
        with mend:
            _to_mend(workspace, listed, broken)
    if needed.open:
        with needed:
            _needed(workspace)


def forget(workspace: Workspace) -> None:
    """Have the installed plugins looked up anew."""
    workspace.__dict__.pop("registry", None)


def _line(plugin: Plugin) -> Mapping[str, Any]:
    """What is known without importing it; of one that has been imported and is broken, why."""
    return st.session_state.get("plugins checked", {}).get((plugin.kind, plugin.name, plugin.version)) or line(plugin, check=False)


# --- installed -----------------------------------------------------------------------------------------------------------------------------------


def _installed(workspace: Workspace, listed: Sequence[Plugin]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input("Search", key="plugins search", placeholder="name, package, docstring", width=260)
        kind = st.selectbox("Kind", ["", *KINDS], key="plugins kind", format_func=lambda k: k or "all", width=140)
        category = st.selectbox("Category", ["", *CATEGORIES], key="plugins category", format_func=lambda c: c or "all", width=160)
        strangers = st.toggle("Other packages only", key="plugins strangers")
    found = [p for p in listed if _asked(p, words, kind, category, strangers)]
    if not found:
        st.info("No plugin is called so. Search for less, or `strobe plugins install PACKAGE`.")
        return
    rows = [{name: _line(p)[name] for name in LISTED} for p in found]
    event = st.dataframe(
        rows, hide_index=True, height=min(38 + 35 * len(rows), 388), on_select="rerun", selection_mode="single-row", key="plugins rows"
    )
    chosen = next(iter(event.get("selection", {}).get("rows", [])), None)
    if chosen is not None and chosen < len(found):
        st.session_state[CHOSEN] = (found[chosen].kind, found[chosen].name)
    plugin = next((p for p in found if (p.kind, p.name) == st.session_state.get(CHOSEN)), found[0] if len(found) == 1 else None)
    if plugin is None:
        st.caption(f"{len(found):,} plugins. Choose a row to read about it.")
    else:
        with st.container(border=True, key="card-plugin"):
            plugin_card.show(workspace, plugin)


def _asked(plugin: Plugin, words: str, kind: str, category: str, strangers: bool) -> bool:
    text = f"{plugin.name} {plugin.package} {plugin.category}".lower()
    if words and not all(word in text or word in _docstring(plugin) for word in words.lower().split()):
        return False
    return kind in ("", plugin.kind) and category in ("", plugin.category) and not (strangers and plugin.package == "strobe")


def _docstring(plugin: Plugin) -> str:
    """The docstring of a plugin that is imported already: a search imports nothing."""
    found = plugin.load() if plugin.listing().state == "loaded" else None
    return str(getattr(found, "__doc__", "") or "").lower()


# --- to mend -------------------------------------------------------------------------------------------------------------------------------------


def _to_mend(workspace: Workspace, listed: Sequence[Plugin], broken: Sequence[Plugin]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Import each and check", key="plugins check", help="Some say only when they are imported that they are broken"):
            with st.spinner("Importing…"):
                st.session_state["plugins checked"] = {(p.kind, p.name, p.version): line(p, check=True) for p in listed}
            st.rerun()
    if not broken:
        checked = "plugins checked" in st.session_state
        st.success("Every plugin can be used." if checked else "Nothing is wrong as far as the metadata of packages tells.")
    for plugin in broken:
        with st.container(border=True, gap="xsmall"):
            said = _line(plugin)
            st.markdown(f"**{plugin.name}** · {plugin.kind} · {said['package']} {said['version']} · :red[{said['state']}]")
            st.markdown(said["why"])
            _disable(workspace, plugin)
    for plugin in (p for p in listed if p.state == "disabled"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{plugin.name}** · {plugin.package} · {plugin.why}")
            plugin_card.switch(workspace, plugin)


def _disable(workspace: Workspace, plugin: Plugin) -> None:
    """Of two packages of one name, either may go."""
    with st.container(horizontal=True):
        for package in plugin.package.split(" and ") if plugin.state == "clash" else [""]:
            plugin_card.switch(workspace, plugin, package)


# --- needed --------------------------------------------------------------------------------------------------------------------------------------


def _needed(workspace: Workspace) -> None:
    st.markdown("##### Packages")
    st.caption("Other packages that made results of this workspace, or that its reports require. Results stay readable without them.")
    found = needs(workspace)
    if found:
        st.dataframe([_need(n) for n in found], hide_index=True)
    else:
        st.markdown("Only Strobe itself is needed here.")
    if missing := [n for n in found if n.state != "installed"]:
        st.code(f"strobe plugins install {' '.join(quoted(n.requirement) for n in missing)}", language=None)
    st.markdown("##### Reports")
    for report in shelves(workspace):
        _report(workspace, report)


def _need(n: Need) -> dict[str, str]:
    return {"requirement": n.requirement, "installed": n.installed, "state": n.state, "needed by": ", ".join(n.needed_by)}


def _report(workspace: Workspace, report: Any) -> None:
    """One report: sound, or what it lacks."""
    missing = unmet(report.requires)
    label = f"{report.name}: {report.title}" + (f" · :red[lacks {', '.join(missing)}]" if missing else "")
    with st.expander(label, key=f"plugins report {report.name} {report.origin}", on_change="rerun") as opened:
        if opened.open:
            lacks = check(workspace, report.file) if report.file else report.problems
            for problem in lacks:
                st.warning(problem, icon=":material/info:")
            if not lacks:
                st.success("It has all that it needs.")
