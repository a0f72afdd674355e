"""Reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import (
    Columns,
    Detach,
    Ease,
    Folder,
    Fps,
    Json,
    Loop,
    Only,
    Over,
    Pages,
    Quiet,
    Scale,
    Theme,
    Width,
    chosen,
    command,
    workspace_path,
)

root = typer.Typer()
group = typer.Typer(name="report", help="Reports: new, list, check, render, schema.", no_args_is_help=True, rich_markup_mode=None)
root.add_typer(group)


@group.command("new")
def report_new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new report: reports/NAME.yaml in the workspace.")],
    workspace: Folder = "",
    source: Annotated[str, typer.Option("--from", metavar="REPORT", help="Report to copy: a name, or a YAML file.")] = "default",
    run: Annotated[str, typer.Option(help="Run whose own report is copied [default: the only one].")] = "",
    title: Annotated[str, typer.Option(help="Title [default: that of the copied report].")] = "",
) -> None:
    """Copy a report into the workspace. To be edited by hand or in the app."""
    command("report", "new")(workspace_path(workspace), name, source, run, title)


@group.command("list")
def report_list(workspace: Folder = "", json: Json = False) -> None:
    """List reports. Those of packages, of families, and of the workspace."""
    command("report", "listing")(workspace_path(workspace), json)


@group.command("check")
def report_check(name: Annotated[str, typer.Argument(metavar="NAME", help="A report, or a YAML file.")], workspace: Folder = "") -> None:
    """Check a report. Its fields, runs, renderers, tables, columns and settings. Exit status 2 when something is wrong."""
    command("report", "check")(workspace_path(workspace), name)


@group.command("render")
def report_render(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A report, a YAML file, or `default`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write; its suffix says the format.")],
    workspace: Folder = "",
    run: Annotated[
        list[str] | None, typer.Option(help="Run to show [default: the only one]. Several: the runs to compare, the page's first.")
    ] = None,
    at: Annotated[str, typer.Option(help="Cursor: step=5000,neuron=12 [default: the report's].")] = "",
    theme: Theme = "light",
    only: Only = None,
    width: Width = "",
    scale: Scale = None,
    columns: Columns = None,
    pages: Pages = "",
    over: Over = "",
    fps: Fps = None,
    ease: Ease = "",
    loop: Loop = None,
    detach: Detach = False,
    quiet: Quiet = False,
) -> None:
    """Write a report as a file. One HTML page that opens offline, a picture, a PDF on pages, or with gif, webp and mp4 an animation."""
    options = chosen(only=only, width=width, scale=scale, columns=columns, pages=pages, over=over, fps=fps, ease=ease, loop=loop)
    if detach:
        command("jobs", "detach_render")(workspace_path(workspace), name, run or [], output, at, theme, options)
        return
    command("report", "render")(workspace_path(workspace), name, run or [], output, at, theme, options, quiet)


@group.command("schema")
def report_schema() -> None:
    """Print the JSON schema of reports, for editors."""
    command("report", "schema")()
