"""plugins list, show, disable, enable."""

from __future__ import annotations

import contextlib
import textwrap
from dataclasses import replace
from typing import Any

from ..errors import PluginError, UsageError, did_you_mean
from ..registration.registry import KINDS, Listing, Plugin, Registry, set_disabled
from .output import print_json, print_table


def list_plugins(as_json: bool, kind: str, check: bool) -> None:
    if kind and kind not in KINDS.values():
        raise UsageError(f"no kind {kind!r}{did_you_mean(kind, KINDS.values())}")
    listings = [listing(p, check) for p in Registry.discover().all() if kind in ("", p.kind)]
    if as_json:
        print_json([vars(entry) for entry in listings])
        return
    print_table([vars(entry) for entry in listings], ["name", "kind", "category", "package", "version", "state", "why"], "no plugins")
    if not check:
        print("ready: found, not imported yet; --check imports each")


def listing(plugin: Plugin, check: bool) -> Listing:
    """A line of the list; with `check` the plugin is imported, and a broken one says why."""
    if check and plugin.state == "ready":
        try:
            plugin.load()
        except PluginError as e:
            return replace(plugin.listing(), state="broken", why=str(e))
    return plugin.listing()


def show(name: str, as_json: bool) -> None:
    shown = [describe(p) for p in Registry.discover().find(name)]
    if as_json:
        print_json(shown)
        return
    for entry in shown:
        print_plugin(entry)


def describe(plugin: Plugin) -> dict[str, Any]:
    """Everything about a plugin that its users need."""
    entry: dict[str, Any] = {**vars(listing(plugin, check=True)), "entry_point": plugin.entry.value if plugin.entry else ""}
    with contextlib.suppress(PluginError):
        cls = plugin.load()
        entry["description"] = textwrap.dedent((cls.__doc__ or "").strip()) if isinstance(cls, type) else ""
        if plugin.kind not in ("hook", "report"):
            entry["settings"] = [{**_setting(n, f), "description": cls.describe(n)} for n, f in cls.model_fields.items()]
        if plugin.kind == "analyzer":
            entry |= _analyzer(plugin, cls)
        if plugin.kind == "renderer":
            entry |= {
                "consumes": list(cls.tables()),
                "slots": {n: type(s).__name__ for n, s in cls.slots.items()},
                "over": list(cls.over),
                "at": list(cls.at),
            }
    return entry


def _setting(name: str, field: Any) -> dict[str, Any]:
    return {
        "name": name,
        "type": str(field.annotation).replace("<class '", "").replace("'>", ""),
        "default": field.get_default(call_default_factory=True),
    }


def _analyzer(plugin: Plugin, cls: Any) -> dict[str, Any]:
    from ..schema import declared

    return {
        "hook": plugin.contract.hook,
        "arguments": list(plugin.contract.arguments),
        "sites": {pattern: repr(where) for pattern, where in cls.sites.items()},
        "consumes": list(cls.upstream()),
        "families": list(cls.families),
        "where": {name: " or ".join(map(str, values)) for name, values in cls.where.items()},
        "columns": [{**vars(c), "dims": list(c.dims)} for c in declared(cls.Row).values()],
    }


def print_plugin(entry: dict[str, Any]) -> None:
    kind = ", ".join(filter(None, (entry["kind"], entry["category"])))
    print(f"{entry['name']}  ({kind})  {entry['package']} {entry['version']}  {entry['state']}")
    if entry["why"]:
        print(f"  {entry['why']}")
    if entry.get("description"):
        print(textwrap.indent(entry["description"], "  "))
    for name in ("arguments", "sites", "consumes", "families", "where", "slots", "over", "at"):
        if entry.get(name):
            print(f"  {name}: {entry[name] if isinstance(entry[name], dict) else ', '.join(map(str, entry[name]))}")
    for setting in entry.get("settings", []):
        print(f"  setting {setting['name']}: {setting['type']} = {setting['default']!r}: {setting['description']}".rstrip(": "))
    for c in entry.get("columns", []):
        shape = f"[{', '.join(c['dims'])}]" if c["dims"] else ""
        type_ = ", ".join(filter(None, (c["type"] + (" or null" if c["nullable"] else ""), c["unit"])))
        print(f"  column {c['name']}{shape}: {type_}: {c['description']}")


def disable(name: str) -> None:
    known = [text for p in Registry.discover().all() for text in (p.name, *(f"{package}:{p.name}" for package in p.package.split(" and ")))]
    if name not in known:
        raise UsageError(f"no plugin {name!r}{did_you_mean(name, known)}")
    set_disabled(name, off=True)
    print(f"{name} is disabled; `strobe plugins enable {name}` brings it back")


def enable(name: str) -> None:
    set_disabled(name, off=False)
    print(f"{name} is enabled")
