"""Summaries and bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import Folder, Json, Theme, command, workspace_path

root = typer.Typer()


@root.command()
def summary(
    runs: Annotated[list[str], typer.Argument(metavar="RUN ...", help="Runs to tell of; several are also compared.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write: .md (figures in a folder beside it), .html or .pdf.")],
    workspace: Folder = "",
    theme: Theme = "light",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Write what happened in runs. In words, numbers with what they mean, and figures."""
    command("sharing", "summary")(workspace_path(workspace), runs, output, theme, quiet)


@root.command()
def bundle(
    runs: Annotated[list[str], typer.Argument(metavar="RUN ...", help="Runs to bundle, with their results and the workspace's reports.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write: NAME.strobe.zip.")],
    workspace: Folder = "",
    without: Annotated[list[str] | None, typer.Option(metavar="PART", help="checkpoints, results or reports. Repeatable.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Write runs, results and reports into one file. It can be read without Strobe."""
    command("sharing", "bundle")(workspace_path(workspace), runs, output, without or [], quiet)


@root.command()
def unbundle(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle.")],
    workspace: Folder = "",
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Verify a bundle and place it in the workspace. Overwrites nothing."""
    command("sharing", "unbundle")(workspace_path(workspace), file, json, quiet)
