"""Plugins."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import Folder, Json, command, workspace_path

root = typer.Typer()
group = typer.Typer(name="plugins", help="Installed analyzers, renderers, families and hooks.", no_args_is_help=True, rich_markup_mode=None)
root.add_typer(group)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a plugin; `strobe plugins list` has them.")]


@group.command("list")
def plugins_list(
    workspace: Folder = "",
    json: Json = False,
    kind: Annotated[str, typer.Option(help="analyzer, renderer, family or hook.")] = "",
    check: Annotated[bool, typer.Option("--check", help="Import each one, and say which are broken.")] = False,
) -> None:
    """List every plugin by category. What it needs and produces, from package metadata alone."""
    command("plugins", "list_plugins")(workspace_path(workspace), json, kind, check)


@group.command("show")
def plugins_show(name: Name, workspace: Folder = "", json: Json = False) -> None:
    """Show a plugin. What it computes or draws, settings, columns, sites, and its cost when it last ran in the workspace."""
    command("plugins", "show")(workspace_path(workspace), name, json)


@group.command("needs")
def plugins_needs(workspace: Folder = "", json: Json = False) -> None:
    """List the packages that a workspace needs. Those that made its results or that its reports require, and which are missing."""
    command("plugins", "needs")(workspace_path(workspace), json)


@group.command("new")
def plugins_new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it measures or draws: participation makes the package strobe-participation.")],
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
    """Write a complete package. Analyzer, renderer, tests, README, CI."""
    flags = {"weights": weights, "activations": activations, "attention": attention, "outputs": outputs, "landscape": landscape}
    flags |= {"trajectory": trajectory, "results": results, "renderer": renderer, "family": family}
    command("plugins_new", "new")(name, [kind for kind, wanted in flags.items() if wanted], from_, output)


@group.command("check")
def plugins_check(
    what: Annotated[str, typer.Argument(metavar="PATH|NAME", help="A package's folder, a file (mine.py:Mine), a package or a plugin.")] = ".",
    json: Json = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also what passed, and what does not apply.")] = False,
) -> None:
    """Try a plugin on a tiny run, and say what to change. Is it deterministic, does it leave its inputs alone, does it take NaN, ...?"""
    raise typer.Exit(command("plugins_check", "check")(what, json, verbose))


User = Annotated[bool, typer.Option("--user", help="For this user, in every workspace, instead of one workspace.")]


@group.command("disable")
def plugins_disable(
    name: Annotated[str, typer.Argument(metavar="NAME", help="NAME, or PACKAGE:NAME for one of two that clash.")],
    workspace: Folder = "",
    user: User = False,
) -> None:
    """Leave a plugin out of a workspace until it is enabled again."""
    command("plugins", "disable")(workspace_path(workspace), name, user)


@group.command("enable")
def plugins_enable(name: Name, workspace: Folder = "", user: User = False) -> None:
    """Bring a disabled plugin back."""
    command("plugins", "enable")(workspace_path(workspace), name, user)


@group.command("install")
def plugins_install(
    packages: Annotated[list[str], typer.Argument(metavar="PACKAGE ...", help="Packages, with versions: 'strobe-phase>=0.2'.")],
    folder: Annotated[bool, typer.Option("--folder", help="They may be folders or wheels.")] = False,
    editable: Annotated[bool, typer.Option("-e", "--editable", help="Folders whose sources are used as they are.")] = False,
    workspace: Folder = "",
) -> None:
    """Run `pip install`, and say which plugins came. In Strobe's own environment."""
    raise typer.Exit(command("plugins_install", "install")(packages, workspace_path(workspace), folders=folder, editable=editable))


@group.command("uninstall")
def plugins_uninstall(
    packages: Annotated[list[str], typer.Argument(metavar="PACKAGE ...", help="Packages to remove.")], workspace: Folder = ""
) -> None:
    """Run `pip uninstall`, and say which plugins went. Their stored results stay."""
    raise typer.Exit(command("plugins_install", "uninstall")(packages, workspace_path(workspace)))
