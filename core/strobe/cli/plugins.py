"""plugins list, show, needs, disable, enable."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from ..errors import UsageError, did_you_mean
from ..registration.describe import describe, line
from ..registration.registry import KINDS, LISTED_BY, Registry
from ..registration.settings import disabled, set_disabled
from .output import print_json, print_table

COLUMNS = ["name", "kind", "category", "package", "version", "state", "needs", "produces", "why"]


def list_plugins(root: Path, as_json: bool, kind: str, check: bool) -> None:
    if kind and kind not in KINDS.values():
        raise UsageError(f"no kind {kind!r}{did_you_mean(kind, KINDS.values())}")
    listed = [line(p, check) for p in Registry.discover(root).all() if kind in ("", p.kind)]
    if as_json:
        print_json(listed)
        return
    print_table(listed, COLUMNS, "no plugins")
    if not check:
        print("ready: found, not imported yet; --check imports each, and says what exactly it needs and produces")


def show(root: Path, name: str, as_json: bool) -> None:
    from ..storage import costs

    known = costs.read(root)
    shown = [describe(p, known.get(p.name) if p.kind == "analyzer" else None) for p in Registry.discover(root).find(name)]
    if as_json:
        print_json(shown)
        return
    for entry in shown:
        print_plugin(entry)


def print_plugin(entry: dict[str, Any]) -> None:
    kind = ", ".join(filter(None, (entry["kind"], entry["category"])))
    print(f"{entry['name']}  ({kind})  {entry['package']} {entry['version']}  {entry['state']}")
    if entry["why"]:
        print(f"  {entry['why']}")
    if entry.get("description"):
        print(textwrap.indent(entry["description"], "  "))
    for name in ("arguments", "sites", "consumes", "families", "where", "slots", "over", "at", "hooks", "requires"):
        if entry.get(name):
            print(f"  {name}: {entry[name] if isinstance(entry[name], dict) else ', '.join(map(str, entry[name]))}")
    for setting in entry.get("settings", []):
        print(f"  setting {setting['name']}: {setting['type']} = {setting['default']!r}: {setting['description']}".rstrip(": "))
    for c in entry.get("columns", []):
        shape = f"[{', '.join(c['dims'])}]" if c["dims"] else ""
        type_ = ", ".join(filter(None, (c["type"] + (" or null" if c["nullable"] else ""), c["unit"])))
        print(f"  column {c['name']}{shape}: {type_}: {c['description']}")
    if "cost" in entry:
        print(f"  cost: {entry['cost']['said']}")
    elif entry["kind"] == "analyzer":
        print("  cost: not measured in this workspace yet; `strobe analyze` measures it")


def needs(root: Path, as_json: bool) -> None:
    """Packages that made the results of a workspace, or that its reports require."""
    from ..registration.needs import needs as needed
    from ..workspace import Workspace

    found = needed(Workspace(root))
    if as_json:
        print_json([{**vars(n), "install": n.install} for n in found])
        return
    rows = [{**vars(n), "needed by": ", ".join(n.needed_by), "install": n.install} for n in found]
    print_table(rows, ["requirement", "installed", "state", "needed by", "install"], "only strobe itself is needed here")


def disable(root: Path, name: str, user: bool) -> None:
    known = [text for p in Registry.discover(root).all() for text in (p.name, *(f"{package}:{p.name}" for package in p.package.split(" and ")))]
    if name not in known:
        raise UsageError(f"no plugin {name!r}{did_you_mean(name, known, LISTED_BY)}")
    where = _place(root, user)
    file = set_disabled(name, off=True, root=None if user else root)
    back = "--user" if user else f"--workspace {root}"
    print(f"{name} is disabled {where} ({file}); `strobe plugins enable {name} {back}` brings it back")


def enable(root: Path, name: str, user: bool) -> None:
    before = disabled(root)
    where = _place(root, user)
    file = set_disabled(name, off=False, root=None if user else root)
    print(f"{name} is enabled {where} ({file})")
    if user and name in before.workspace:
        print(f"still disabled in the workspace {root}: `strobe plugins enable {name} --workspace {root}`")


def _place(root: Path, user: bool) -> str:
    """Where it applies, in words. A workspace that is not there yet is not made for this."""
    if user:
        return "for this user, in every workspace"
    if not root.is_dir():
        raise UsageError(f"there is no workspace {root}: give one with --workspace, or say --user for all of this user's workspaces")
    return f"in the workspace {root}"
