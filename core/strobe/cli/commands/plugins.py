"""Plugins."""

from __future__ import annotations

from pathlib import Path
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


@group.command("new")
def plugins_new(
    name: Annotated[str, typer.Argument(help="What it measures or draws: participation makes the package strobe-participation.")],
    weights: Annotated[bool, typer.Option("--weights", help="An analyzer of weights [default].")] = False,
    activations: Annotated[bool, typer.Option("--activations", help="An analyzer of activations.")] = False,
    attention: Annotated[bool, typer.Option("--attention", help="An analyzer of attention patterns.")] = False,
    outputs: Annotated[bool, typer.Option("--outputs", help="An analyzer of what the model answers.")] = False,
    landscape: Annotated[bool, typer.Option("--landscape", help="An analyzer of the loss around a checkpoint.")] = False,
    trajectory: Annotated[bool, typer.Option("--trajectory", help="An analyzer of a run's checkpoints, all steps.")] = False,
    results: Annotated[bool, typer.Option("--results", help="An analyzer of other analyzers' rows.")] = False,
    renderer: Annotated[bool, typer.Option("--renderer", help="A renderer alone, for any table.")] = False,
    family: Annotated[bool, typer.Option("--family", help="A model and its task.")] = False,
    from_: Annotated[str, typer.Option("--from", metavar="FILE", help="Take the analyzer from mine.py, mine.py:Mine or a notebook.")] = "",
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to make the package's folder in.")] = Path(),
) -> None:
    """Write a complete package: analyzer, renderer, tests, README, CI."""
    flags = {"weights": weights, "activations": activations, "attention": attention, "outputs": outputs, "landscape": landscape}
    flags |= {"trajectory": trajectory, "results": results, "renderer": renderer, "family": family}
    command("plugins_new", "new")(name, [kind for kind, wanted in flags.items() if wanted], from_, output)


@group.command("check")
def plugins_check(
    what: Annotated[str, typer.Argument(metavar="PATH|NAME", help="A package's folder, a file (mine.py:Mine), a package or a plugin.")] = ".",
    json: Json = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also what passed, and what does not apply.")] = False,
) -> None:
    """Try a plugin on a tiny run: is it deterministic, does it leave its inputs alone, does it take NaN, ... and what to change."""
    raise typer.Exit(command("plugins_check", "check")(what, json, verbose))


@group.command("disable")
def plugins_disable(name: Annotated[str, typer.Argument(help="NAME, or PACKAGE:NAME for one of two that clash.")]) -> None:
    """Leave a plugin out until it is enabled again."""
    command("plugins", "disable")(name)


@group.command("enable")
def plugins_enable(name: str) -> None:
    """Bring a disabled plugin back."""
    command("plugins", "enable")(name)
