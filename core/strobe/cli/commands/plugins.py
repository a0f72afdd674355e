"""Plugins."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import Json, command

root = typer.Typer()
group = typer.Typer(name="plugins", help="Installed analyzers, renderers, families and hooks.", no_args_is_help=True, rich_markup_mode=None)
root.add_typer(group)


@group.command("list")
def plugins_list(
    json: Json = False,
    kind: Annotated[str, typer.Option(help="analyzer, renderer, family or hook.")] = "",
    check: Annotated[bool, typer.Option("--check", help="Import each one, and say which are broken.")] = False,
) -> None:
    """List every plugin by category, from package metadata alone."""
    command("plugins", "list_plugins")(json, kind, check)


@group.command("show")
def plugins_show(name: str, json: Json = False) -> None:
    """Show a plugin: what it computes or draws, settings, columns, sites."""
    command("plugins", "show")(name, json)


@group.command("disable")
def plugins_disable(name: Annotated[str, typer.Argument(help="NAME, or PACKAGE:NAME for one of two that clash.")]) -> None:
    """Leave a plugin out until it is enabled again."""
    command("plugins", "disable")(name)


@group.command("enable")
def plugins_enable(name: str) -> None:
    """Bring a disabled plugin back."""
    command("plugins", "enable")(name)
