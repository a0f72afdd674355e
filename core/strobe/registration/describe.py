"""A plugin in words, for `strobe plugins list` and `show` and for the app: what its metadata tells, and with an import everything."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ..errors import PluginError

if TYPE_CHECKING:
    from ..storage.costs import Cost
    from .registry import Listing, Plugin

NEEDS = {
    "weights": "weights of a checkpoint",
    "activations": "the shared forward: activations",
    "attention": "the shared forward: attention",
    "outputs": "the shared forward: logits",
    "landscape": "forwards and gradients of its own",
    "trajectory": "all checkpoints of a run",
    "results": "stored results",
}
"""What analyzers of a category are given, known without an import."""
PRODUCES = {"renderer": "chart", "family": "models", "hook": "", "report": "report"}


def listing(plugin: Plugin, check: bool) -> Listing:
    """A line of the list; with `check` the plugin is imported, and a broken one says why."""
    if check and plugin.state == "ready":
        try:
            plugin.load()
        except PluginError as e:
            return replace(plugin.listing(), state="broken", why=str(e))
    return plugin.listing()


def line(plugin: Plugin, check: bool) -> dict[str, Any]:
    """Name, kind, category, package, version, state and why; what it needs and produces. Without `check`, what is known without an import."""
    found = listing(plugin, check)
    needs, produces = NEEDS.get(plugin.category, ""), f"table {plugin.name}" if plugin.kind == "analyzer" else PRODUCES.get(plugin.kind, "")
    if check and found.state == "loaded":
        needs, produces = _needs(plugin) or needs, _produces(plugin) or produces
    return {**asdict(found), "needs": needs, "produces": produces}


def _needs(plugin: Plugin) -> str:
    cls = plugin.load()
    if plugin.kind == "analyzer":
        only = f"family {' or '.join(cls.families)}" if cls.families else ""
        wanted = [*cls.sites, *(f"table {name}" for name in cls.upstream()), only]
        return ", ".join([", ".join(plugin.contract.arguments), *filter(None, wanted)])
    if plugin.kind == "renderer":
        tables = ", ".join(f"table {name}" for name in cls.tables())
        return tables or f"any table with {', '.join(f'{slot} ({type(want).__name__})' for slot, want in cls.slots.items() if not want.optional)}"
    return ""


def _produces(plugin: Plugin) -> str:
    from ..schema import declared

    if plugin.kind == "hook":
        return ", ".join(hooks_of(plugin.load()))
    if plugin.kind != "analyzer":
        return ""
    columns = declared(plugin.load().Row).values()
    return f"table {plugin.name}: {', '.join(c.name + (f' ({c.unit})' if c.unit not in ('', '1') else '') for c in columns)}"


def hooks_of(found: Any) -> list[str]:
    """The hooks around the core that a class or object implements."""
    from ..hookspecs import PROJECT, EngineSpecs

    names = [name for name in vars(EngineSpecs) if not name.startswith("_")]
    return [name for name in names if hasattr(getattr(found, name, None), f"{PROJECT}_impl")]


def describe(plugin: Plugin, cost: Cost | None = None) -> dict[str, Any]:
    """Everything about a plugin that its users need. `cost`: what it cost last time in a workspace. Imports it."""
    entry: dict[str, Any] = {**line(plugin, check=True), "entry_point": plugin.entry.value if plugin.entry else ""}
    entry["requires"] = plugin.entry.package.requirements if plugin.entry and plugin.package != "strobe" else []
    with contextlib.suppress(PluginError):
        cls = plugin.load()
        entry["description"] = inspect.cleandoc(cls.__doc__ or "") if isinstance(cls, type) else ""
        if hasattr(cls, "model_fields"):
            entry["settings"] = [{**_setting(n, f), "description": _meaning(cls, n, f)} for n, f in cls.model_fields.items()]
        entry |= {"analyzer": _analyzer, "renderer": _renderer, "hook": _hook}.get(plugin.kind, _nothing)(plugin, cls)
    if cost is not None:
        entry["cost"] = {**asdict(cost), "said": cost.said("checkpoint" if plugin.category not in ("trajectory", "results") else "run")}
    return entry


def _meaning(cls: Any, name: str, field: Any) -> str:
    return str(cls.describe(name) if hasattr(cls, "describe") else field.description or "")


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


def _renderer(plugin: Plugin, cls: Any) -> dict[str, Any]:
    slots = {name: type(slot).__name__ for name, slot in cls.slots.items()}
    return {"consumes": list(cls.tables()), "slots": slots, "over": list(cls.over), "at": list(cls.at)}


def _hook(plugin: Plugin, cls: Any) -> dict[str, Any]:
    return {"hooks": hooks_of(cls)}


def _nothing(plugin: Plugin, cls: Any) -> Mapping[str, Any]:
    return {}
