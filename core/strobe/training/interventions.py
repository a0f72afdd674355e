"""Interventions: `before_step` hooks that act on a training only if the run names them: `--intervene NAME`, `--intervene NAME:SETTING=VALUE,...`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pluggy

from ..errors import UsageError
from ..hookspecs import PROJECT, EngineSpecs

if TYPE_CHECKING:
    from ..registration.registry import Plugin, Registry


@dataclass(frozen=True, eq=False)
class Named:
    """An intervention with its settings as a run records it; its code, which is part of a run's identity, and how to call it."""

    name: str
    code: str
    call: Callable[..., Any]


def named(registry: Registry, names: Sequence[str]) -> list[Named]:
    """The interventions of these names, loaded. A hook class that is a pydantic model has settings: `NAME:start=500,strength=0.1`.

    Raises `UsageError` for a hook plugin that does not intervene, and for a setting that it does not have.
    """
    return [_named(registry, name) for name in names]


def _named(registry: Registry, given: str) -> Named:
    name, settings = parted(given)
    plugin = registry.get("hook", name)
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(EngineSpecs)
    manager.register(_acting(plugin, settings), name)
    if not manager.hook.before_step.get_hookimpls():
        raise UsageError(f"{plugin.who} has no before_step hook, so it cannot intervene in a training")
    return Named(whole(name, settings), plugin.code, manager.hook.before_step)


def _acting(plugin: Plugin, settings: Mapping[str, str]) -> object:
    from pydantic import BaseModel

    from ..analysis.request import configured

    found = plugin.load()
    if isinstance(found, type) and issubclass(found, BaseModel):
        return configured(found, plugin.who, settings)
    if settings:
        raise UsageError(f"{plugin.who} has no settings; write `--intervene {plugin.name}`, or make the hook's class a pydantic model")
    return found() if isinstance(found, type) else found


def parted(given: str) -> tuple[str, dict[str, str]]:
    """`clip:start=500,strength=0.1` -> its name and its settings as text. Raises `UsageError` for what is no setting."""
    name, colon, text = given.partition(":")
    pairs = [pair.partition("=") for pair in text.split(",")] if colon else []
    for key, equals, value in pairs:
        if not (key and equals and value):
            raise UsageError(f"--intervene {given!r}: write NAME or NAME:SETTING=VALUE,..., for example {name}:start=500")
    return name, {key.strip(): value.strip() for key, _, value in pairs}


def whole(name: str, settings: Mapping[str, str]) -> str:
    """An intervention as text; the order in which settings were given does not make another run."""
    return f"{name}:{','.join(f'{key}={settings[key]}' for key in sorted(settings))}" if settings else name
