"""What is computed, and asked of what was computed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import (
    Analyzers,
    Detach,
    Ease,
    Folder,
    Fps,
    Json,
    Loop,
    Over,
    Probe,
    Quiet,
    Runs,
    Scale,
    Set,
    Theme,
    Width,
    chosen,
    command,
    workspace_path,
)

root = typer.Typer()


@root.command()
def analyze(
    runs: Runs = None,
    workspace: Folder = "",
    analyzer: Analyzers = None,
    probe: Probe = "",
    set_: Set = None,
    executor: Annotated[str, typer.Option(help="local or processes.")] = "local",
    workers: Annotated[int, typer.Option(help="Worker processes [default: one per core].", show_default=False)] = 0,
    isolate: Annotated[str, typer.Option(help="Whose analyzers run in processes of their own: third-party, all or none.")] = "third-party",
    deadline: Annotated[
        float, typer.Option(help="Seconds that one isolated call may take [default: $STROBE_DEADLINE, else 600].", show_default=False)
    ] = 0,
    memory: Annotated[
        str, typer.Option(metavar="SIZE", help="What it may allocate, 4GB [default: $STROBE_MEMORY, else half of the machine's].")
    ] = "",
    detach: Detach = False,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Compute what is missing. At most one forward pass per checkpoint."""
    how = {"executor": executor, "workers": workers or None, "isolate": isolate, "deadline": deadline or None, "memory": memory or None}
    if detach:
        command("jobs", "detach_analyze")(workspace_path(workspace), runs, analyzer, probe, set_ or [], how)
        return
    command("analyze", "analyze")(workspace_path(workspace), runs, analyzer, probe, set_ or [], how, json, quiet)


@root.command()
def plan(runs: Runs = None, workspace: Folder = "", analyzer: Analyzers = None, probe: Probe = "", set_: Set = None, json: Json = False) -> None:
    """Print what analyze would do: passes, tensors, bytes. Runs nothing."""
    command("analyze", "plan")(workspace_path(workspace), runs, analyzer, probe, set_ or [], json)


@root.command()
def results(workspace: Folder = "", json: Json = False) -> None:
    """List stored results."""
    command("analyze", "results")(workspace_path(workspace), json)


@root.command()
def sql(query: Annotated[str, typer.Argument(metavar="QUERY", help="DuckDB's SQL, in quotes.")], workspace: Folder = "", json: Json = False) -> None:
    """Query results with SQL. One view per analyzer, `metrics`, `_failures`, `runs`, `jobs` and `results`."""
    command("analyze", "sql")(workspace_path(workspace), query, json)


@root.command()
def view(
    renderer: Annotated[str, typer.Argument(metavar="RENDERER", help="A renderer, or ./file.py:Class.")],
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run to show.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write: png, svg, pdf, gif, webp, mp4, html or json.")],
    workspace: Folder = "",
    at: Annotated[str, typer.Option(help="Cursor: step=5000,neuron=12.")] = "",
    table: Annotated[str, typer.Option(help="Table to draw, for a generic renderer.")] = "",
    set_: Set = None,
    theme: Theme = "light",
    width: Width = "",
    scale: Scale = None,
    caption: Annotated[bool | None, typer.Option("--caption/--no-caption", help="Title, how to read it and source around the chart.")] = None,
    over: Over = "",
    fps: Fps = None,
    ease: Ease = "",
    loop: Loop = None,
    quiet: Quiet = False,
) -> None:
    """Draw one panel into a file. A picture, or with gif, webp and mp4 an animation."""
    options = chosen(width=width, scale=scale, caption=caption, over=over, fps=fps, ease=ease, loop=loop)
    command("view", "view")(workspace_path(workspace), renderer, run, output, at, table, set_ or [], theme, options, quiet)


@root.command("app")
def app_(
    workspace: Folder = "",
    port: Annotated[int, typer.Option(help="Port [default: the first free one from 8501].", show_default=False)] = 0,
    headless: Annotated[bool, typer.Option("--headless", help="Do not open a browser.")] = False,
) -> None:
    """Open the report builder in the browser."""
    command("show", "app")(workspace_path(workspace), port or None, headless)
