"""What several commands take, and how a command finds the function that does its work."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

WORKSPACE = typer.Option("--workspace", "-w", metavar="DIR", help="Folder of runs and results [default: $STROBE_WORKSPACE, else ./strobe-workspace].")
Folder = Annotated[str, WORKSPACE]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting; lists are JSON. Repeatable.")]
Analyzers = Annotated[list[str] | None, typer.Option("-a", "--analyzer", help="Name, or ./file.py:Class. Repeatable; all when left out.")]
Probe = Annotated[str, typer.Option(help="Batch of inputs to look at [default: the family's first].")]
Detach = Annotated[bool, typer.Option("--detach", help="As a job in the background; `strobe jobs list` shows it.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
Job = Annotated[str, typer.Argument(metavar="JOB", help="Id of a job, or the beginning of it.")]
Runs = Annotated[list[str] | None, typer.Argument(metavar="[RUN ...]", help="Runs, all when left out.")]
Theme = Annotated[str, typer.Option(help="light, dark, or paper (black on white, thin lines, for print).")]
Width = Annotated[str, typer.Option(metavar="WIDTH", help="Of the picture: 85mm, 3.3in, 600px.")]
Scale = Annotated[float | None, typer.Option(help="Picture elements per pixel [default: 2; 300 dpi for a width in mm].")]
Only = Annotated[list[str] | None, typer.Option("--only", metavar="PANEL", help="Number or title of a panel, or title of a section. Repeatable.")]
Columns = Annotated[int | None, typer.Option(help="Panels side by side in a picture: 1 or 2 [default: 2].")]
Pages = Annotated[
    str,
    typer.Option(
        metavar="PAPER",
        help="Of a PDF: a4, letter, or none (one page as large as what is on it) [default: a4 for several panels without --width, else none].",
    ),
]
Over = Annotated[str, typer.Option(metavar="NAME", help="What runs in an animation: step, neuron, head, ..., azimuth [default: step].")]
Fps = Annotated[float | None, typer.Option(help="Frames per second of an animation [default: 8].")]
Ease = Annotated[str, typer.Option(metavar="EASING", help="Of an animation: linear or in-out [default: linear].")]
Loop = Annotated[int | None, typer.Option(help="How often an animation runs, 0 for ever [default: 0].")]


def chosen(**options: Any) -> dict[str, Any]:
    """The options of a format that somebody wrote: formats take different ones, and say so."""
    return {name: value for name, value in options.items() if value not in (None, "", [])}


def workspace_path(given: str) -> Path:
    return Path(given or os.environ.get("STROBE_WORKSPACE") or "strobe-workspace")


def command(module: str, name: str) -> Callable[..., Any]:
    """The function that does a command's work, imported now: `strobe --help` needs none of them."""
    return getattr(import_module(f"strobe.cli.{module}"), name)  # type: ignore[no-any-return]
