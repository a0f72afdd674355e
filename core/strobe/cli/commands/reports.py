"""Reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import Detach, Folder, Json, command, workspace_path

root = typer.Typer()
group = typer.Typer(name="report", help="Reports: list, check, render.", no_args_is_help=True, rich_markup_mode=None)
root.add_typer(group)


@group.command("list")
def report_list(workspace: Folder = "", json: Json = False) -> None:
    """List the reports of the workspace."""
    command("show", "report_list")(workspace_path(workspace), json)


@group.command("check")
def report_check(name: Annotated[str, typer.Argument(help="A report, or a YAML file.")], workspace: Folder = "") -> None:
    """Check a report: its fields, renderers and settings."""
    command("show", "report_check")(workspace_path(workspace), name)


@group.command("render")
def report_render(
    name: Annotated[str, typer.Argument(help="A report, a YAML file, or `default`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="HTML file to write.")],
    workspace: Folder = "",
    run: Annotated[str, typer.Option(help="Run to show [default: the only one].")] = "",
    detach: Detach = False,
) -> None:
    """Write a report as one HTML file that opens offline."""
    if detach:
        command("jobs", "detach_render")(workspace_path(workspace), name, run, output)
        return
    command("show", "report_render")(workspace_path(workspace), name, run, output)
