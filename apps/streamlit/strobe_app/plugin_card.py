"""One plugin on the page Plugins: docstring, settings, columns, cost; on or off; an analyzer tried on a run."""

from __future__ import annotations

import re
from typing import Any

import streamlit as st

from strobe import Workspace
from strobe.registration.describe import describe
from strobe.registration.registry import Plugin
from strobe.registration.settings import set_disabled
from strobe.storage import costs
from strobe_app import try_analyzer

WORDS = {
    "arguments": "Is given",
    "sites": "Captures",
    "consumes": "Reads",
    "families": "Only for",
    "where": "Only where",
    "slots": "Slots",
    "over": "Keeps all",
    "at": "Is cut at",
    "hooks": "Implements",
    "requires": "Package requires",
    "entry_point": "Lies at",
}

LINES = re.compile(r"\n(?=Cost:|Source:)")
"""What stands on a line of its own."""


def show(workspace: Workspace, plugin: Plugin) -> None:
    """Everything about a plugin; one that is not imported yet is imported for it."""
    said = describe(plugin, costs.read(workspace.root).get(plugin.name) if plugin.kind == "analyzer" else None)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"#### {said['name']}", width="content")
        switch(workspace, plugin)
    st.caption(" · ".join(filter(None, (said["kind"], said["category"], f"{said['package']} {said['version']}".strip(), said["state"]))))
    if said["why"]:
        st.warning(said["why"])
    _docstring(said.get("description", ""))
    for name, word in WORDS.items():
        if value := [r for r in said.get(name, ()) if "extra ==" not in r] if name == "requires" else said.get(name):
            st.markdown(f"**{word}** {_said(value)}")
    if plugin.kind == "analyzer":
        st.markdown(f"**Cost** {said['cost']['said'] if 'cost' in said else 'not measured in this workspace yet'}")
    _settings(said.get("settings", []))
    _columns(said.get("columns", []))
    if plugin.kind == "analyzer" and said["state"] == "loaded":
        try_analyzer.show(workspace, plugin)


def switch(workspace: Workspace, plugin: Plugin, package: str = "") -> None:
    """The button that leaves a plugin (of two packages with one name: that package's) out of this workspace, or brings it back."""
    off = plugin.state == "disabled"
    name = f"{package}:{plugin.name}" if package else plugin.name
    label = "Enable here" if off else f"Leave out {package}" if package else "Disable here"
    where = f"in the workspace {workspace.root}; other workspaces are not concerned"
    st.button(label, key=f"switch {plugin.kind} {name}", on_click=_switched, args=(workspace, name, not off), help=where)


def _switched(workspace: Workspace, name: str, off: bool) -> None:
    workspace.root.mkdir(parents=True, exist_ok=True)
    set_disabled(name, off=off, root=workspace.root)
    workspace.__dict__.pop("registry", None)  # looked up anew


def _docstring(text: str) -> None:
    """The first line as a sentence, the rest as it was written."""
    first, _, rest = text.partition("\n")
    if first:
        st.markdown(first)
    if rest.strip():
        st.markdown(LINES.sub("  \\n", rest.strip()))


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"`{name}` {what}" for name, what in value.items())
    return ", ".join(f"`{v}`" for v in (value if isinstance(value, list) else [value]))


def _settings(settings: list[dict[str, Any]]) -> None:
    if settings:
        st.markdown("**Settings**")
        st.dataframe([{k: str(s[k]) for k in ("name", "type", "default", "description")} for s in settings], hide_index=True)


def _columns(columns: list[dict[str, Any]]) -> None:
    if columns:
        st.markdown("**Columns**")
        rows = [
            {
                "column": c["name"] + (f"[{', '.join(c['dims'])}]" if c["dims"] else ""),
                "kind": c["kind"],
                "unit": c["unit"],
                "type": c["type"] + (" or null" if c["nullable"] else ""),
                "description": c["description"],
            }
            for c in columns
        ]
        st.dataframe(rows, hide_index=True)
