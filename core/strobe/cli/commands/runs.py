"""Runs: made, imported, listed, labelled, deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import Detach, Folder, Json, Set, command, workspace_path

root = typer.Typer()


@root.command()
def demo(
    workspace: Folder = "",
    family: Annotated[str, typer.Option(help="Family whose demo to run.")] = "modular_addition",
    no_app: Annotated[bool, typer.Option("--no-app", help="End after writing the HTML report.")] = False,
    executor: Annotated[str, typer.Option(help="local or processes.")] = "local",
) -> None:
    """Train a small model, analyze it, and open its report. It is trained until it groks; its report is written as HTML, too."""
    command("demo", "demo")(workspace_path(workspace), family, no_app, executor)


@root.command()
def train(
    target: Annotated[
        str, typer.Argument(metavar="FAMILY|RUN|RUN@STEP", help="A family (or ./file.py:Class), a run to go on with, or where to branch off.")
    ],
    workspace: Folder = "",
    set_: Set = None,
    sweep: Annotated[str, typer.Option(metavar="FILE", help="YAML: settings to lists of values, or a list of settings.")] = "",
    schedule: Annotated[str, typer.Option(help="Steps to keep: every:100, log:60, at:0,10, 0-1500:100, unions with +.")] = "",
    epochs: Annotated[int, typer.Option(help="Updates, each over the whole training split [default: the family's].", show_default=False)] = 0,
    name: Annotated[str, typer.Option(help="Name of the run [default: family, settings, identity].")] = "",
    add: Annotated[str, typer.Option(metavar="SCHEDULE", help="Add checkpoints to a run; around:turn:+-1000:50 uses its events.")] = "",
    intervene: Annotated[list[str] | None, typer.Option(metavar="NAME[:K=V,...]", help="A before_step hook that acts on it. Repeatable.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda: the whole update as one CUDA graph; the same as --set device=...")] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run (more --epochs: with a complete one).")] = False,
    detach: Detach = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print steps, bytes and estimated time. Trains nothing.")] = False,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Train a model, go on with a run, or branch off. --set takes parameters of the family and of the training (@NAME: a set of the workspace); a
    comma makes a sweep."""
    settings = (*(set_ or []), *([f"device={device}"] if device else []))
    asked = command("train", "Asked")(target, settings, sweep, schedule, epochs, name, add, tuple(intervene or []), resume)
    if detach and not dry_run:
        command("jobs", "detach_train")(workspace_path(workspace), asked)
    else:
        command("train", "train")(workspace_path(workspace), asked, dry_run, json, quiet)


@root.command("import")
def import_(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Folder of checkpoints, whose names end in their steps.")],
    family: Annotated[str, typer.Option(help="Family they belong to, or ./file.py:Class [default: none, weights only].")] = "",
    workspace: Folder = "",
    set_: Set = None,
    name: Annotated[str, typer.Option(help="Name of the run [default: the folder's].")] = "",
    map_: Annotated[str, typer.Option("--map", metavar="FILE", help="YAML or JSON: canonical name -> foreign name and orientation.")] = "",
    metrics: Annotated[str, typer.Option(metavar="FILE", help="CSV with a column step.")] = "",
) -> None:
    """Make a run of a folder of checkpoints that someone else made."""
    command("runs", "import_run")(workspace_path(workspace), path, family, set_ or [], name, map_, metrics)


@root.command()
def runs(workspace: Folder = "", every: Annotated[bool, typer.Option("--all", help="Archived ones too.")] = False, json: Json = False) -> None:
    """List runs."""
    command("runs", "list_runs")(workspace_path(workspace), every, json)


@root.command()
def label(
    run: Annotated[list[str], typer.Argument(metavar="RUN ...", help="Runs to say something about.")],
    workspace: Folder = "",
    text: Annotated[str | None, typer.Option("--label", help="A name for people; '' takes it away.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A word to find runs by. Repeatable.")] = None,
    untag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="A tag to take away. Repeatable.")] = None,
    note: Annotated[str | None, typer.Option(help="Whatever is worth remembering; '' takes it away.")] = None,
    archived: Annotated[bool | None, typer.Option("--archive/--unarchive", help="Leave the runs out of listings, or not any more.")] = None,
    json: Json = False,
) -> None:
    """Label, tag, annotate or archive runs. Shows what is said about them; moves nothing of what they are."""
    command("labels", "label")(workspace_path(workspace), run, text, tag or [], untag or [], note, archived, json)


@root.command()
def delete(
    run: Annotated[list[str] | None, typer.Argument(metavar="[RUN ...]", help="Runs to delete, with their results.")] = None,
    workspace: Folder = "",
    outdated: Annotated[bool, typer.Option("--outdated", help="Results that nothing shows any more: of older code, of runs that are gone.")] = False,
    frames: Annotated[bool, typer.Option("--frames", help="Frames of animations that were stopped, and would be gone on with.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
) -> None:
    """Delete runs, outdated results, or frames of stopped animations. What goes is listed first."""
    command("labels", "delete")(workspace_path(workspace), run or [], outdated, frames, yes)


@root.command()
def sites(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run, or a family.")], workspace: Folder = "", set_: Set = None, json: Json = False
) -> None:
    """Print what can be captured. Sites with their shapes, parameters with theirs."""
    command("runs", "sites")(workspace_path(workspace), model, set_ or [], json)
