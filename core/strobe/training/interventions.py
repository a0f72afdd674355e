"""Interventions: `before_step` hooks that act on a training only when the run names them (`--intervene NAME`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pluggy

from ..errors import UsageError
from ..hookspecs import PROJECT, EngineSpecs

if TYPE_CHECKING:
    from ..registration.registry import Registry


@dataclass(frozen=True, eq=False)
class Named:
    """An intervention by name: its code, which is part of a run's identity, and how to call it."""

    name: str
    code: str
    call: Callable[..., Any]


def named(registry: Registry, names: Sequence[str]) -> list[Named]:
    """The interventions of that name, loaded. Raises `UsageError` for a hook plugin that does not intervene."""
    return [_named(registry, name) for name in names]


def _named(registry: Registry, name: str) -> Named:
    plugin = registry.get("hook", name)
    found = plugin.load()
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(EngineSpecs)
    manager.register(found() if isinstance(found, type) else found, name)
    if not manager.hook.before_step.get_hookimpls():
        raise UsageError(f"{plugin.who} has no before_step hook, so it cannot intervene in a training")
    return Named(name, plugin.code, manager.hook.before_step)
